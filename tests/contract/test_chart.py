"""The chart says what the sources say: kinds, version, options, values."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from support.chart import CHART, chart_file, value_paths

ROOT = CHART.parents[1]
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = chart_file("values.yaml")
FOR_KUBERNETES = {
    *("resources", "podSecurityContext", "securityContext", "nodeSelector", "tolerations", "affinity"),
    *("extraEnv", "extraVolumes", "extraVolumeMounts"),
}
"""Values that go into the pod as they are; the API server judges them."""


def refused(values: Mapping[str, Any]) -> set[str]:
    """The keys that the schema refuses in these values."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    found: set[str] = set()
    for error in validator.iter_errors(values):
        path = ".".join(str(part) for part in error.absolute_path)
        unknown = re.findall(r"'(\w+)'", error.message) if error.validator == "additionalProperties" else [""]
        found |= {".".join(part for part in (path, name) if part) for name in unknown}
    return found


def nested(path: str, value: object) -> dict[str, Any]:
    """The values in which only this path is set."""
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def objects_of(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if schema.get("type") == "object":
        yield path, schema
    for key, below in schema.get("properties", {}).items():
        yield from objects_of(below, f"{path}.{key}" if path else key)


@pytest.mark.parametrize("source", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_chart_carries_the_kinds_as_they_are(source: Path) -> None:
    copy = CHART / "files" / "crds" / source.name

    assert copy.read_bytes() == source.read_bytes(), "run: make generate"


def test_the_chart_carries_no_other_kind() -> None:
    assert {path.name for path in (CHART / "files" / "crds").iterdir()} == {
        path.name for path in (ROOT / "crds").iterdir()
    }


def test_the_chart_has_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = chart_file("Chart.yaml")

    assert chart["appVersion"] == chart["version"] == project["version"]


def test_the_schema_takes_the_defaults() -> None:
    assert refused(VALUES) == set()


def test_the_schema_knows_every_value_and_no_other() -> None:
    for path, below in objects_of(SCHEMA):
        # The fields of a kind are compared with the kind, further down.
        if "properties" in below and not path.startswith("defaultDatabase.spec"):
            value: Any = VALUES
            for key in path.split(".") if path else ():
                value = value[key]
            assert set(below["properties"]) - {"global"} == set(value), path


def test_the_schema_is_strict_wherever_kubernetes_is_not_asked() -> None:
    for path, below in objects_of(SCHEMA):
        if path not in FOR_KUBERNETES | {"global"}:
            assert below["additionalProperties"] in (False, {"type": "string"}), path


WRONG: dict[str, list[object]] = {
    "replicas": [2],
    "imag": [{}],
    "image.tags": ["x"],
    "image.repository": ["", "UPPER", "a b"],
    "image.tag": [1.0, "a b", ":x"],
    "image.digest": ["sha256:12", "md5:" + "0" * 64],
    "image.pullPolicy": ["Sometimes"],
    "watch.namespace": ["a"],
    "watch.namespaces": ["orders", {}, None],
    "tick": [5, "", "5", "-5s", "five", "5s ", "1s1h", "0s", "0h00m0ms"],
    "logging.level": ["INFO"],
    "logging.format": ["xml"],
    "defaultDatabase.existing": ["orders", "a/b/c", "A/b", "/b", "a/"],
    "defaultDatabase.secretRef.name": ["Orders", 7],
    "defaultDatabase.secretRef.key": ["", "a/b"],
    "defaultDatabase.hook": ["yes"],
    "defaultDatabase.spec.mode": ["Observe"],
    "defaultDatabase.spec.recovery.gracePeriod": ["1 minute"],
    "defaultDatabase.spec.connections.max": [0],
    "defaultDatabase.spec.connections.statementTimeout": ["0s", "00h0m", "10"],
    "crds.install": ["true"],
    "crds.keep": [1],
    "ports.metrics": ["9464", 80, 65536, 1.5],
    "serviceMonitor.enabled": ["no"],
    "serviceMonitor.interval": ["30", 30, "0s"],
    "prometheusRule.runbookBaseUrl": ["docs/runbooks", "https://a/ b", 'https://a/"'],
    "podLabels": [{"a": 1}],
    "nodeSelector": [{"a": True}],
    "tolerations": [{}],
    "extraEnv": [[{"name": "A", "value": 5}], [{"name": "A", "value": True}], [{"name": ""}], [{"value": "a"}]],
    "extraVolumes": [[{"name": 1}], [{}]],
    "extraVolumeMounts": [[{"name": "a", "mountPath": 1}], [{"name": 1, "mountPath": "/a"}], [{"name": "a"}]],
    "resources": [[]],
    "priorityClassName": ["High Priority"],
    "fullnameOverride": ["-x"],
    "nameOverride": ["a" * 64],
}
RIGHT: dict[str, list[object]] = {
    "global": [{"anything": 1}],
    "tick": ["5s", "500ms", "1m30s", "1h", "1h1m1s1ms"],
    "image.repository": ["registry.example.com:5000/team/dbos-operator", "127.0.0.1:5000/a"],
    "image.digest": ["sha256:" + "a" * 64],
    "image.tag": ["0.1.0-rc.1"],
    "watch.namespaces": [[], ["orders", "123"]],
    "defaultDatabase.existing": ["orders/default.db"],
    "defaultDatabase.spec": [{"schema": "dbos", "recovery": {"gracePeriod": "2m"}, "connections": {"max": 2}}],
    "defaultDatabase.spec.recovery.gracePeriod": ["0s"],
    "defaultDatabase.spec.connections.statementTimeout": ["1ms", "1h", "10s"],
    "extraEnv": [[{"name": "A", "value": "5"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]],
    "podSecurityContext": [{"runAsUser": None}],
    "resources": [{}],
    "serviceMonitor.interval": ["30s"],
    "prometheusRule.runbookBaseUrl": ["", "https://git.example.com/ops/runbooks"],
    "ports.health": [18080],
}


def each(table: Mapping[str, list[object]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("path", "value"), [(path, value) for path in table for value in table[path]])


@each(WRONG)
def test_a_wrong_value_is_refused_by_its_name(path: str, value: object) -> None:
    found = refused(nested(path, value))

    assert found
    assert all(name == path or name.startswith(f"{path}.") for name in found)


@each(RIGHT)
def test_a_right_value_is_taken(path: str, value: object) -> None:
    assert refused(nested(path, value)) == set()


def test_the_default_database_offers_the_fields_of_its_kind() -> None:
    kind = yaml.safe_load((ROOT / "crds" / "dbosdatabases.yaml").read_text(encoding="utf-8"))
    spec = kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    offered = SCHEMA["properties"]["defaultDatabase"]["properties"]["spec"]

    assert set(offered["properties"]) == set(spec["properties"]) - {"secretRef"}
    for name, field in offered["properties"].items():
        assert set(field.get("properties", {})) == set(spec["properties"][name].get("properties", {}))
        assert field.get("enum") == spec["properties"][name].get("enum")


def test_every_value_has_a_comment() -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    for path, _ in value_paths(VALUES, SCHEMA):
        *parents, key = path.split(".")
        pattern = rf"{'  ' * len(parents)}{key}:"
        above = [lines[number - 1].strip() for number, line in enumerate(lines) if line.startswith(pattern)]
        assert any(line.startswith("# ") for line in above), path


def test_every_value_is_explained_with_its_default_and_every_explained_value_exists() -> None:
    page = (ROOT / "docs" / "helm.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \| ", page, re.MULTILINE))
    expected = {path: f"`{json.dumps(value)}`" for path, value in value_paths(VALUES, SCHEMA)}
    long = {"resources", "podSecurityContext", "securityContext", "grafana.dashboards.labels"}

    assert set(told) == set(expected)
    assert {path: text for path, text in told.items() if path not in long} == {
        path: text for path, text in expected.items() if path not in long
    }
    assert {told[path] for path in long} == {"see `values.yaml`"}


def test_the_rights_of_the_chart_are_those_that_the_documentation_lists() -> None:
    helpers = (CHART / "templates" / "_helpers.tpl").read_text(encoding="utf-8")
    found = re.search(r'define "dbos-operator\.rules" -\}\}\n(.*?)\{\{- end', helpers, re.DOTALL)
    assert found is not None
    page = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    documented = [
        manifest
        for block in blocks
        for manifest in yaml.safe_load_all(block)
        if isinstance(manifest, dict) and manifest.get("kind") == "ClusterRole"
    ]

    assert documented[0]["rules"] == yaml.safe_load(found[1])
