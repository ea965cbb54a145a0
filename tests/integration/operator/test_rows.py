"""Queue and schedule rows follow their resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dbos_operator.loop.operator import Operator
from dbos_operator.resources.identity import FINALIZER, Kind
from support.fake_cluster import FakeCluster

Sql = Callable[..., list[dict[str, Any]]]

NIGHTLY = {"workflowName": "nightly_report", "schedule": "0 2 * * *"}


async def test_a_queue_gets_its_row_with_the_mark_of_its_owner(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    identity = cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3, "rateLimit": {"limit": 10, "period": "1m"}})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))
    [row] = sql("SELECT * FROM queues")
    assert row["queue_id"] == f"k8s:this-cluster:{identity.uid}"
    assert (row["name"], row["concurrency"], row["worker_concurrency"]) == ("emails", 3, None)
    assert (row["rate_limit_max"], row["rate_limit_period_sec"], row["polling_interval_sec"]) == (10, 60.0, 1.0)
    assert (row["priority_enabled"], row["partition_queue"], row["application_name"]) == (True, False, None)
    assert cluster.reasons("emails") == ["Created"]


async def test_a_schedule_gets_its_row_and_a_finalizer(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    cluster.apply(Kind.SCHEDULE, "nightly", NIGHTLY)
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly") == ("True", "Reconciled"))
    [row] = sql("SELECT * FROM workflow_schedules")
    assert (row["schedule_name"], row["status"], row["cron_timezone"]) == ("nightly", "ACTIVE", "UTC")
    assert row["context"].startswith("gA")
    assert cluster.identity(Kind.SCHEDULE, "nightly").finalizers == (FINALIZER,)
    status = cluster.status(Kind.SCHEDULE, "nightly")
    assert len(status["nextRuns"]) == 5
    assert status["firedBy"] == "Operator"


async def test_a_deleted_schedule_is_paused_and_comes_back_active(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    cluster.apply(Kind.SCHEDULE, "nightly", NIGHTLY)
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly")[0] == "True")
    cluster.delete(Kind.SCHEDULE, "nightly")
    await cluster.until(lambda: not cluster.status(Kind.SCHEDULE, "nightly"))
    assert [row["status"] for row in sql("SELECT status FROM workflow_schedules")] == ["PAUSED"]
    assert not sql("SELECT * FROM dbos_operator.owned")
    cluster.apply(Kind.SCHEDULE, "nightly", NIGHTLY)
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "nightly")[0] == "True")
    assert [row["status"] for row in sql("SELECT status FROM workflow_schedules")] == ["ACTIVE"]
    assert cluster.reasons("nightly") == ["Created", "Paused", "Created"]
