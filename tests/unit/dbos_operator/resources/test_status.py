"""What a status says, and when it is worth writing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import ready, reconciling
from dbos_operator.resources.status import (
    DatabaseStatus,
    FiredBy,
    QueueDepth,
    QueueStatus,
    ScalingStatus,
    ScheduleStatus,
    bucket,
    contract_changed,
    render_database,
    render_queue,
    render_schedule,
    status_differs,
    status_patch,
    telemetry_changed,
)

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FRESH = {"observedGeneration": -1}
READY = ready(Reason.RECONCILED, "in sync")
OLDEST = datetime(2026, 11, 21, 7, 59, 18, 250_000, tzinfo=UTC)
SCALING = ScalingStatus(replicas=2, wanted=4, demand=35, useful=35, message="35 workflows to run: 4 replicas")


def queue(enqueued: int = 0, *, scaling: ScalingStatus | None = None, **fields: Any) -> QueueStatus:
    depth = QueueDepth(enqueued=enqueued, delayed=0, running=3, oldest_enqueued=OLDEST if enqueued else None)
    return QueueStatus(
        **{"generation": 1, "conditions": READY, "queue_name": "q", "depth": depth, "scaling": scaling, **fields}
    )


def rendered(status: QueueStatus, old: dict[str, Any] | None = None, now: datetime = NOW) -> dict[str, Any]:
    return render_queue(status, FRESH if old is None else old, now=now)


def without_conditions(status: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "conditions"}


def test_a_database_tells_its_version_and_how_many_use_it() -> None:
    status = DatabaseStatus(
        generation=2, conditions=READY, schema_version=125, application_version="v1", queues=3, schedules=0
    )
    assert without_conditions(render_database(status, FRESH, now=NOW)) == {
        "observedGeneration": 2,
        "schemaVersion": 125,
        "applicationVersion": "v1",
        "queues": 3,
        "schedules": 0,
    }


def test_a_queue_tells_its_depth_and_why_it_has_its_replicas() -> None:
    hold = ScalingStatus(
        replicas=4, wanted=1, demand=1234, useful=10, limited_by="concurrency 10", message="why", hold_until=LATER
    )
    assert without_conditions(rendered(queue(1234, scaling=hold))) == {
        "observedGeneration": 1,
        "queueName": "q",
        "enqueued": 1200,
        "delayed": 0,
        "running": 3,
        "oldestEnqueued": "2026-11-21T07:59:10Z",
        "scaling": {
            "replicas": 4,
            "wanted": 1,
            "summary": "4/1",
            "demand": 1200,
            "useful": 10,
            "limitedBy": "concurrency 10",
            "message": "why",
            "holdUntil": "2026-11-21T08:05:00Z",
        },
    }


def test_a_schedule_tells_its_next_runs_in_its_own_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    runs = [datetime(2026, 11, 22 + day, 2, tzinfo=zone) for day in range(7)]
    status = ScheduleStatus(
        generation=1,
        conditions=READY,
        schedule_name="s",
        next_runs=runs,
        last_fired=datetime(2026, 11, 21, 2, tzinfo=zone),
        last_workflow_id="sched-s-2026-11-21T02:00:00+01:00",
        fired_by=FiredBy.OPERATOR,
    )
    assert without_conditions(render_schedule(status, FRESH, now=NOW)) == {
        "observedGeneration": 1,
        "scheduleName": "s",
        "nextRuns": [f"2026-11-{day}T02:00:00+01:00" for day in range(22, 27)],
        "lastFired": "2026-11-21T01:00:00Z",
        "lastRun": {"workflowID": "sched-s-2026-11-21T02:00:00+01:00"},
        "firedBy": "Operator",
    }


def test_what_is_not_known_leaves_what_was_shown() -> None:
    before = rendered(queue(12))
    after = rendered(queue(depth=None, conditions=reconciling(Reason.DATABASE_UNAVAILABLE, "down")), before)
    assert (after["enqueued"], after["running"], after["oldestEnqueued"]) == (12, 3, "2026-11-21T07:59:10Z")
    assert "enqueued" not in rendered(queue(depth=None))

    shown = render_schedule(ScheduleStatus(generation=1, conditions=READY, last_fired=NOW), FRESH, now=NOW)
    kept = render_schedule(ScheduleStatus(generation=1, conditions=READY), shown, now=NOW)
    assert kept["lastFired"] == "2026-11-21T08:00:00Z"


def test_what_is_known_to_be_nothing_is_gone() -> None:
    before = rendered(queue(12, scaling=SCALING))
    after = rendered(queue(0), before)
    assert "oldestEnqueued" not in after
    assert "scaling" not in after
    assert after["enqueued"] == 0


def test_a_schedule_without_next_runs_says_so() -> None:
    shown = render_schedule(ScheduleStatus(generation=1, conditions=READY, next_runs=()), {"nextRuns": ["x"]}, now=NOW)
    assert shown["nextRuns"] == []


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (99, 99), (100, 100), (109, 100), (1_999, 1_900), (123_456, 120_000)]
)
def test_counts_are_exact_when_small_and_rounded_when_large(count: int, shown: int) -> None:
    assert bucket(count) == shown


@given(st.integers(0, 10**9))
def test_rounding_stays_within_a_tenth_and_rounds_once(count: int) -> None:
    shown = bucket(count)
    assert 0 <= count - shown <= count / 10
    assert bucket(shown) == shown


def test_the_same_again_is_not_worth_writing() -> None:
    before = rendered(queue(12, scaling=SCALING))
    assert not status_differs(before, rendered(queue(12, scaling=SCALING), before, LATER))
    assert status_patch(before, rendered(queue(12, scaling=SCALING), before, LATER)) == {}


def test_a_move_within_a_bucket_is_not_worth_writing() -> None:
    before = rendered(queue(1234))
    assert not status_differs(before, rendered(queue(1289), before))
    assert telemetry_changed(before, rendered(queue(1300), before))


def test_a_new_sentence_about_the_same_replicas_is_not_worth_writing() -> None:
    before = rendered(queue(12, scaling=SCALING))
    reworded = ScalingStatus(replicas=2, wanted=4, demand=35, useful=35, message="said in another way")
    assert not status_differs(before, rendered(queue(12, scaling=reworded), before))


@pytest.mark.parametrize(
    "after",
    [
        queue(conditions=reconciling(Reason.DATABASE_UNAVAILABLE, "down")),
        queue(conditions=ready(Reason.SUSPENDED, "in sync")),
        queue(generation=2),
        queue(queue_name="other"),
    ],
)
def test_what_others_wait_for_is_the_contract(after: QueueStatus) -> None:
    before = rendered(queue())
    new = rendered(after, before, LATER)
    assert contract_changed(before, new)
    assert status_differs(before, new)


@pytest.mark.parametrize(
    "after", [queue(7), queue(scaling=SCALING), queue(conditions=ready(Reason.RECONCILED, "in sync, said otherwise"))]
)
def test_numbers_and_sentences_are_telemetry(after: QueueStatus) -> None:
    before = rendered(queue())
    new = rendered(after, before, LATER)
    assert telemetry_changed(before, new)
    assert not contract_changed(before, new)


def test_a_fresh_status_is_a_change_of_contract() -> None:
    assert contract_changed(FRESH, rendered(queue()))


def test_a_patch_holds_what_changed_and_null_for_what_is_gone() -> None:
    before = rendered(queue(12, scaling=ScalingStatus(replicas=2, wanted=4, limited_by="maxReplicas 4")))
    after = rendered(queue(0, scaling=ScalingStatus(replicas=4, wanted=4)), before)
    assert status_patch(before, after) == {
        "enqueued": 0,
        "oldestEnqueued": None,
        "scaling": {"replicas": 4, "summary": "4/4", "limitedBy": None},
    }
