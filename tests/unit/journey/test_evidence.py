from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from journey.evidence import (
    Workflow,
    lost_or_unknown,
    missing_runs,
    parse_rows,
    repeated_steps,
    runs_of,
    wrong_outcomes,
)

STEPS = ("reserve", "charge")
GOOD = Workflow(
    workflow_id="order-1",
    name="process_order",
    status="SUCCESS",
    executor="pod-1",
    attempts=1,
    completed=True,
    schedule=None,
    parent=None,
    step_ids=(1, 2),
    step_names=STEPS,
    step_ends=(10, 20),
    failed_steps=0,
    outcomes=1,
)


def a_run(time: str) -> Workflow:
    return replace(GOOD, workflow_id=f"sched-sweep-{time}+00:00", schedule="sweep")


def test_a_row_is_read_in_the_order_of_its_columns() -> None:
    row = ["order-1", "process_order", "SUCCESS", "pod-1", 1, True, None, None, [1, 2], list(STEPS), [10, 20], 0, 1]
    assert parse_rows([row]) == [GOOD]


def test_a_workflow_that_did_each_step_once_is_in_order() -> None:
    assert wrong_outcomes(GOOD, steps=STEPS, attempts=(1,)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": "ERROR"},
        {"step_ids": (1,), "step_names": ("reserve",)},
        {"step_ids": (1, 3)},
        {"step_names": ("charge", "reserve")},
        {"failed_steps": 1},
        {"outcomes": 0},
        {"outcomes": 2},
        {"completed": False},
        {"attempts": 2},
    ],
)
def test_whatever_else_is_in_its_rows_is_told(change: dict[str, Any]) -> None:
    (told, *_) = wrong_outcomes(replace(GOOD, **change), steps=STEPS, attempts=(1,))
    assert told.startswith("order-1 (process_order) on pod-1: ")


def test_a_lost_workflow_and_one_that_nobody_started_are_told() -> None:
    run = a_run("2026-01-01T00:00:00")
    child = replace(GOOD, workflow_id="child", parent=run.workflow_id)
    rows = [GOOD, run, child, replace(GOOD, workflow_id="stranger")]
    assert lost_or_unknown(rows, ["order-1", "order-2"], ["order-1", "order-2"], "sweep") == [
        "order-2: was started and has no row",
        "stranger: nobody started it",
    ]


def test_a_step_that_was_recorded_anew_is_told() -> None:
    half = replace(GOOD, step_ids=(1,), step_names=("reserve",), step_ends=(10,))
    assert repeated_steps(half, GOOD) == []
    assert repeated_steps(half, replace(GOOD, step_ends=(11, 20))) != []


def test_a_due_time_without_a_run_is_told() -> None:
    times = ["2026-01-01T00:00:10", "2026-01-01T00:00:00", "2026-01-01T00:00:05"]
    runs = runs_of([GOOD, *map(a_run, times)], "sweep")
    assert missing_runs(runs, "sweep", timedelta(seconds=5)) == []
    (told,) = missing_runs([runs[0], runs[2]], "sweep", timedelta(seconds=5))
    assert "2026-01-01 00:00:00+00:00 and 2026-01-01 00:00:10+00:00" in told
