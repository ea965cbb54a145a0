"""The dashboards and alerts of the chart name what exists, can be read, and lead on to what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest

from support.dashboards import (
    ALERTS,
    DASHBOARDS,
    ROOT,
    documented_metrics,
    list_alerts,
    list_panels,
    list_queries,
    load_dashboard,
    metrics_of,
    selectors_of,
)

RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["Meaning", "Impact", "First look", "Causes", "Cure", "When it clears"]
SET_BY_GRAFANA = {"__rate_interval", "__range"}
BOARDS = [pytest.param(load_dashboard(file), id=file.stem) for file in DASHBOARDS]
every_board = pytest.mark.parametrize("board", BOARDS)
every_alert = pytest.mark.parametrize("alert", [pytest.param(alert, id=alert["alert"]) for alert in list_alerts()])
Board = dict[str, Any]


def shown(board: Board) -> list[dict[str, Any]]:
    """The panels that show data."""
    return [panel for panel in list_panels(board) if panel["type"] not in {"row", "text"}]


# -- dashboards ----------------------------------------------------------------------------------------------------


def test_there_are_dashboards_and_alerts() -> None:
    assert DASHBOARDS
    assert ALERTS


@every_board
def test_a_board_can_be_imported_and_updated(board: Board) -> None:
    assert board["schemaVersion"] >= 41
    assert re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"])
    assert board["title"]
    assert "dbos" in board["tags"]
    assert "id" not in board  # Grafana gives it


@every_board
def test_panels_have_ids_of_their_own(board: Board) -> None:
    counted = Counter(panel["id"] for panel in list_panels(board))

    assert [number for number, times in counted.items() if times > 1] == []


@every_board
def test_no_panel_covers_another_or_leaves_the_grid(board: Board) -> None:
    panels = list(list_panels(board))

    assert [panel["title"] for panel in panels if panel["gridPos"]["x"] + panel["gridPos"]["w"] > 24] == []
    assert [(one["title"], two["title"]) for one, two in combinations(panels, 2) if overlap(one, two)] == []


def overlap(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    a, b = one["gridPos"], two["gridPos"]
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not beside and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


@every_board
def test_every_panel_says_what_it_shows_in_which_unit_from_the_chosen_source(board: Board) -> None:
    for panel in shown(board):
        assert panel["title"]
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target["range"] != target["instant"]


@every_board
def test_every_series_of_a_panel_can_be_told_from_the_others(board: Board) -> None:
    for panel in shown(board):
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references)), panel["title"]
        for target in panel["targets"]:
            if target.get("format") == "table":
                continue
            told = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.match(r"(?:time\(\) - )?(?:sum|max) by \(([^)]*)\)", target["expr"])
            assert target["legendFormat"], panel["title"]
            assert told <= set(grouped[1].split(", ") if grouped else told), panel["title"]


@every_board
def test_every_metric_of_a_board_exists_with_the_labels_it_is_asked_for(board: Board) -> None:
    known = documented_metrics()
    for query in list_queries(board):
        assert metrics_of(query.expression) <= set(known), query
        for selector in selectors_of(query.expression):
            (name,) = metrics_of(selector)
            labels = set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector))
            assert labels <= {*known[name][1], "namespace"}, query  # a scrape of pods adds the namespace


@every_board
def test_what_every_process_reads_from_the_same_rows_is_not_added_up(board: Board) -> None:
    for query in list_queries(board):
        for name in ("queue_depth", "queue_oldest_enqueued_timestamp_seconds", "workers_desired", "database_up"):
            for found in re.finditer(
                rf"(\w+)(?: by \([^)]*\))? \((?:time\(\) - )?dbos_(?:operator_)?{name}", query.expression
            ):
                assert found[1] == "max", query


@every_board
def test_every_variable_is_declared_and_every_declared_one_is_used(board: Board) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    asked = [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    text = " ".join([query.expression for query in list_queries(board)] + asked)
    used = set(re.findall(r"\$(\w+)", text)) - SET_BY_GRAFANA

    assert used | {"datasource"} == declared
    assert {"namespace", "database", "queue"} <= declared
    assert set().union(*(metrics_of(query) for query in asked)) <= set(documented_metrics())


@every_board
def test_a_board_leads_to_every_runbook(board: Board) -> None:
    text = " ".join(panel["options"]["content"] for panel in list_panels(board) if panel["type"] == "text")

    assert set(re.findall(r"docs/runbooks/(\w+)\.md", text)) == {alert["alert"] for alert in list_alerts()}


# -- alerts --------------------------------------------------------------------------------------------------------


def test_the_rule_files_are_tidy() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", *ALERTS], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_no_two_alerts_share_a_name() -> None:
    names = [alert["alert"] for alert in list_alerts()]

    assert len(names) == len(set(names))


@every_alert
def test_every_alert_says_how_bad_it_is_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"docs/runbooks/{alert['alert']}.md"
    assert metrics_of(alert["expr"]) <= set(documented_metrics())


@every_alert
def test_every_alert_has_a_runbook_with_the_same_parts(alert: dict[str, Any]) -> None:
    text = (ROOT / alert["annotations"]["runbook"]).read_text(encoding="utf-8")

    assert text.startswith(f"# {alert['alert']}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert metrics_of(text) <= set(documented_metrics())


def test_every_runbook_belongs_to_an_alert() -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} == {alert["alert"] for alert in list_alerts()}


def test_the_page_about_grafana_tells_every_alert_and_every_panel() -> None:
    text = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
    alerts = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", text, re.MULTILINE)

    assert {(name, page, severity) for name, page, severity in alerts} == {
        (alert["alert"], alert["alert"], alert["labels"]["severity"]) for alert in list_alerts()
    }
    for file in DASHBOARDS:
        told = {
            name.strip()
            for cell in re.findall(r"^\| \*\*\w+\*\* \| ([^|]+) \|", text, re.MULTILINE)
            for name in cell.split(",")
        }
        assert told == {panel["title"] for panel in list_panels(load_dashboard(file)) if panel["type"] != "row"}


def test_a_page_names_the_files_that_the_chart_brings() -> None:
    text = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")

    for file in [*DASHBOARDS, *ALERTS]:
        assert str(file.relative_to(ROOT)) in text
