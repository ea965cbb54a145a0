"""Whose a row is: adoption, drift, conflict, and fields that nobody manages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dbos_operator.loop.operator import Operator
from dbos_operator.resources.identity import Kind
from support.fake_cluster import FakeCluster

Sql = Callable[..., list[dict[str, Any]]]

BY_APPLICATION = "INSERT INTO queues (queue_id, name, concurrency, worker_concurrency, application_name)"
ORDERS = {"secretRef": {"name": "db", "key": "url"}, "applicationName": "orders"}


async def settled(cluster: FakeCluster, operator: Operator, name: str, kind: Kind = Kind.QUEUE) -> None:
    generation = cluster.identity(kind, name).generation
    await cluster.until(lambda: cluster.status(kind, name).get("observedGeneration") == generation)
    await cluster.until(lambda: cluster.condition(kind, name) == ("True", "Reconciled"))


async def test_an_unowned_row_is_adopted_with_its_id_and_what_it_held_is_told(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    sql(f"{BY_APPLICATION} VALUES ('some-id', 'emails', 9, 4, 'orders')")
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3})
    await settled(cluster, operator, "emails")
    [row] = sql("SELECT * FROM queues")
    assert (row["queue_id"], row["concurrency"], row["worker_concurrency"]) == ("some-id", 3, 4)
    assert ("emails", "Adopted", "adopted the row 'emails': concurrency 9 → 3") in cluster.events
    [ready, *_] = cluster.status(Kind.QUEUE, "emails")["conditions"]
    assert "adopted with concurrency 9" in ready["message"]


async def test_a_row_of_another_application_is_left_alone(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    cluster.apply(Kind.DATABASE, "default", ORDERS)
    sql(f"{BY_APPLICATION} VALUES ('some-id', 'emails', 9, 4, 'billing')")
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails", "Stalled") == ("True", "NameTaken"))
    assert sql("SELECT concurrency FROM queues") == [{"concurrency": 9}]


async def test_a_row_of_another_cluster_is_left_alone(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    sql(f"{BY_APPLICATION} VALUES ('k8s:other-cluster:uid', 'emails', 9, 4, NULL)")
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3})
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails", "Stalled") == ("True", "NameTaken"))
    [ready, *_] = cluster.status(Kind.QUEUE, "emails")["conditions"]
    assert "cluster other-cluster" in ready["message"]


async def test_drift_is_corrected_and_told_with_both_values(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3})
    await settled(cluster, operator, "emails")
    sql("UPDATE queues SET concurrency = 8, worker_concurrency = 2, application_name = 'orders'")
    await cluster.until(lambda: "DriftCorrected" in cluster.reasons("emails"))
    assert ("emails", "DriftCorrected", "corrected concurrency 8 → 3") in cluster.events
    assert sql("SELECT concurrency, worker_concurrency FROM queues") == [{"concurrency": 3, "worker_concurrency": 2}]


async def test_a_field_that_is_no_longer_named_is_reset_once_and_then_left_alone(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3, "pollingInterval": "5s"})
    await settled(cluster, operator, "emails")
    cluster.apply(Kind.QUEUE, "emails", {})
    await settled(cluster, operator, "emails")
    [row] = sql("SELECT * FROM queues")
    assert (row["concurrency"], row["polling_interval_sec"]) == (None, 1.0)
    await cluster.until(lambda: cluster.reasons("emails") == ["Created", "Updated"])
    sql("UPDATE queues SET concurrency = 8")
    cluster.apply(Kind.QUEUE, "emails", {"workerConcurrency": 2})
    await settled(cluster, operator, "emails")
    assert sql("SELECT concurrency, worker_concurrency FROM queues") == [{"concurrency": 8, "worker_concurrency": 2}]


async def test_a_queue_that_was_retained_is_taken_up_again(cluster: FakeCluster, operator: Operator, sql: Sql) -> None:
    first = cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3})
    await settled(cluster, operator, "emails")
    cluster.delete(Kind.QUEUE, "emails")
    await cluster.until(lambda: not sql("SELECT * FROM dbos_operator.owned"))
    assert sql("SELECT concurrency FROM queues") == [{"concurrency": 3}]
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 4})
    await settled(cluster, operator, "emails")
    [row] = sql("SELECT * FROM queues")
    assert (row["queue_id"], row["concurrency"]) == (f"k8s:this-cluster:{first.uid}", 4)


async def test_an_adopted_schedule_without_a_context_is_fired_by_workers_only(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    sql(
        "INSERT INTO workflow_schedules (schedule_id, schedule_name, workflow_name, schedule, context, cron_timezone)"
        " VALUES ('id', 'often', 'w', '* * * * * *', 'opaque', 'Asia/Tokyo')"
    )
    cluster.apply(Kind.SCHEDULE, "often", {"workflowName": "w", "schedule": "* * * * * *"})
    await settled(cluster, operator, "often", Kind.SCHEDULE)
    await cluster.until(lambda: cluster.status(Kind.SCHEDULE, "often").get("firedBy") == "Workers")
    first = cluster.status(Kind.SCHEDULE, "often")["nextRuns"]
    await cluster.until(lambda: cluster.status(Kind.SCHEDULE, "often")["nextRuns"] != first)
    [row] = sql("SELECT * FROM workflow_schedules")
    assert (row["context"], row["cron_timezone"], row["status"]) == ("opaque", "Asia/Tokyo", "ACTIVE")
    assert not sql("SELECT * FROM workflow_status")


async def test_a_suspended_schedule_is_paused_ready_and_not_replayed(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    spec = {"workflowName": "w", "schedule": "* * * * * *"}
    cluster.apply(Kind.SCHEDULE, "often", {**spec, "suspend": True})
    await cluster.until(lambda: cluster.condition(Kind.SCHEDULE, "often") == ("True", "Suspended"))
    assert sql("SELECT status FROM workflow_schedules") == [{"status": "PAUSED"}]
    assert not sql("SELECT * FROM workflow_status")
    [before] = sql("SELECT now()")
    cluster.apply(Kind.SCHEDULE, "often", spec)
    await cluster.until(lambda: sql("SELECT * FROM workflow_status"))
    ids = [row["workflow_uuid"] for row in sql("SELECT workflow_uuid FROM workflow_status")]
    assert min(ids) >= f"sched-often-{before['now'].isoformat(timespec='seconds')[:19]}"


async def test_rows_go_with_the_name_of_the_application_once(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    def names() -> list[Any]:
        found = sql(
            "SELECT application_name FROM queues UNION ALL SELECT application_name FROM workflow_schedules ORDER BY 1"
        )
        return [row["application_name"] for row in found]

    cluster.apply(Kind.DATABASE, "default", {**ORDERS, "applicationName": "shopp"})
    cluster.apply(Kind.QUEUE, "emails", {})
    cluster.apply(Kind.SCHEDULE, "nightly", {"workflowName": "w", "schedule": "@daily"})
    await cluster.until(lambda: names() == ["shopp", "shopp"])
    cluster.apply(Kind.DATABASE, "default", {**ORDERS, "applicationName": "shop"})
    await cluster.until(lambda: names() == ["shop", "shop"])
    assert cluster.reasons("emails") == ["Created", "Updated"]
    sql("UPDATE queues SET application_name = 'another'")  # as a worker does when it registers the queue
    cluster.apply(Kind.QUEUE, "emails", {"concurrency": 3})
    await cluster.until(lambda: sql("SELECT concurrency FROM queues") == [{"concurrency": 3}])
    assert names() == ["another", "shop"]
