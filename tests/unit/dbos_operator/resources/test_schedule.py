"""DBOSSchedule manifests as values."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ObjectKey
from dbos_operator.resources.resource import Problem
from dbos_operator.resources.schedule import parse_schedule
from dbos_operator.resources.specs import ScheduleDeletion, ScheduleSpec
from support.manifests import a_manifest

NIGHTLY = {"workflowName": "nightly_report", "schedule": "0 2 * * *"}


def parsed(**fields: Any) -> ScheduleSpec:
    resource = parse_schedule(a_manifest("DBOSSchedule", {**NIGHTLY, **fields}, name="nightly"))
    assert resource.problem is None
    assert resource.spec is not None
    return resource.spec


def problem(**fields: Any) -> Problem:
    resource = parse_schedule(a_manifest("DBOSSchedule", {**NIGHTLY, **fields}))
    assert resource.spec is None
    assert resource.problem is not None
    return resource.problem


def test_a_workflow_and_a_cron_text_are_enough() -> None:
    assert parsed() == ScheduleSpec(
        database=None,
        schedule_name="nightly",
        workflow_name="nightly_report",
        schedule="0 2 * * *",
        workflow_class_name=None,
        time_zone="UTC",
        has_time_zone=False,
        context=None,
        has_context=False,
        queue_name=None,
        suspend=False,
        has_suspend=False,
        deletion_policy=ScheduleDeletion.PAUSE,
    )


def test_every_field_is_taken_from_the_manifest() -> None:
    spec = parsed(
        databaseRef={"name": "main"},
        scheduleName="Nightly Report",
        workflowClassName="Reports",
        schedule="*/10 * * * * *",
        timeZone="Europe/Berlin",
        context={"region": "eu"},
        queueName="reports",
        suspend=True,
        deletionPolicy="Retain",
    )
    assert spec == ScheduleSpec(
        database=ObjectKey("team", "main"),
        schedule_name="Nightly Report",
        workflow_name="nightly_report",
        schedule="*/10 * * * * *",
        workflow_class_name="Reports",
        time_zone="Europe/Berlin",
        has_time_zone=True,
        context={"region": "eu"},
        has_context=True,
        queue_name="reports",
        suspend=True,
        has_suspend=True,
        deletion_policy=ScheduleDeletion.RETAIN,
    )


def test_a_context_of_null_is_a_context_and_none_at_all_is_none() -> None:
    assert parsed(context=None).has_context
    assert not parsed().has_context


def test_what_the_manifest_says_of_suspending_is_told_apart_from_silence() -> None:
    assert (parsed(suspend=False).suspend, parsed(suspend=False).has_suspend) == (False, True)


@pytest.mark.parametrize("text", ["", "* * * *", "0 0 30 2 *", "99 * * * *", "R * * * *", "every day", "* * * * * * *"])
def test_a_cron_text_that_cannot_be_used_has_a_reason_of_its_own(text: str) -> None:
    found = problem(schedule=text)
    assert found.reason is Reason.INVALID_SCHEDULE
    assert found.message.startswith("spec.schedule: expected ")
    assert repr(text) in found.message


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "CEST+1", "Europe", "localtime", "Factory"])
def test_a_time_zone_that_nobody_knows_has_a_reason_of_its_own(name: str) -> None:
    assert problem(timeZone=name) == Problem(
        Reason.INVALID_TIME_ZONE, f"spec.timeZone: expected an IANA time zone such as Europe/Berlin, got {name!r}"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"workflowName": None}, "spec.workflowName"),
        ({"workflowName": "  "}, "spec.workflowName"),
        ({"workflowName": "_dbos_debouncer"}, "spec.workflowName"),
        ({"workflowClassName": ""}, "spec.workflowClassName"),
        ({"schedule": None}, "spec.schedule"),
        ({"schedule": 5}, "spec.schedule"),
        ({"timeZone": 2}, "spec.timeZone"),
        ({"scheduleName": "_dbos_x"}, "spec.scheduleName"),
        ({"queueName": "_dbos_internal_queue"}, "spec.queueName"),
        ({"suspend": "no"}, "spec.suspend"),
        ({"deletionPolicy": "Keep"}, "spec.deletionPolicy"),
        ({"firedBy": "Auto"}, "spec"),
        ({"context": date(2026, 1, 1)}, "spec.context"),
        ({"context": {"when": [1, date(2026, 1, 1)]}}, "spec.context.when[1]"),
        ({"context": {"a": {1: "x"}}}, "spec.context.a"),
        ({"context": float("nan")}, "spec.context"),
    ],
)
def test_a_bad_field_is_a_problem_that_names_it(fields: dict[str, Any], field: str) -> None:
    found = problem(**fields)
    assert found.reason is Reason.INVALID_SPEC
    assert found.message.startswith(f"{field}: expected ")


def test_a_context_that_contains_itself_is_a_problem_and_no_crash() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "expected JSON of at most 100 levels" in problem(context=endless).message


def test_equal_contexts_become_equal_bytes_however_they_were_written() -> None:
    text = "".join(["x", "y"])
    shared = [1]
    one = parsed(context={"b": [text, text], "a": {"k": shared, "l": shared}}).context
    other = parsed(context={"a": {"l": [1], "k": [1]}, "b": ["".join(["x", "y"]), "".join(["x", "y"])]}).context
    assert pickle.dumps(one) == pickle.dumps(other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_a_context(value: Any) -> None:
    assert parsed(context=value).context == value
