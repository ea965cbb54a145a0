"""The CRDs and the parsers say the same: fields, limits, defaults, what is refused, and what a status holds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dbos_operator.resources.conditions import Truth
from dbos_operator.resources.database import parse_database
from dbos_operator.resources.identity import GROUP, VERSION, Kind
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.resource import Resource
from dbos_operator.resources.schedule import parse_schedule
from dbos_operator.resources.status import FiredBy, render_database, render_queue, render_schedule
from support.kind_examples import FULL, REFUSED, SMALLEST
from support.kind_statuses import DATABASE_STATUS, NOW, QUEUE_STATUS, SCHEDULE_STATUS
from support.manifests import a_manifest

ROOT = Path(__file__).parents[2]
PARSERS: dict[Kind, Callable[[Mapping[str, Any]], Resource[Any]]] = {
    Kind.DATABASE: parse_database,
    Kind.QUEUE: parse_queue,
    Kind.SCHEDULE: parse_schedule,
}
STATUSES: dict[Kind, dict[str, Any]] = {
    Kind.DATABASE: render_database(DATABASE_STATUS, {}, now=NOW),
    Kind.QUEUE: render_queue(QUEUE_STATUS, {}, now=NOW),
    Kind.SCHEDULE: render_schedule(SCHEDULE_STATUS, {}, now=NOW),
}
every_kind = pytest.mark.parametrize("kind", list(Kind))


@cache
def crd(kind: Kind) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def version(kind: Kind) -> dict[str, Any]:
    (only,) = crd(kind)["spec"]["versions"]
    return dict(only)


def schema(kind: Kind, part: str) -> dict[str, Any]:
    return dict(version(kind)["schema"]["openAPIV3Schema"]["properties"][part])


def nodes(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema below a node with its path, the node itself first."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


def spec_nodes(kind: Kind) -> list[tuple[str, Mapping[str, Any]]]:
    return list(nodes(schema(kind, "spec"), "spec"))


def parse(kind: Kind, spec: object) -> Resource[Any]:
    return PARSERS[kind](a_manifest(kind, spec))


def replaced(spec: Mapping[str, Any], path: str, change: Callable[[dict[str, Any], str], object]) -> dict[str, Any]:
    """A copy of a spec with `change(parent, name)` made at the path."""
    copy = {"spec": deepcopy(dict(spec))}
    *parents, last = path.split(".")
    place: dict[str, Any] = copy
    for name in parents:
        place = place[name]
    change(place, last)
    return copy["spec"]


def defaulted(node: Mapping[str, Any], value: Any) -> Any:
    """A value with the defaults of the schema filled in, as the API server does it."""
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in filled and "default" in child:
            filled[name] = deepcopy(child["default"])
        if name in filled:
            filled[name] = defaulted(child, filled[name])
    return filled


# --- the kinds --------------------------------------------------------------------------------------


@every_kind
def test_a_kind_is_named_as_the_operator_names_it(kind: Kind) -> None:
    assert crd(kind)["metadata"]["name"] == f"{kind.plural}.{GROUP}"
    assert crd(kind)["spec"]["group"] == GROUP
    assert crd(kind)["spec"]["scope"] == "Namespaced"
    names = crd(kind)["spec"]["names"]
    assert (names["kind"], names["plural"], names["categories"]) == (kind, kind.plural, ["dbos"])
    assert (version(kind)["name"], version(kind)["subresources"]) == (VERSION, {"status": {}})


def test_the_folder_holds_the_three_kinds_and_nothing_else() -> None:
    assert {file.name for file in (ROOT / "crds").iterdir()} == {f"{kind.plural}.yaml" for kind in Kind}


def test_the_files_are_clean_yaml() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "crds"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@every_kind
def test_every_column_shows_something_that_exists(kind: Kind) -> None:
    known = {f".{path}" for part in ("spec", "status") for path, _ in nodes(schema(kind, part), part)}
    known |= {".metadata.creationTimestamp"}
    for column in version(kind)["additionalPrinterColumns"]:
        path = re.sub(r"\[.*\]", "[]", column["jsonPath"])
        assert path in known, column["name"]
        assert column["description"]


# --- fields -----------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_explains_itself(kind: Kind, part: str) -> None:
    for path, node in nodes(schema(kind, part), part):
        assert node.get("description", "").strip().endswith((".", "}", "]")) or "Example:" in node["description"], path


@every_kind
def test_every_field_of_a_spec_tells_its_default_and_an_example(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        if path == "spec":
            continue
        text = " ".join(node["description"].split())
        assert "Default: " in text or "Required." in text, path
        assert "Example: " in text or "properties" in node, path
        if "default" in node and node["type"] != "object":
            said = str(node["default"]).lower() if isinstance(node["default"], bool) else str(node["default"])
            assert f"Default: {said}" in text, path


@every_kind
def test_the_parser_knows_exactly_the_fields_of_the_schema(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        if "properties" not in node:
            continue
        spec = replaced({**FULL[kind]}, f"{path}.unheardOf", lambda parent, name: parent.update({name: 1}))
        problem = parse(kind, spec).problem
        assert problem is not None
        assert problem.message.startswith(f"{path}: expected only the fields "), path
        listed = problem.message.partition("only the fields ")[2].partition(", got ")[0]
        assert sorted(listed.split(", ")) == sorted(node["properties"]), path


@every_kind
def test_every_field_makes_a_difference(kind: Kind) -> None:
    full = parse(kind, FULL[kind])
    assert full.problem is None
    for path, node in spec_nodes(kind):
        if "properties" in node or path.endswith("apiVersion"):  # there is but one version of a workload
            continue
        without = parse(kind, replaced(FULL[kind], path, lambda parent, name: parent.pop(name)))
        assert without.spec != full.spec, path


@every_kind
def test_what_the_schema_requires_the_parser_requires(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        for name in node.get("required", ()):
            spec = replaced(FULL[kind], f"{path}.{name}", lambda parent, last: parent.pop(last))
            problem = parse(kind, spec).problem
            assert problem is not None
            assert problem.message.startswith(f"{path}.{name}: expected "), path


@every_kind
def test_the_defaults_of_the_schema_are_those_of_the_parser(kind: Kind) -> None:
    spec = SMALLEST[kind]
    filled = defaulted(schema(kind, "spec"), spec)
    assert parse(kind, filled).spec == parse(kind, spec).spec
    assert parse(kind, filled).problem is None


def test_scaling_has_the_same_defaults_too() -> None:
    spec = {"scaling": {"targetRef": {"name": "worker"}, "maxReplicas": 5}}
    filled = defaulted(schema(Kind.QUEUE, "spec"), spec)
    assert filled != spec
    assert parse(Kind.QUEUE, filled).spec == parse(Kind.QUEUE, spec).spec


@every_kind
def test_every_word_of_an_enumeration_is_understood(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        for word in node.get("enum", ()):
            spec = replaced(FULL[kind], path, lambda parent, name, word=word: parent.update({name: word}))
            assert parse(kind, spec).problem is None, (path, word)


@every_kind
def test_the_largest_and_the_smallest_number_are_the_same(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        if node.get("type") != "integer":
            continue
        for number in (node["minimum"] - 1, node["maximum"] + 1):
            spec = replaced(FULL[kind], path, lambda parent, name, number=number: parent.update({name: number}))
            problem = parse(kind, spec).problem
            assert problem is not None
            assert problem.message.startswith(f"{path}: expected "), path
        for number in (node["minimum"], node["maximum"]):
            spec = replaced(FULL[kind], path, lambda parent, name, number=number: parent.update({name: number}))
            problem = parse(kind, spec).problem
            assert problem is None or "at most spec." in problem.message, path  # another field bounds it


@every_kind
def test_only_a_context_may_hold_anything(kind: Kind) -> None:
    free = [path for path, node in spec_nodes(kind) if node.get("x-kubernetes-preserve-unknown-fields")]
    assert free == (["spec.context"] if kind is Kind.SCHEDULE else [])


@every_kind
def test_every_text_is_bounded_so_that_its_rules_stay_cheap(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path


@pytest.mark.parametrize(("kind", "spec", "field"), REFUSED, ids=str)
def test_the_parser_refuses_what_the_api_server_refuses(kind: Kind, spec: dict[str, Any], field: str) -> None:
    problem = parse(kind, spec).problem
    assert problem is not None
    assert problem.message.startswith(f"{field}: expected ")


# --- the status -------------------------------------------------------------------------------------


@every_kind
def test_a_new_object_waits_for_the_operator(kind: Kind) -> None:
    assert schema(kind, "status")["default"] == {"observedGeneration": -1}


@every_kind
def test_a_status_holds_exactly_the_fields_of_the_schema(kind: Kind) -> None:
    status = STATUSES[kind]
    jsonschema.validate(status, schema(kind, "status"))
    for path, node in nodes(schema(kind, "status"), "status"):
        if "properties" in node:
            place: Any = {"status": status}
            for name in path.replace("[]", ".0").split("."):
                place = place[int(name)] if name.isdigit() else place[name]
            assert sorted(place) == sorted(node["properties"]), path


@every_kind
def test_the_words_of_a_status_are_those_of_the_schema(kind: Kind) -> None:
    enumerations = {path: node["enum"] for path, node in nodes(schema(kind, "status"), "status") if "enum" in node}
    assert enumerations["status.conditions[].status"] == list(Truth)
    assert enumerations.get("status.firedBy", list(FiredBy)) == list(FiredBy)
