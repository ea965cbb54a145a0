from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dbos_operator.decide.changes import RowWrite, Write
from dbos_operator.decide.child import ChildPlan, decide_child
from dbos_operator.decide.rows import Owned, Row
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import Kind
from dbos_operator.resources.specs import RateLimit, ScheduleDeletion
from support.builders import CLUSTER, NOW, a_queue, a_queue_row, a_record, a_schedule, a_schedule_row, a_situation

OURS = f"k8s:{CLUSTER}:uid-of-emails"
OUR_SCHEDULE = f"k8s:{CLUSTER}:uid-of-nightly"


def queue_plan(spec: dict[str, Any], *rows: Row | Owned) -> ChildPlan:
    return decide_child(a_queue(spec=spec), a_situation(*rows))


def schedule_plan(spec: dict[str, Any], *rows: Row | Owned) -> ChildPlan:
    return decide_child(a_schedule(spec=spec), a_situation(*rows))


def write_of(plan: ChildPlan) -> RowWrite:
    assert isinstance(plan.change, RowWrite)
    return plan.change


def record(applied: dict[str, Any]) -> Owned:
    return a_record(Kind.QUEUE, "emails", "uid-of-emails", applied=applied)


def test_a_missing_row_is_inserted_in_full_and_only_what_is_named_is_managed() -> None:
    plan = queue_plan({"concurrency": 3, "rate_limit": RateLimit(5, timedelta(minutes=1))})
    write = write_of(plan)
    assert (write.write, write.row_id, plan.reason) == (Write.INSERT, OURS, Reason.CREATED)
    assert write.columns == {
        "concurrency": 3,
        "worker_concurrency": None,
        "rate_limit_max": 5,
        "rate_limit_period_sec": 60.0,
        "polling_interval_sec": 1.0,
    }
    assert write.record.applied == {"concurrency": 3, "rate_limit_max": 5, "rate_limit_period_sec": 60.0}


def test_a_row_that_somebody_deleted_is_inserted_again_in_place_of_its_record() -> None:
    plan = queue_plan({}, record({}))
    assert write_of(plan).write is Write.INSERT
    assert write_of(plan).record_seen == "uid-of-emails"


@pytest.mark.parametrize(
    ("spec", "row", "applied", "change", "reason"),
    [
        ({"concurrency": 3}, {"concurrency": 3}, {"concurrency": 3}, None, Reason.RECONCILED),
        ({}, {"concurrency": 8}, {}, None, Reason.RECONCILED),
        ({"concurrency": 3}, {"concurrency": 8}, {"concurrency": 3}, {"concurrency": 3}, Reason.DRIFT_CORRECTED),
        ({"concurrency": 4}, {"concurrency": 3}, {"concurrency": 3}, {"concurrency": 4}, Reason.UPDATED),
        ({}, {"concurrency": 3}, {"concurrency": 3}, {"concurrency": None}, Reason.UPDATED),
        (
            {},
            {"polling_interval_sec": 5.0},
            {"polling_interval_sec": 5.0},
            {"polling_interval_sec": 1.0},
            Reason.UPDATED,
        ),
    ],
)
def test_an_owned_row_follows_its_resource(
    spec: dict[str, Any], row: dict[str, Any], applied: dict[str, Any], change: dict[str, Any] | None, reason: Reason
) -> None:
    plan = queue_plan(spec, a_queue_row(row_id=OURS, **row), record(applied))
    assert plan.reason is reason
    if change is None:
        assert plan.change is None
    else:
        assert write_of(plan).columns == change
        assert write_of(plan).seen == {column: row[column] for column in change}


def test_a_reset_happens_once() -> None:
    first = queue_plan({}, a_queue_row(row_id=OURS, concurrency=3), record({"concurrency": 3}))
    again = queue_plan({}, a_queue_row(row_id=OURS, concurrency=8), write_of(first).record)
    assert again.change is None


def test_an_adoption_keeps_the_id_and_what_was_there() -> None:
    plan = queue_plan({"concurrency": 3}, a_queue_row(concurrency=9, worker_concurrency=4))
    write = write_of(plan)
    assert (write.write, write.row_id, plan.reason) == (Write.UPDATE, "some-id", Reason.ADOPTED)
    assert write.columns == {"concurrency": 3}
    assert write.record.previous is not None
    assert write.record.previous["concurrency"] == 9
    assert plan.message == "adopted the row 'emails': concurrency 9 → 3"
    later = queue_plan({"concurrency": 3}, a_queue_row(concurrency=3, worker_concurrency=4), write.record)
    assert later.change is None
    assert later.previous == write.record.previous


def test_an_adoption_without_a_difference_only_records() -> None:
    assert write_of(queue_plan({"concurrency": 3}, a_queue_row(concurrency=3))).write is Write.RECORD


