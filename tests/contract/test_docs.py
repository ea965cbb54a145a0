"""The documentation says what the code does: reasons, fields, metrics, options, links and examples."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import yaml
from prometheus_client import CollectorRegistry

from dbos.cli.main import main as dbos_main
from dbos.cli.worker import worker
from dbos.observability.metrics import RuntimeMetrics
from dbos_operator.cli.local import local
from dbos_operator.cli.run import run
from dbos_operator.local.manifests import PARSERS
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import ConditionType
from dbos_operator.resources.identity import API_VERSION, Kind, TargetRef
from dbos_operator.resources.specs import RateLimit, ScalingSpec
from dbos_operator.scaling.decision import ScalingRequest, decide_scaling
from dbos_operator.scaling.demand import QueueDemand
from dbos_operator.scaling.history import ScalingHistory
from dbos_operator.scaling.limits import QueueLimits
from dbos_operator.scaling.terms import ScaledQueue
from support.dashboards import documented_metrics
from support.kafka import mock_kafka
from support.manifests import a_manifest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def docs(name: str) -> str:
    return text_of(DOCS / f"{name}.md")


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of the same level."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {heading}"
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def first_cells(text: str) -> set[str]:
    """What the first columns of all tables name in code."""
    return {
        name for cell in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", cell)
    }


def sources(package: str) -> Iterator[str]:
    for file in (ROOT / package).rglob("*.py"):
        yield file.read_text(encoding="utf-8")


def paths_of(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        if path != "status" or name != "conditions":
            yield from paths_of(child, f"{path}.{name}")


@cache
def crd_version(kind: Kind) -> dict[str, Any]:
    found = yaml.safe_load(text_of(ROOT / "crds" / f"{kind.plural}.yaml"))
    (only,) = found["spec"]["versions"]
    return {**only, "names": found["spec"]["names"]}


# -- conditions and kinds ------------------------------------------------------------------------------------------


def test_every_reason_is_explained_and_every_explained_reason_exists() -> None:
    named = {name for name in first_cells(docs("conditions")) if name not in set(ConditionType)}

    assert named == {reason.value for reason in Reason}


def test_every_type_of_condition_is_explained() -> None:
    assert set(ConditionType) <= first_cells(section(docs("conditions"), "Types"))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_field_of_a_kind_is_explained_and_every_explained_field_exists(kind: Kind) -> None:
    properties = crd_version(kind)["schema"]["openAPIV3Schema"]["properties"]
    fields = {*paths_of(properties["spec"], "spec"), *paths_of(properties["status"], "status")}
    explained = first_cells(section(docs("kinds"), kind.value))

    # An object of a status is explained by its fields.
    assert fields - explained <= {"status.scaling", "status.lastRun"}
    assert explained <= fields


@pytest.mark.parametrize("kind", list(Kind))
def test_every_printed_column_is_named(kind: Kind) -> None:
    text = section(docs("kinds"), kind.value)
    sentence = " ".join(text[text.index("`kubectl get ") :].split())

    for column in crd_version(kind)["additionalPrinterColumns"]:
        assert column["name"] in sentence


def test_every_short_name_is_told() -> None:
    for kind in Kind:
        (short,) = crd_version(kind)["names"]["shortNames"]
        assert f"| {kind.value} | `{short}` |" in docs("kinds")


# -- metrics -------------------------------------------------------------------------------------------------------


def registered() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every metric as it is scraped: its type and labels."""
    claimant = SimpleNamespace(executor_id="e", application="a", version="v")
    services = SimpleNamespace(claimant=claimant)
    engine: Any = SimpleNamespace(services=services, queues=SimpleNamespace(running={}))
    found = {}
    for registry in (OperatorMetrics().registry, RuntimeMetrics(engine).registry):
        for collector in collectors(registry):
            for family in collector.describe():
                suffix = "_total" if family.type == "counter" else ""
                labels = tuple(getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ()))
                found[f"{family.name}{suffix}"] = (family.type, labels)
    return found


def collectors(registry: CollectorRegistry) -> set[Any]:
    return set(registry._collector_to_names)


