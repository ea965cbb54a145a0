"""Runs that the operator fires are the ones that the published package's scheduler would have started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dbos.serialization.encoding import encode_scheduled_inputs
from dbos_operator.decide.changes import Fire, RowWrite, Write
from dbos_operator.gateway.protocol import Gateway
from dbos_operator.resources.identity import Kind, Uid
from support.gateway_changes import a_record
from support.peer import start_peer
from support.waiting import eventually

Sql = Callable[..., list[dict[str, Any]]]

APPLICATION = """
import sys
from dbos import DBOS

DBOS(config={"name": "orders", "system_database_url": sys.argv[1], "application_version": "v1"})

@DBOS.workflow()
def report(moment, context):
    return [moment.isoformat(), context]

DBOS.launch()
DBOS.register_queue("reports")
DBOS.create_schedule(
    schedule_name="often", workflow_fn=report, schedule="*/2 * * * * *", context={"region": "eu"},
    cron_timezone="Asia/Tokyo", queue_name="reports",
)
sys.stdin.read()
DBOS.destroy()
"""
CLAIMED = frozenset(
    {
        "workflow_uuid",
        "status",
        "executor_id",
        "application_version",
        "created_at",
        "updated_at",
        "completed_at",
        "started_at_epoch_ms",
        "recovery_attempts",
        "owner_xid",
    }
)
"""Columns that time, the scheduler's version or a claim make different."""


def adopt(row: dict[str, Any]) -> RowWrite:
    return RowWrite(
        write=Write.RECORD,
        row_id=row["schedule_id"],
        columns={},
        seen={},
        record=a_record(Kind.SCHEDULE, "often", "s1"),
        record_seen=None,
    )


def fire(row: dict[str, Any], moment: datetime) -> Fire:
    return Fire(
        workflow_id=f"sched-often-{moment.isoformat()}",
        other_ids=(),
        uid=Uid("s1"),
        schedule_name="often",
        schedule_id=row["schedule_id"],
        due=moment,
        workflow_name=row["workflow_name"],
        class_name=None,
        queue_name="reports",
        application_name="orders",
        inputs=encode_scheduled_inputs(moment, {"region": "eu"}, None),
    )


def moment_of(row: dict[str, Any]) -> datetime:
    text = row["workflow_uuid"].removeprefix("sched-often-")
    return datetime.fromisoformat(text).astimezone(ZoneInfo("Asia/Tokyo"))


def test_both_start_the_same_rows_and_the_published_worker_runs_ours(
    peer: Path, database_url: str, gateway: Gateway, sql: Sql
) -> None:
    def runs() -> dict[str, dict[str, Any]]:
        found = sql(
            "SELECT workflow_status.*, workflow_input.inputs AS encoded"
            " FROM workflow_status JOIN workflow_input USING (workflow_uuid) WHERE status = 'SUCCESS'"
        )
        return {row["workflow_uuid"]: row for row in found}

    with start_peer(APPLICATION, database_url) as application:
        theirs = next(iter(eventually(runs, bool, what="run of the schedule", within=40).values()))
        [schedule] = sql("SELECT * FROM workflow_schedules")
        # A moment in between: a worker that lives would not start it.
        moment = datetime(2026, 11, 21, 3, 0, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
        ours = fire(schedule, moment)
        assert [result.rows for result in gateway.apply([adopt(schedule), ours])] == [1, 1]
        done = eventually(runs, lambda found: ours.workflow_id in found, what="run of ours")[ours.workflow_id]
        again = fire(schedule, moment_of(theirs))
        assert gateway.apply([again])[0].rows == 0
        assert application.stdin is not None
        application.stdin.close()
    assert {key: done[key] for key in done if key not in CLAIMED | {"encoded"}} == {
        key: theirs[key] for key in theirs if key not in CLAIMED | {"encoded"}
    }
    assert again.inputs == theirs["encoded"]
