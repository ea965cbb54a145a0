"""What retention deletes, and what it never does."""

from __future__ import annotations

from typing import Any

import pytest

from dbos.core.limits import QueueLimits
from dbos.store.database import SystemDatabase
from dbos.store.operation import Operation
from dbos.store.queues import register_queue
from dbos.store.retention import MIN_AGE_MS, Deleted, delete_completed, find_completion_cutoff
from support.bystander import Bystander, bystander
from support.store_records import a_running_workflow, a_step, a_workflow, an_outcome, writing

pytestmark = pytest.mark.both_databases
TABLES = ("workflow_status", "workflow_input", "workflow_output", "operation_outputs")
LONG_AGO = 1_000_000
"""When old workflows ended, in epoch milliseconds."""


def _end(database: SystemDatabase, *ids: str, **fields: Any) -> None:
    """Store workflows that ended, each with a step."""
    with writing(database) as writer:
        for workflow_id in ids:
            writer.write(a_running_workflow(workflow_id, **fields))
            writer.write(a_step(workflow_id))
            writer.write(an_outcome(workflow_id))


def _age(sql: Bystander, *ids: str, ended_ms: int = LONG_AGO) -> None:
    for workflow_id in ids:
        sql.execute(
            "UPDATE dbos.workflow_status SET completed_at = %s, created_at = %s WHERE workflow_uuid = %s",
            [ended_ms, ended_ms - 1, workflow_id],
        )


def _delete(database: SystemDatabase, **wanted: Any) -> Deleted:
    given = {"after_ms": 0, "cutoff_ms": LONG_AGO + 1000, "batch": 100} | wanted
    return database.transact(lambda: delete_completed("orders", **given))


def _left(sql: Bystander, table: str = "workflow_status") -> set[str]:
    return {row["workflow_uuid"] for row in sql.execute(f"SELECT workflow_uuid FROM dbos.{table}").fetchall()}


def test_all_that_belongs_to_a_workflow_goes_with_it(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "old", "kept")
    _age(sql, "old")
    for workflow_id in ("old", "kept"):
        sql.execute("INSERT INTO dbos.workflow_events VALUES (%s, 'key', '1', 'portable_json')", [workflow_id])
        sql.execute(
            "INSERT INTO dbos.workflow_events_history (workflow_uuid, function_id, key, value)"
            " VALUES (%s, 1, 'k', 'v')",
            [workflow_id],
        )
        sql.execute(
            "INSERT INTO dbos.streams (workflow_uuid, key, value, \"offset\") VALUES (%s, 'k', 'v', 0)", [workflow_id]
        )
        sql.execute(
            "INSERT INTO dbos.notifications (message_uuid, destination_uuid, topic, message) VALUES (%s, %s, 't', 'm')",
            [f"to-{workflow_id}", workflow_id],
        )
    assert _delete(database) == Deleted(["old"], LONG_AGO)  # type: ignore[list-item]
    for table in (*TABLES, "workflow_events", "workflow_events_history", "streams"):
        assert _left(sql, table) == {"kept"}, table
    rows = sql.execute("SELECT destination_uuid FROM dbos.notifications").fetchall()
    assert [row["destination_uuid"] for row in rows] == ["kept"]


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING", "DELAYED", "SOMETHING_NEW"])
def test_what_may_still_run_is_never_deleted(database: SystemDatabase, sql: Bystander, status: str) -> None:
    with writing(database) as writer:
        writer.write(a_workflow("active"))
    sql.execute("UPDATE dbos.workflow_status SET status = %s, created_at = 1, completed_at = 1", [status])
    assert _delete(database).workflow_ids == []
    assert _delete(database, stamped=False).workflow_ids == []
    sql.execute("UPDATE dbos.workflow_status SET completed_at = NULL")
    assert _delete(database, stamped=False).workflow_ids == []
    assert _left(sql) == {"active"}


