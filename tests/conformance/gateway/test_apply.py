"""Changes take effect where the rows still are what was read, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dbos_operator.decide.changes import ForgetExecutor, LoseExecutor, Recover, Remove, RowRemoval, Write
from dbos_operator.gateway.connections import Connections
from dbos_operator.gateway.protocol import Gateway, GatewayRequest
from dbos_operator.resources.identity import Kind, Uid
from support.gateway_changes import (
    CLUSTER,
    NOW,
    a_fire,
    insert_queue,
    insert_schedule,
    see_executor,
    update_queue,
)
from support.waiting import eventually

Sql = Callable[..., list[dict[str, Any]]]

GRACE = timedelta(seconds=60)


def apply(gateway: Gateway, *changes: Any) -> list[int]:
    return [result.rows for result in gateway.apply(changes)]


def remove(how: Remove, kind: Kind, name: str, uid: str, *, row_id: str | None = None) -> RowRemoval:
    return RowRemoval(how=how, kind=kind, name=name, row_id=row_id or f"k8s:c1:{uid}", uid=Uid(uid))


def test_nothing_to_do_sends_nothing(gateway: Gateway) -> None:
    assert gateway.apply([]) == []


def test_an_insert_that_comes_second_changes_nothing_and_records_nothing(gateway: Gateway, sql: Sql) -> None:
    sql("INSERT INTO queues (queue_id, name, concurrency) VALUES ('x', 'q', 9)")
    assert apply(gateway, insert_queue("q", concurrency=3)) == [0]
    assert sql("SELECT queue_id, concurrency FROM queues") == [{"queue_id": "x", "concurrency": 9}]
    assert not sql("SELECT * FROM dbos_operator.owned")


def test_an_update_writes_only_its_columns(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_queue("q", concurrency=3))
    sql("UPDATE queues SET worker_concurrency = 2, polling_interval_sec = 0.1")
    change = {"concurrency": 4, "polling_interval_sec": 0.3}
    assert apply(gateway, update_queue("q", {"concurrency": 3, "polling_interval_sec": 0.1}, change)) == [1]
    [row] = sql("SELECT * FROM queues")
    assert (row["concurrency"], row["worker_concurrency"], row["polling_interval_sec"]) == (4, 2, 0.3)
    assert sql("SELECT applied FROM dbos_operator.owned") == [{"applied": change}]


def test_an_update_of_a_row_that_changed_meanwhile_changes_nothing(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_queue("q", concurrency=3))
    sql("UPDATE queues SET concurrency = 5")
    assert apply(gateway, update_queue("q", {"concurrency": 3}, {"concurrency": 4})) == [0]
    assert sql("SELECT concurrency FROM queues") == [{"concurrency": 5}]


def test_an_update_by_somebody_who_is_not_the_recorded_owner_changes_nothing(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_queue("q", concurrency=3))
    stranger = update_queue("q", {"concurrency": 3}, {"concurrency": 4}, uid="u2")
    assert apply(gateway, stranger) == [0]
    assert apply(gateway, replace(stranger, record_seen=None)) == [0]
    assert sql("SELECT concurrency FROM queues") == [{"concurrency": 3}]


def test_an_ownership_passes_on_together_with_the_row(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_queue("q", concurrency=3))
    heir = replace(update_queue("q", {"concurrency": 3}, {"concurrency": 4}, uid="u2"), record_seen=Uid("u1"))
    assert apply(gateway, heir) == [1]
    assert sql("SELECT uid FROM dbos_operator.owned") == [{"uid": "u2"}]


def test_a_bad_row_does_not_block_the_others(gateway: Gateway, sql: Sql) -> None:
    good = [insert_queue(f"q{number}", uid=f"u{number}") for number in range(9)]
    bad = insert_queue("bad", uid="ub", concurrency=2**40)
    results = gateway.apply([*good[:4], bad, *good[4:]])
    assert [result.rows for result in results] == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert "out of range" in (results[4].error or "")
    assert len(sql("SELECT * FROM queues")) == len(sql("SELECT * FROM dbos_operator.owned")) == 9


def test_a_schedule_is_updated_in_every_column(gateway: Gateway, sql: Sql) -> None:
    inserted = insert_schedule("s")
    apply(gateway, inserted)
    change = {
        "workflow_name": "other",
        "workflow_class_name": "Reports",
        "schedule": "@daily",
        "status": "PAUSED",
        "context": "x",
        "cron_timezone": "Asia/Tokyo",
        "queue_name": "q",
    }
    seen = {column: inserted.columns[column] for column in change}
    update = replace(inserted, write=Write.UPDATE, columns=change, seen=seen, record_seen=Uid("s1"))
    assert apply(gateway, update) == [1]
    [row] = sql("SELECT * FROM workflow_schedules")
    assert {column: row[column] for column in change} == change


def test_a_schedule_is_paused_by_its_owner_only(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_schedule("s"))
    assert apply(gateway, remove(Remove.PAUSE, Kind.SCHEDULE, "s", "other", row_id="k8s:c1:s1")) == [0]
    assert apply(gateway, remove(Remove.PAUSE, Kind.SCHEDULE, "s", "s1")) == [1]
    assert sql("SELECT status FROM workflow_schedules") == [{"status": "PAUSED"}]
    assert not sql("SELECT * FROM dbos_operator.owned")
    # Without a record the mark in the row's ID decides.
    assert apply(gateway, remove(Remove.DELETE, Kind.SCHEDULE, "s", "other", row_id="k8s:c1:s1")) == [0]
    assert apply(gateway, remove(Remove.DELETE, Kind.SCHEDULE, "s", "s1")) == [1]
    assert not sql("SELECT * FROM workflow_schedules")


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING", "DELAYED"])
def test_a_queue_is_deleted_only_when_nothing_is_on_it(gateway: Gateway, sql: Sql, status: str) -> None:
    apply(gateway, insert_queue("q"))
    sql("INSERT INTO workflow_status (workflow_uuid, status, name, queue_name) VALUES ('w', %s, 'w', 'q')", status)
    assert apply(gateway, remove(Remove.DELETE, Kind.QUEUE, "q", "u1")) == [0]
    assert sql("SELECT * FROM dbos_operator.owned")
    sql("UPDATE workflow_status SET status = 'SUCCESS'")
    assert apply(gateway, remove(Remove.DELETE, Kind.QUEUE, "q", "u1")) == [1]
    assert not sql("SELECT * FROM queues")
    assert not sql("SELECT * FROM dbos_operator.owned")


def test_a_run_is_fired_once_and_noted(gateway: Gateway, sql: Sql, database_url: str) -> None:
    apply(gateway, insert_schedule("s"))
    later = NOW + timedelta(seconds=1)
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN dbos_runtime")
        assert apply(gateway, a_fire("s", later), a_fire("s", NOW)) == [1, 1]
        [woken] = listener.notifies(timeout=30, stop_after=1)
    assert json.loads(woken.payload) == {"schema": "dbos", "queues": ["q"]}
    assert sql("SELECT last_fired_at FROM workflow_schedules") == [{"last_fired_at": later.isoformat()}]
    assert apply(gateway, a_fire("s", NOW)) == [0]
    assert len(sql("SELECT * FROM workflow_status")) == len(sql("SELECT * FROM workflow_input")) == 2


def test_a_run_is_not_fired_for_a_schedule_that_was_paused_or_lost_meanwhile(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_schedule("s"))
    assert apply(gateway, a_fire("s", uid="other")) == [0]
    sql("UPDATE workflow_schedules SET status = 'PAUSED'")
    assert apply(gateway, a_fire("s")) == [0]
    assert not sql("SELECT * FROM workflow_status")


def test_a_run_that_a_worker_started_under_the_time_zone_before_is_not_fired_again(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, insert_schedule("s"))
    sql("INSERT INTO workflow_status (workflow_uuid, status, name) VALUES ('before', 'SUCCESS', 'w')")
    assert apply(gateway, a_fire("s", other_ids=("before",))) == [0]


def pending(
    sql: Sql, workflow: str, executor: str, *, queue: str | None = None, application: str | None = None
) -> None:
    sql(
        "INSERT INTO workflow_status (workflow_uuid, status, name, executor_id, queue_name, owner_xid,"
        " started_at_epoch_ms, recovery_attempts, application_name, updated_at)"
        " VALUES (%s, 'PENDING', 'w', %s, %s, 'token', 5, 1, %s, 7)",
        workflow,
        executor,
        queue,
        application,
    )


def test_only_what_gone_executors_left_is_recovered(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, see_executor("gone"), see_executor("alive"))
    pending(sql, "queued", "gone", queue="q")
    pending(sql, "direct", "gone")
    pending(sql, "running", "alive")
    recoveries = [Recover("gone", GRACE), Recover("alive", GRACE)]
    assert apply(gateway, *recoveries) == [0, 0]
    assert apply(gateway, LoseExecutor(CLUSTER, "team", "gone", "p1", NOW)) == [1]
    assert apply(gateway, *recoveries) == [2, 0]
    rows = {row["workflow_uuid"]: row for row in sql("SELECT * FROM workflow_status")}
    assert rows["running"]["status"] == "PENDING"
    for workflow, queue in (("queued", "q"), ("direct", "_dbos_internal_queue")):
        row = rows[workflow]
        assert (row["status"], row["queue_name"], row["owner_xid"]) == ("ENQUEUED", queue, None)
        assert (row["started_at_epoch_ms"], row["recovery_attempts"]) == (None, 1)
        assert row["updated_at"] > 7
    assert apply(gateway, *recoveries) == [0, 0]


def test_a_claim_of_a_lost_executor_is_left_to_it_for_the_grace_period(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, see_executor("gone"))
    apply(gateway, LoseExecutor(CLUSTER, "team", "gone", "p1", NOW))
    pending(sql, "fresh", "gone")
    sql("UPDATE workflow_status SET started_at_epoch_ms = (extract(epoch FROM now()) * 1000)::bigint")
    assert apply(gateway, Recover("gone", GRACE)) == [0]
    sql("UPDATE workflow_status SET started_at_epoch_ms = started_at_epoch_ms - 60000")
    assert apply(gateway, Recover("gone", GRACE)) == [1]


def test_an_executor_id_that_lives_in_another_namespace_is_not_recovered(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, see_executor("web-0"), see_executor("web-0", namespace="other"))
    pending(sql, "w", "web-0")
    apply(gateway, LoseExecutor(CLUSTER, "team", "web-0", "p1", NOW))
    assert apply(gateway, Recover("web-0", GRACE)) == [0]


def test_an_executor_comes_back_under_its_name(gateway: Gateway, sql: Sql) -> None:
    apply(gateway, see_executor("web-0"))
    assert apply(gateway, LoseExecutor(CLUSTER, "team", "web-0", "another-pod", NOW)) == [0]
    assert apply(gateway, LoseExecutor(CLUSTER, "team", "web-0", "p1", NOW)) == [1]
    assert apply(gateway, see_executor("web-0", pod_uid="p2")) == [1]
    assert apply(gateway, ForgetExecutor(CLUSTER, "team", "web-0", "p2")) == [0]
    assert sql("SELECT gone_since_ms, pod_uid FROM dbos_operator.executors") == [
        {"gone_since_ms": None, "pod_uid": "p2"}
    ]


def test_connections_that_nobody_uses_are_closed_after_a_minute(database_url: str, sql: Sql) -> None:
    now = 0.0
    connections = Connections(GatewayRequest(url=database_url), lambda: now)
    with connections.connection(), connections.connection():
        pass

    def connected() -> int:
        return sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbos-operator'"
            " AND datname = current_database()"
        )[0]["count"]

    now = 59.0
    with connections.connection():
        connections.close_idle()
    assert connected() == 2
    now = 61.0
    connections.close_idle()
    eventually(connected, lambda count: count == 1, what="closed connection")
    connections.close()
