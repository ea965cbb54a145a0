"""Runs that the operator fires and runs that workers of this package fire are the same rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dbos.core.ids import WorkflowId
from dbos.core.schedule_ids import schedule_workflow_id
from dbos.serialization.encoding import encode_context, encode_scheduled_inputs
from dbos.store.schedules import ScheduledRun, ScheduleRow, create_schedule, enqueue_runs
from dbos_operator.decide.changes import Fire, RowWrite, Write
from dbos_operator.gateway.protocol import Gateway
from dbos_operator.resources.identity import Kind, Uid
from support.gateway_changes import a_record
from support.store_records import opened

Sql = Callable[..., list[dict[str, Any]]]

ROW = ScheduleRow(
    schedule_id="id",
    schedule_name="often",
    workflow_name="report",
    workflow_class_name="Clerk",
    schedule="* * * * * *",
    context=encode_context({"region": "eu"}, None),
    cron_timezone="Asia/Tokyo",
    queue_name="reports",
    application_name="orders",
)
ADOPTION = RowWrite(
    write=Write.RECORD,
    row_id=ROW.schedule_id,
    columns={},
    seen={},
    record=a_record(Kind.SCHEDULE, "often", "s1"),
    record_seen=None,
)
DIFFERENT = {"workflow_uuid", "created_at", "updated_at", "application_version", "retention_timestamp", "inputs"}
"""Columns that the moment makes different; a worker also names the latest version, which takes the operator's."""


def at(second: int) -> datetime:
    return datetime(2026, 11, 21, 3, 0, second, tzinfo=ZoneInfo("Asia/Tokyo"))


def by_worker(url: str, moment: datetime) -> list[WorkflowId]:
    """Fire as a worker does."""
    run = ScheduledRun(
        workflow_id=WorkflowId(schedule_workflow_id("often", moment)),
        workflow_name="report",
        inputs=encode_scheduled_inputs(moment, {"region": "eu"}, None),
        class_name="Clerk",
        queue_name="reports",
        schedule_name="often",
        application_name="orders",
        seen=ROW,
        moment=moment.isoformat(),
    )
    with opened(url) as database:
        return database.run(lambda: enqueue_runs([run]))


def by_operator(moment: datetime) -> Fire:
    return Fire(
        workflow_id=schedule_workflow_id("often", moment),
        other_ids=(),
        uid=Uid("s1"),
        schedule_name="often",
        schedule_id=ROW.schedule_id,
        due=moment,
        workflow_name="report",
        class_name="Clerk",
        queue_name="reports",
        application_name="orders",
        inputs=encode_scheduled_inputs(moment, {"region": "eu"}, None),
    )


def test_whoever_comes_second_inserts_nothing_and_both_rows_are_alike(
    database_url: str, gateway: Gateway, sql: Sql
) -> None:
    with opened(database_url) as database:
        database.transact(lambda: create_schedule(ROW))
    assert [result.rows for result in gateway.apply([ADOPTION, by_operator(at(1))])] == [1, 1]
    assert by_worker(database_url, at(1)) == []
    assert by_worker(database_url, at(2)) == ["sched-often-2026-11-21T03:00:02+09:00"]
    assert [result.rows for result in gateway.apply([by_operator(at(2))])] == [0]
    first, second = sql(
        "SELECT * FROM workflow_status JOIN workflow_input USING (workflow_uuid) ORDER BY workflow_uuid"
    )
    assert {key: first[key] for key in first.keys() - DIFFERENT} == {
        key: second[key] for key in second.keys() - DIFFERENT
    }
    assert [row["last_fired_at"] for row in sql("SELECT last_fired_at FROM workflow_schedules")] == [
        "2026-11-21T03:00:02+09:00"
    ]
