"""Schedules fire, targets follow the work, and what vanished pods leave is taken up again."""

from __future__ import annotations

import asyncio
import base64
import pickle
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from dbos_operator.loop.operator import Operator
from dbos_operator.resources.identity import Kind
from support.fake_cluster import FakeCluster

Sql = Callable[..., list[dict[str, Any]]]

WORKER = {"targetRef": {"name": "worker"}, "maxReplicas": 5, "workflowsPerReplica": 2, "idleAfter": "0s"}
EVERY_SECOND = {"workflowName": "tick", "schedule": "* * * * * *", "queueName": "ticks"}


def enqueue(sql: Sql, queue: str, count: int, *, version: str | None = None, prefix: str = "w") -> None:
    sql(
        "INSERT INTO workflow_status (workflow_uuid, status, name, queue_name, application_version, priority)"
        " SELECT %s || n, 'ENQUEUED', 'work', %s, %s, 0 FROM generate_series(1, %s) AS n",
        prefix,
        queue,
        version,
        count,
    )


def claim(sql: Sql, executor: str, *, version: str = "v1") -> None:
    sql(
        "UPDATE workflow_status SET status = 'PENDING', executor_id = %s, application_version = %s,"
        " owner_xid = 'token', started_at_epoch_ms = 1, recovery_attempts = 1 WHERE status = 'ENQUEUED'",
        executor,
        version,
    )


async def test_a_schedule_fires_while_no_worker_runs_and_starts_one(
    cluster: FakeCluster, operator: Operator, sql: Sql, database_url: str
) -> None:
    target = cluster.put_workload("worker", replicas=0)
    cluster.apply(Kind.QUEUE, "ticks", {"scaling": WORKER})
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN dbos_runtime")
        cluster.apply(Kind.SCHEDULE, "tick", {**EVERY_SECOND, "context": {"region": "eu"}, "timeZone": "Asia/Tokyo"})
        await cluster.until(lambda: "Fired" in cluster.reasons("tick"))
        # Every run is told of, and more than one may have come together.
        woken, *_ = await asyncio.to_thread(lambda: list(listener.notifies(timeout=30, stop_after=1)))
    assert '"ticks"' in woken.payload
    row = sql(
        "SELECT workflow_status.*, workflow_input.inputs AS encoded"
        " FROM workflow_status JOIN workflow_input USING (workflow_uuid) ORDER BY workflow_uuid"
    )[0]
    moment = row["workflow_uuid"].removeprefix("sched-tick-")
    assert datetime.fromisoformat(moment).isoformat() == moment
    assert moment.endswith("+09:00")
    assert (row["status"], row["name"], row["queue_name"], row["schedule_name"]) == (
        "ENQUEUED",
        "tick",
        "ticks",
        "tick",
    )
    assert (row["application_version"], row["executor_id"], row["owner_xid"], row["creator_xid"]) == (None,) * 4
    inputs = pickle.loads(base64.b64decode(row["encoded"]))
    assert inputs["args"][0].isoformat() == moment
    assert inputs["args"][1] == {"region": "eu"}
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas > 0)
    await cluster.until(lambda: cluster.status(Kind.SCHEDULE, "tick").get("lastFired"))


async def test_a_target_follows_its_queue_from_zero_and_back(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    target = cluster.put_workload("worker", replicas=0)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
    enqueue(sql, "emails", 7)
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 4)
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails", "ScalingActive")[1] == "ScaledOnDemand")
    sql("UPDATE workflow_status SET status = 'SUCCESS', completed_at = 1")
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 0)
    await cluster.until(lambda: operator.activity().idle)
    assert cluster.reasons("emails").count("Scaled") == 2


async def test_rows_of_a_version_that_pods_were_seen_to_run_count_in_full(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    target = cluster.put_workload("worker", replicas=0)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
    enqueue(sql, "emails", 8, version="v1")
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 1)
    [pod] = cluster.pods[target]
    await cluster.until(lambda: sql("SELECT * FROM dbos_operator.executors"))
    sql("UPDATE workflow_status SET status = 'PENDING', executor_id = %s WHERE workflow_uuid = 'w1'", pod.name)
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 4)


async def test_what_a_vanished_pod_left_becomes_runnable_again(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    target = cluster.put_workload("worker", replicas=1)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER | {"minReplicas": 1}})
    [pod] = cluster.pods[target]
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails")[0] == "True")
    await cluster.until(lambda: sql("SELECT * FROM dbos_operator.executors"))
    enqueue(sql, "emails", 2)
    claim(sql, pod.name)
    sql("INSERT INTO workflow_status (workflow_uuid, status, name, executor_id) VALUES ('d', 'PENDING', 'x', 'local')")
    cluster.kill_pod(target, pod.name)
    await cluster.until(lambda: "Recovered" in cluster.reasons("default"))
    rows = sql("SELECT * FROM workflow_status WHERE executor_id = %s", pod.name)
    assert {(row["status"], row["owner_xid"], row["started_at_epoch_ms"]) for row in rows} == {("ENQUEUED", None, None)}
    assert {(row["queue_name"], row["recovery_attempts"]) for row in rows} == {("emails", 1)}
    assert sql("SELECT status FROM workflow_status WHERE workflow_uuid = 'd'") == [{"status": "PENDING"}]


async def test_a_pod_that_works_is_the_last_to_go(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    target = cluster.put_workload("worker", replicas=3)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER | {"minReplicas": 3}})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails")[0] == "True")
    await cluster.until(lambda: len(sql("SELECT * FROM dbos_operator.executors")) == 3)
    busy = cluster.pods[target][1].name
    enqueue(sql, "emails", 2)
    claim(sql, busy)
    cluster.apply(Kind.QUEUE, "emails", {"scaling": WORKER})
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 1)
    assert [pod.name for pod in cluster.pods[target]] == [busy]
    assert cluster.costs == {busy: 2}