def test_a_taken_row_is_not_touched() -> None:
    plan = queue_plan({"concurrency": 3}, a_queue_row(row_id="k8s:c2:x"))
    assert plan.change is None
    assert plan.problem is not None
    assert plan.problem.reason is Reason.NAME_TAKEN


def test_a_new_schedule_is_active_in_its_zone_with_its_context() -> None:
    plan = schedule_plan({"context": {"a": 1}, "has_context": True, "time_zone": "Asia/Tokyo"})
    write = write_of(plan)
    assert write.columns["status"] == "ACTIVE"
    assert write.columns["cron_timezone"] == "Asia/Tokyo"
    assert str(write.columns["context"]).startswith("gA")
    assert write.record.active_since == NOW
    assert set(write.record.applied) == {"workflow_name", "schedule", "cron_timezone", "status", "context"}


def test_a_suspended_schedule_is_paused_and_owes_nothing() -> None:
    plan = schedule_plan({"suspend": True, "has_suspend": True})
    assert write_of(plan).columns["status"] == "PAUSED"
    assert write_of(plan).record.active_since is None
    assert plan.suspended
    assert plan.clockwork is None


def test_an_adopted_schedule_keeps_zone_context_and_status_that_nobody_names() -> None:
    row = a_schedule_row(cron_timezone="Asia/Tokyo", status="PAUSED")
    write = write_of(schedule_plan({}, row))
    assert write.write is Write.RECORD
    assert set(write.record.applied) == {"workflow_name", "schedule"}


def test_an_adopted_schedule_takes_what_is_named() -> None:
    row = a_schedule_row(cron_timezone="Asia/Tokyo", status="PAUSED")
    named = {"time_zone": "UTC", "has_time_zone": True, "has_suspend": True, "context": 1, "has_context": True}
    write = write_of(schedule_plan(named, row))
    assert set(write.columns) == {"cron_timezone", "status", "context"}


def test_a_paused_row_with_our_mark_is_active_again_and_counts_as_created() -> None:
    plan = schedule_plan({}, a_schedule_row(row_id=f"k8s:{CLUSTER}:gone", status="PAUSED"))
    assert plan.reason is Reason.CREATED
    assert write_of(plan).columns["status"] == "ACTIVE"
    assert write_of(plan).record.previous is None


def test_bytes_that_were_written_are_kept_while_the_context_is_the_same() -> None:
    first = write_of(schedule_plan({"context": {"a": 1}, "has_context": True}))
    old = a_record(
        Kind.SCHEDULE,
        "nightly",
        "uid-of-nightly",
        applied={**first.record.applied, "context": "other bytes of the same value"},
        source=first.record.source,
        active_since=NOW,
    )
    columns = {**first.columns, "context": "other bytes of the same value"}
    row = a_schedule_row(row_id=OUR_SCHEDULE, **columns)
    assert schedule_plan({"context": {"a": 1}, "has_context": True}, row, old).change is None
    changed = write_of(schedule_plan({"context": {"a": 2}, "has_context": True}, row, old))
    assert set(changed.columns) == {"context"}


def owned_schedule(**fields: Any) -> tuple[Row, Owned]:
    first = write_of(schedule_plan({}))
    record = a_record(
        Kind.SCHEDULE,
        "nightly",
        "uid-of-nightly",
        applied=dict(first.record.applied),
        source=first.record.source,
        active_since=NOW - timedelta(hours=1),
    )
    return a_schedule_row(row_id=OUR_SCHEDULE, **{**first.columns, **fields}), record


def test_an_edit_of_text_or_zone_starts_the_clock_anew_and_drift_does_not() -> None:
    row, record = owned_schedule()
    edited = write_of(schedule_plan({"schedule": "@daily"}, row, record))
    assert edited.record.active_since == NOW
    drifted, record = owned_schedule(schedule="@hourly")
    assert write_of(schedule_plan({}, drifted, record)).record.active_since == NOW - timedelta(hours=1)


def test_the_zone_before_an_edit_is_remembered() -> None:
    row, record = owned_schedule()
    edited = write_of(schedule_plan({"time_zone": "Asia/Tokyo", "has_time_zone": True}, row, record))
    assert (edited.record.zone_before, edited.record.zone_changed_at) == ("UTC", NOW)


def test_an_unchanged_schedule_writes_nothing() -> None:
    assert schedule_plan({}, *owned_schedule()).change is None


@pytest.mark.parametrize(
    ("spec", "held"),
    [({}, True), ({"deletion_policy": "Delete"}, True), ({"deletion_policy": "Retain"}, False)],
)
def test_a_finalizer_is_asked_for_where_the_policy_acts(spec: dict[str, Any], held: bool) -> None:
    values = {key: ScheduleDeletion(value) for key, value in spec.items()}
    assert schedule_plan(values).finalizers == (("dbos.dev/row",) if held else None)
    assert queue_plan({}).finalizers is None