def test_every_metric_is_explained_with_its_type_and_labels_and_no_other() -> None:
    assert documented_metrics() == registered()


@every_page
def test_every_metric_that_a_page_names_exists(page: Path) -> None:
    known = {re.sub(r"_total$", "", name) for name in registered()}
    named = set(
        re.findall(
            r"\bdbos_(?:operator_)?[a-z_]+_(?:total|seconds|depth|up|info|running|desired|current)\b", text_of(page)
        )
    )

    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named} <= known


# -- options and variables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "page"), [(run, "operator"), (local, "local")])
def test_every_option_is_explained_with_its_variable(command: click.Command, page: str) -> None:
    table = section(docs(page), "Options")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            name, variable = max(parameter.opts, key=len), parameter.envvar
            assert f"| `{name}` | `{variable}` |" in table
        else:
            assert parameter.metavar is not None
            assert f"| `{parameter.metavar}` |" in table
    options = {max(parameter.opts, key=len) for parameter in command.params if isinstance(parameter, click.Option)}
    assert {name for name in first_cells(table) if name.startswith("--")} == options


def test_dbos_worker_takes_no_option_that_is_not_explained() -> None:
    options = {name for parameter in worker.params if isinstance(parameter, click.Option) for name in parameter.opts}
    assert {option for option in options if f"`dbos worker {option}" not in docs("workers")} == set()


def test_every_command_and_option_of_dbos_is_named() -> None:
    text = docs("command")
    for path, command in commands_of(dbos_main, "dbos"):
        assert f"`{path}" in text
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        for option in options:
            assert any(f"`{name}" in text for name in option.opts if name.startswith("--")), f"{path} {option.opts}"