@pytest.mark.parametrize("status", ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
def test_however_a_workflow_ended_it_goes(database: SystemDatabase, sql: Bystander, status: str) -> None:
    _end(database, "old")
    _age(sql, "old")
    sql.execute("UPDATE dbos.workflow_status SET status = %s", [status])
    assert _delete(database).workflow_ids == ["old"]


def test_descendants_of_what_may_still_run_are_kept(database: SystemDatabase, sql: Bystander) -> None:
    with writing(database) as writer:
        writer.write(a_running_workflow("parent"))
    _end(database, "child", "other")
    _end(database, "grandchild")
    _age(sql, "child", "grandchild", "other")
    sql.execute("UPDATE dbos.workflow_status SET parent_workflow_id = 'parent' WHERE workflow_uuid = 'child'")
    sql.execute("UPDATE dbos.workflow_status SET parent_workflow_id = 'child' WHERE workflow_uuid = 'grandchild'")
    assert _delete(database).workflow_ids == ["other"]
    assert _left(sql) == {"parent", "child", "grandchild"}


def test_a_child_goes_with_its_parent_or_after_it(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "parent", "child", "late")
    _age(sql, "child")
    _age(sql, "parent", ended_ms=LONG_AGO + 5000)
    _age(sql, "late", ended_ms=LONG_AGO + 9000)
    sql.execute("UPDATE dbos.workflow_status SET parent_workflow_id = 'parent' WHERE workflow_uuid <> 'parent'")
    assert _delete(database).workflow_ids == []
    assert _delete(database, cutoff_ms=LONG_AGO + 6000).workflow_ids == ["child", "parent"]
    assert _delete(database, cutoff_ms=LONG_AGO + 10_000).workflow_ids == ["late"]


def test_workflows_in_a_circle_of_parents_do_not_hang_it(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "one", "two")
    _age(sql, "one", "two")
    sql.execute(
        "UPDATE dbos.workflow_status SET parent_workflow_id = CASE workflow_uuid WHEN 'one' THEN 'two' ELSE 'one' END"
    )
    assert _delete(database).workflow_ids == ["one", "two"]


def test_workflows_of_other_applications_are_kept_and_those_of_nobody_go(
    database: SystemDatabase, sql: Bystander
) -> None:
    _end(database, "foreign", application_name="shop")
    _end(database, "unclaimed", application_name=None)
    _end(database, "own")
    _age(sql, "foreign", "unclaimed", "own")
    assert _delete(database).workflow_ids == ["own", "unclaimed"]
    assert _left(sql) == {"foreign"}


def test_a_start_that_a_rate_limit_still_counts_is_kept(database: SystemDatabase, sql: Bystander) -> None:
    limited = QueueLimits(rate_limit=1, rate_period_seconds=3600)
    database.run(lambda: register_queue("work", limited, "orders", update=True, now_ms=1))
    lanes = QueueLimits(partition_rate_limit=1, partition_rate_period_seconds=3600)
    database.run(lambda: register_queue("lanes", lanes, "orders", update=True, now_ms=1))
    _end(database, "counted", queue_name="work")
    _end(database, "counted-lane", queue_name="lanes")
    _end(database, "no-longer", queue_name="work")
    _age(sql, "counted", "counted-lane", "no-longer")
    sql.execute(
        "UPDATE dbos.workflow_status SET rate_limited = true, started_at_epoch_ms ="
        " (EXTRACT(epoch FROM now()) * 1000)::bigint - CASE workflow_uuid WHEN 'no-longer' THEN 3601000 ELSE 1000 END"
    )
    assert _delete(database).workflow_ids == ["no-longer"]


def test_a_batch_has_a_bound_and_the_next_one_begins_where_it_ended(database: SystemDatabase, sql: Bystander) -> None:
    ids = [f"w{number}" for number in range(5)]
    _end(database, *ids)
    for number, workflow_id in enumerate(ids):
        _age(sql, workflow_id, ended_ms=LONG_AGO + number)
    first = _delete(database, batch=2)
    assert first == Deleted(["w0", "w1"], LONG_AGO + 1)  # type: ignore[list-item]
    assert first.last_ms is not None
    assert _delete(database, batch=2, after_ms=first.last_ms).workflow_ids == ["w2", "w3"]
    assert _delete(database, batch=2, after_ms=LONG_AGO + 5).workflow_ids == []
    assert _left(sql) == {"w4"}


def test_rows_of_older_releases_go_by_their_creation(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "old", "new")
    _age(sql, "old")
    sql.execute("UPDATE dbos.workflow_status SET completed_at = NULL")
    assert _delete(database).workflow_ids == []
    assert _delete(database, stamped=False).workflow_ids == ["old"]


def _cutoff(database: SystemDatabase, **rule: int | None) -> int | None:
    given = {"max_age_ms": None, "keep": None, **rule}

    def find() -> Operation[int | None]:
        return find_completion_cutoff("orders", **given)

    return database.run(find)


def test_the_cutoff_is_the_age_by_the_clock_of_the_database(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "stamp")
    [now] = sql.execute("SELECT completed_at FROM dbos.workflow_status").fetchall()
    cutoff = _cutoff(database, max_age_ms=7_200_000)
    assert cutoff is not None
    assert 0 <= cutoff - (now["completed_at"] - 7_200_000) < 600_000


def test_the_cutoff_is_the_end_of_the_last_that_is_kept(database: SystemDatabase, sql: Bystander) -> None:
    ids = [f"w{number}" for number in range(5)]
    _end(database, *ids)
    _end(database, "foreign", application_name="shop")
    for number, workflow_id in enumerate(ids):
        _age(sql, workflow_id, ended_ms=LONG_AGO + number)
    assert _cutoff(database, keep=2) == LONG_AGO + 3
    assert _cutoff(database, keep=5) == LONG_AGO
    assert _cutoff(database, keep=6) is None
    assert _delete(database, cutoff_ms=LONG_AGO + 3).workflow_ids == ["w0", "w1", "w2"]


def test_of_age_and_number_the_later_cutoff_counts(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "one", "two")
    _age(sql, "one", "two")
    [by_age, both] = [_cutoff(database, max_age_ms=600_000, keep=keep) for keep in (None, 1)]
    assert by_age is not None
    assert both is not None
    assert both >= by_age > LONG_AGO
    assert _cutoff(database, keep=1) == LONG_AGO


def test_what_ended_a_moment_ago_stays_whatever_the_rule_says(database: SystemDatabase, sql: Bystander) -> None:
    _end(database, "one", "two", "three")
    [row] = sql.execute("SELECT max(completed_at) AS ended FROM dbos.workflow_status").fetchall()
    for rule in ({"keep": 1}, {"max_age_ms": 0}):
        cutoff = _cutoff(database, **rule)
        assert cutoff is not None
        assert cutoff < row["ended"]
    assert MIN_AGE_MS >= 60_000


@pytest.mark.postgresql_only  # on SQLite there is one writer at a time
def test_a_workflow_that_somebody_changes_at_the_moment_is_left_out(
    database: SystemDatabase, database_url: str, sql: Bystander
) -> None:
    _end(database, "held", "free")
    _age(sql, "held", "free")
    with bystander(database_url) as other:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = 'held' FOR UPDATE")
        assert _delete(database).workflow_ids == ["free"]
        other.execute("ROLLBACK")
    assert _delete(database).workflow_ids == ["held"]
