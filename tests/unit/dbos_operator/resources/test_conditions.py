"""Conditions: kstatus, and since when a status holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import (
    Condition,
    ConditionType,
    Truth,
    merge_conditions,
    ready,
    reconciling,
    stalled,
)

THEN = datetime(2026, 11, 21, 7, 16, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 8, 0, 0, 999, tzinfo=UTC)
SCALING = Condition(ConditionType.SCALING_ACTIVE, Truth.FALSE, Reason.TARGET_NOT_FOUND, "no such Deployment")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (ready, {"Ready": "True", "Reconciling": "False", "Stalled": "False"}),
        (reconciling, {"Ready": "False", "Reconciling": "True", "Stalled": "False"}),
        (stalled, {"Ready": "False", "Reconciling": "False", "Stalled": "True"}),
    ],
)
def test_exactly_one_of_the_three_is_true(
    build: Callable[[Reason, str], tuple[Condition, ...]], expected: dict[str, str]
) -> None:
    conditions = build(Reason.PENDING, "why")
    assert {condition.type: condition.status for condition in conditions} == expected
    assert all(condition.reason is Reason.PENDING for condition in conditions)


def test_ready_and_the_condition_that_is_true_explain_themselves() -> None:
    told = {condition.type: condition.message for condition in stalled(Reason.NAME_TAKEN, "emails is taken")}
    assert told == {"Ready": "emails is taken", "Reconciling": "", "Stalled": "emails is taken"}


def test_a_condition_is_written_with_generation_and_time() -> None:
    (written,) = merge_conditions([], [SCALING], generation=4, now=NOW)
    assert written == {
        "type": "ScalingActive",
        "status": "False",
        "reason": "TargetNotFound",
        "message": "no such Deployment",
        "lastTransitionTime": "2026-11-21T08:00:00Z",
        "observedGeneration": 4,
    }


def test_the_time_stays_while_the_status_does_whatever_else_changes() -> None:
    old = merge_conditions([], reconciling(Reason.PENDING, "first"), generation=1, now=THEN)
    new = merge_conditions(old, reconciling(Reason.DATABASE_UNAVAILABLE, "second"), generation=2, now=NOW)
    assert {each["lastTransitionTime"] for each in new} == {"2026-11-21T07:16:00Z"}
    assert [each["reason"] for each in new] == ["DatabaseUnavailable"] * 3
    assert [each["observedGeneration"] for each in new] == [2, 2, 2]


def test_the_time_moves_with_the_status() -> None:
    old = merge_conditions([], reconciling(Reason.PENDING, ""), generation=1, now=THEN)
    new = merge_conditions(old, ready(Reason.RECONCILED), generation=1, now=NOW)
    assert {each["type"]: each["lastTransitionTime"][11:16] for each in new} == {
        "Ready": "08:00",
        "Reconciling": "08:00",
        "Stalled": "07:16",
    }


def test_a_condition_that_is_not_relevant_any_more_is_gone() -> None:
    old = merge_conditions([], [*ready(Reason.RECONCILED), SCALING], generation=1, now=THEN)
    new = merge_conditions(old, ready(Reason.RECONCILED), generation=1, now=NOW)
    assert [each["type"] for each in new] == ["Ready", "Reconciling", "Stalled"]


def test_merging_twice_changes_nothing() -> None:
    once = merge_conditions([], ready(Reason.RECONCILED, "in sync"), generation=1, now=THEN)
    assert merge_conditions(once, ready(Reason.RECONCILED, "in sync"), generation=1, now=NOW) == once
