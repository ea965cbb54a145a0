"""The chart's dashboards and alert rules, read as Grafana and Prometheus read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "dbos-operator" / "files"
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
ALERTS = sorted((FILES / "alerts").glob("*.yaml"))
_METRIC = re.compile(r"\b(dbos_[a-z_]+)(\{[^}]*\})?")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of one panel."""

    panel: str
    expression: str

    def filled(self, variables: Mapping[str, str]) -> str:
        """The expression with values for the variables, as Grafana sends it."""
        return re.sub(r"\$(\w+)", lambda found: variables[found[1]], self.expression)


@cache
def load_dashboard(file: Path) -> dict[str, Any]:
    """The content of a dashboard's file."""
    board: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return board


def list_panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, those inside of collapsed rows included."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def list_queries(board: Mapping[str, Any]) -> list[Query]:
    """Every query of a dashboard."""
    return [
        Query(panel["title"], target["expr"]) for panel in list_panels(board) for target in panel.get("targets", ())
    ]


def list_alerts() -> list[dict[str, Any]]:
    """Every alert of the rule files."""
    files = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in ALERTS)
    return [rule for content in files for group in content["groups"] for rule in group["rules"]]


def selectors_of(expression: str) -> list[str]:
    """The metrics of this project in an expression, each with its labels."""
    return [name + labels for name, labels in _METRIC.findall(expression)]


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics of this project in an expression, those of a histogram's series without suffix."""
    return {_SUFFIX.sub("", name) for name, _ in _METRIC.findall(expression)}


def documented_metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every metric that the documentation explains, with its type and labels."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(dbos_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