def commands_of(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from commands_of(child, f"{path} {name}")


def test_every_variable_that_the_code_reads_is_explained() -> None:
    pattern = r"""["'](DBOS_[A-Z_]+|DBOS__[A-Z]+)["']"""
    read = {
        name for package in ("runtime", "operator") for text in sources(package) for name in re.findall(pattern, text)
    }
    read.discard("DBOS_OPERATOR")  # the prefix of the variables that belong to options

    assert read <= first_cells(section(docs("configuration"), "Variables"))


# -- examples and links --------------------------------------------------------------------------------------------


def test_what_the_page_about_scaling_computes_is_what_is_computed() -> None:
    rate = RateLimit(100, timedelta(seconds=60))
    cases: list[tuple[list[ScaledQueue], int]] = [
        ([a_queue(25, 5)], 3),
        ([a_queue(1)], 1),
        ([a_queue(150, 10, limits=QueueLimits(concurrency=50))], 5),
        ([a_queue(150, seconds=30, limits=QueueLimits(rate_limit=rate))], 5),
        ([a_queue(200, most=10, truncated=True)], 10),
        ([a_queue(0, least=2)], 2),
        ([a_queue(12, name="emails"), a_queue(3, name="reports", per_replica=4)], 2),
    ]
    told = re.findall(r"^\|.*\| (\d+) \| ([^|]+) \|$", docs("scaling"), re.MULTILINE)

    assert told == [(str(replicas), decide(queues)) for queues, replicas in cases]


def decide(queues: Sequence[ScaledQueue]) -> str:
    target = TargetRef("default", "Deployment", "worker")
    request = ScalingRequest(target=target, current=0, queues=queues)
    return decide_scaling(request, ScalingHistory(), datetime(2026, 1, 1, tzinfo=UTC)).message


def a_queue(
    waiting: int,
    running: int = 0,
    *,
    name: str = "q",
    per_replica: int = 10,
    least: int = 0,
    most: int = 20,
    seconds: float | None = None,
    limits: QueueLimits | None = None,
    truncated: bool = False,
) -> ScaledQueue:
    return ScaledQueue(
        scaling=ScalingSpec(
            target=TargetRef("default", "Deployment", "worker"),
            min_replicas=least,
            max_replicas=most,
            workflows_per_replica=per_replica,
        ),
        limits=limits or QueueLimits(),
        demand=QueueDemand(
            queue_name=name,
            runnable=waiting,
            running=running,
            mean_duration_seconds=seconds,
            truncated=truncated,
        ),
    )


@every_page
def test_every_yaml_example_can_be_read_and_every_resource_in_it_can_be_used(page: Path) -> None:
    for block in blocks(text_of(page), "yaml"):
        for manifest in yaml.safe_load_all(block):
            if isinstance(manifest, dict) and str(manifest.get("apiVersion", "")).startswith("dbos.dev/"):
                assert manifest["apiVersion"] == API_VERSION
                kind = Kind(manifest["kind"])
                resource = PARSERS[kind](a_manifest(kind, manifest["spec"]))
                assert resource.problem is None, resource.problem


@every_page
def test_every_python_example_compiles(page: Path) -> None:
    for block in blocks(text_of(page), "python"):
        ast.parse(block)


@every_page
def test_lists_and_tables_begin_after_a_blank_line_as_the_site_needs_it(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    paragraph = r"^(?![*-] |\d+\. |[ |#]).+\n"
    joined = re.findall(rf"{paragraph}(?:[*-] |\d+\. |\|).*", text, re.MULTILINE)

    assert joined == []


def test_every_python_example_is_formatted_as_the_code_is(tmp_path: Path) -> None:
    every = [(page.stem, block) for page in PAGES for block in blocks(text_of(page), "python")]
    for number, (stem, block) in enumerate(every):
        (tmp_path / f"{number}_{stem}.py").write_text(block, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--check",
        "--config",
        str(ROOT / "pyproject.toml"),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


NOT_RUN = re.compile(r"<!-- not run: .{10,}? -->\n+\Z", re.DOTALL)


def programs() -> Iterator[tuple[Path, int]]:
    """Every Python block of a page that is not marked `<!-- not run: why -->` in the line above it."""
    for page in PAGES:
        parts = re.split(r"^```python\n.*?^```$", text_of(page), flags=re.MULTILINE | re.DOTALL)
        yield from ((page, number) for number, before in enumerate(parts[:-1]) if not NOT_RUN.search(before))


@pytest.fixture
def program_environment(empty_database_url: str) -> dict[str, str]:
    """The variables that the pages tell to set, and none of a test run."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("DBOS_", "PYTEST_"))}
    return {**plain, "DBOS_SYSTEM_DATABASE_URL": empty_database_url}


@pytest.mark.timeout(300)  # a busy machine takes long to start them
@pytest.mark.parametrize(
    ("page", "number"), [pytest.param(*one, id=f"{one[0].relative_to(ROOT)}-{one[1]}") for one in programs()]
)
def test_every_python_example_runs_as_written(
    page: Path, number: int, program_environment: dict[str, str], tmp_path: Path
) -> None:
    text = blocks(text_of(page), "python")[number]
    is_test = "def test_" in text
    program = tmp_path / ("test_program.py" if is_test else "program.py")
    program.write_text(text, encoding="utf-8")
    command = [sys.executable, *(("-m", "pytest", "-q", "-p", "no:cacheprovider") if is_test else ()), str(program)]

    with mock_kafka() if "KAFKA_BROKERS" in text else nullcontext() as kafka:
        brokers = {"KAFKA_BROKERS": kafka.address} if kafka is not None else {}
        done = subprocess.run(
            command,
            env={**program_environment, **brokers},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout or "print(" not in text


@every_page
def test_every_link_to_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target} in {page}"
        if anchor:
            assert anchor in anchors(found), f"{target} in {page}"


def test_every_page_can_be_reached_from_the_readme_and_the_pages_that_it_names() -> None:
    named = set(re.findall(r"\]\(docs/([^)#]+)\)", text_of(ROOT / "README.md")))
    for page in ("index.md", "runtime.md"):
        named |= set(re.findall(r"\]\(([^):#]+\.md)[)#]", text_of(DOCS / page)))
    missing = {str(page.relative_to(DOCS)) for page in DOCS.glob("*.md")} - named - {"index.md"}

    assert not missing


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-") for heading in headings}
