"""Rows of schedules and the runs that they start: each once, and only while the row says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from dbos._error import DBOSException
from dbos.core.ids import WorkflowId
from dbos.store.database import SystemDatabase
from dbos.store.schedules import (
    ScheduledRun,
    ScheduleRow,
    ScheduleStatus,
    apply_schedules,
    create_schedule,
    delete_schedule,
    digest_active_schedules,
    enqueue_runs,
    load_active_schedules,
    load_schedule,
    load_schedules,
    set_schedule_status,
)
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

ROW = ScheduleRow(
    schedule_id="id-1",
    schedule_name="nightly",
    workflow_name="report",
    workflow_class_name="Clerk",
    schedule="0 2 * * *",
    context="text",
    automatic_backfill=True,
    cron_timezone="Europe/Berlin",
    queue_name="reports",
    application_name="orders",
)


def a_run(workflow_id: str = "sched-nightly-1", **fields: Any) -> ScheduledRun:
    """A run of ROW; keywords replace fields."""
    given: dict[str, Any] = {
        "workflow_id": WorkflowId(workflow_id),
        "workflow_name": "report",
        "class_name": "Clerk",
        "queue_name": "reports",
        "inputs": "inputs",
        "schedule_name": "nightly",
        "application_name": "orders",
        "seen": ROW,
        "moment": "2026-11-21T02:00:00+01:00",
    }
    return ScheduledRun(**{**given, **fields})


def _enqueue(database: SystemDatabase, *runs: ScheduledRun) -> list[str]:
    return list(database.transact(lambda: enqueue_runs(runs)))


def _stored(sql: Bystander, workflow_id: str = "sched-nightly-1") -> dict[str, Any]:
    [row] = sql.execute(
        "SELECT w.*, i.inputs AS payload FROM dbos.workflow_status w JOIN dbos.workflow_input i"
        " ON i.workflow_uuid = w.workflow_uuid WHERE w.workflow_uuid = %s",
        [workflow_id],
    ).fetchall()
    return row


def test_a_row_comes_back_as_it_was_written(database: SystemDatabase) -> None:
    database.transact(lambda: create_schedule(ROW))
    assert database.run(lambda: load_schedule("nightly")) == ROW
    assert database.run(load_schedules) == [ROW]
    assert database.run(lambda: load_schedule("other")) is None


def test_a_repeated_insert_knows_its_row_and_another_is_refused(database: SystemDatabase) -> None:
    for _ in range(2):
        database.transact(lambda: create_schedule(ROW))
    with pytest.raises(DBOSException, match="already exists"):
        database.transact(lambda: create_schedule(replace(ROW, schedule_id="id-2")))
    with pytest.raises(DBOSException, match="belongs to application 'orders'"):
        database.transact(lambda: create_schedule(replace(ROW, schedule_id="id-2", application_name="billing")))


def test_applying_changes_what_it_says_and_keeps_the_rest(database: SystemDatabase) -> None:
    database.transact(lambda: create_schedule(ROW))
    database.transact(lambda: set_schedule_status("nightly", ScheduleStatus.PAUSED))
    wanted = ScheduleRow(
        schedule_id="new", schedule_name="nightly", workflow_name="w", schedule="1 * * * *", context="c"
    )
    assert database.transact(lambda: apply_schedules([wanted])) == []
    expected = replace(wanted, schedule_id="id-1", status="PAUSED", application_name="orders")
    assert database.run(lambda: load_schedule("nightly")) == expected


def test_applying_is_undone_when_one_belongs_to_another_application(database: SystemDatabase) -> None:
    database.transact(lambda: create_schedule(replace(ROW, application_name="billing")))
    other = replace(ROW, schedule_id="id-2", schedule_name="first")
    with pytest.raises(DBOSException, match="belongs to application 'billing'"):
        database.transact(lambda: apply_schedules([other, ROW]))
    assert [row.schedule_name for row in database.run(load_schedules)] == ["nightly"]


def test_an_unowned_schedule_becomes_that_of_who_applies_it(database: SystemDatabase) -> None:
    database.transact(lambda: create_schedule(replace(ROW, application_name=None)))
    database.transact(lambda: apply_schedules([ROW]))
    assert database.run(lambda: load_schedule("nightly")) == ROW


def test_managed_rows_stay_as_they_are(database: SystemDatabase) -> None:
    managed = replace(ROW, schedule_id="k8s:cluster:uid")
    database.transact(lambda: create_schedule(managed))
    assert managed.managed
    assert database.transact(lambda: apply_schedules([replace(ROW, schedule="1 * * * *")])) == ["nightly"]
    assert not database.transact(lambda: set_schedule_status("nightly", ScheduleStatus.PAUSED))
    assert not database.transact(lambda: delete_schedule("nightly"))
    assert database.run(load_schedules) == [managed]


def test_changing_a_schedule_that_is_not_there_is_no_change(database: SystemDatabase) -> None:
    assert database.transact(lambda: set_schedule_status("nowhere", ScheduleStatus.PAUSED))
    assert database.transact(lambda: delete_schedule("nowhere"))


def test_a_worker_follows_active_schedules_of_its_own_and_of_nobody(database: SystemDatabase) -> None:
    for number, (name, application) in enumerate(
        [("own", "orders"), ("free", None), ("foreign", "billing"), ("paused", "orders")]
    ):
        row = replace(ROW, schedule_id=str(number), schedule_name=name, application_name=application)
        database.transact(lambda row=row: create_schedule(row))  # type: ignore[misc]
    database.transact(lambda: set_schedule_status("paused", ScheduleStatus.PAUSED))
    found = database.run(lambda: load_active_schedules("orders"))
    assert sorted(row.schedule_name for row in found) == ["free", "own"]


def test_a_run_is_enqueued_once_and_noted(database: SystemDatabase, sql: Bystander) -> None:
    sql.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, version_timestamp, application_name)"
        " VALUES ('1', 'v1', 1, 'orders'), ('2', 'v2', 2, 'orders'), ('3', 'v3', 3, 'billing')"
    )
    database.transact(lambda: create_schedule(ROW))
    assert _enqueue(database, a_run()) == ["sched-nightly-1"]
    assert _enqueue(database, a_run(inputs="others", moment="2026-11-22T02:00:00+01:00")) == []
    row = _stored(sql)
    wanted = {
        "status": "ENQUEUED",
        "name": "report",
        "class_name": "Clerk",
        "queue_name": "reports",
        "schedule_name": "nightly",
        "application_name": "orders",
        "application_version": "v2",
        "serialization": None,
        "executor_id": None,
        "creator_xid": None,
        "owner_xid": None,
        "recovery_attempts": 0,
        "priority": 0,
        "payload": "inputs",
    }
    assert {name: row[name] for name in wanted} == wanted
    schedule = database.run(lambda: load_schedule("nightly"))
    assert schedule is not None
    assert schedule.last_fired_at == "2026-11-21T02:00:00+01:00"


@pytest.mark.parametrize(
    "change",
    [
        {"schedule_id": "another"},
        {"schedule": "0 3 * * *"},
        {"context": "other"},
        {"cron_timezone": None},
        {"queue_name": None},
        {"workflow_name": "w"},
        {"workflow_class_name": None},
        {"status": "PAUSED"},
    ],
)
def test_a_row_that_says_something_else_meanwhile_starts_nothing(
    database: SystemDatabase, sql: Bystander, change: dict[str, Any]
) -> None:
    database.transact(lambda: create_schedule(ROW))
    (column,) = change
    sql.execute(f"UPDATE dbos.workflow_schedules SET {column} = %s", [change[column]])
    assert _enqueue(database, a_run()) == []
    assert _enqueue(database, a_run(seen=None)) == ["sched-nightly-1"]


def test_a_deleted_schedule_starts_nothing(database: SystemDatabase) -> None:
    assert _enqueue(database, a_run()) == []


def test_processes_that_fire_the_same_runs_share_them_out(database: SystemDatabase, sql: Bystander) -> None:
    database.transact(lambda: create_schedule(ROW))
    runs = [a_run(f"sched-nightly-{number:03}") for number in range(50)]
    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(lambda turn: _enqueue(database, *(runs if turn % 2 else runs[::-1])), range(4)))
    started = [workflow_id for share in shares for workflow_id in share]
    assert sorted(started) == [run.workflow_id for run in runs]
    assert len(sql.execute("SELECT 1 FROM dbos.workflow_input").fetchall()) == 50


def test_the_digest_changes_with_what_is_to_be_fired_and_with_nothing_else(
    database: SystemDatabase, sql: Bystander
) -> None:
    def digest(application: str = "orders") -> str:
        return database.run(lambda: digest_active_schedules(application))

    empty = digest()
    database.transact(lambda: create_schedule(ROW))
    created = digest()
    _enqueue(database, a_run())
    assert database.run(lambda: load_schedule("nightly")) != ROW  # it tells what was fired
    assert digest() == created
    assert digest("others") == empty

    seen = {empty, created}
    for column, value in [
        ("schedule", "0 3 * * *"),
        ("context", "other"),
        ("cron_timezone", None),
        ("queue_name", None),
        ("workflow_name", "other"),
        ("workflow_class_name", None),
        ("schedule_id", "id-2"),
        ("application_name", None),
    ]:
        sql.execute(f"UPDATE dbos.workflow_schedules SET {column} = %s", [value])
        assert digest() not in seen, column
        seen.add(digest())
    sql.execute("UPDATE dbos.workflow_schedules SET status = 'PAUSED'")
    assert digest() == empty
