"""A queue with the policy Delete goes when nothing is on it: its workers empty it, unless they go as well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbos_operator.loop.operator import Operator
from dbos_operator.resources.identity import Kind
from support.fake_cluster import FakeCluster

Sql = Callable[..., list[dict[str, Any]]]

SCALED = {
    "deletionPolicy": "Delete",
    "scaling": {"targetRef": {"name": "worker"}, "maxReplicas": 5, "idleAfter": "0s"},
}


async def _create(cluster: FakeCluster) -> None:
    cluster.apply(Kind.QUEUE, "emails", SCALED)
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("True", "Reconciled"))


def _put(sql: Sql, status: str) -> None:
    sql(
        "INSERT INTO workflow_status (workflow_uuid, status, name, queue_name, delay_until_epoch_ms)"
        " VALUES ('a', %s, 'work', 'emails', CASE %s WHEN 'DELAYED' THEN 4102444800000 END)",
        status,
        status,
    )


async def test_what_is_left_on_a_queue_that_goes_is_still_worked_on(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    await _create(cluster)
    _put(sql, "ENQUEUED")
    cluster.delete(Kind.QUEUE, "emails")
    target = cluster.put_workload("worker", replicas=0)
    await cluster.until(lambda: cluster.desired.snapshot().workloads[target].replicas == 1)
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("False", "Deleting"))
    sql("UPDATE workflow_status SET status = 'SUCCESS'")
    await cluster.until(lambda: not cluster.status(Kind.QUEUE, "emails"))
    assert not sql("SELECT * FROM queues")


async def test_a_queue_that_goes_says_when_only_delayed_workflows_are_on_it(
    cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    await _create(cluster)
    _put(sql, "DELAYED")
    cluster.delete(Kind.QUEUE, "emails")
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("False", "Deleting"))
    (message,) = (
        each["message"] for each in cluster.status(Kind.QUEUE, "emails")["conditions"] if each["type"] == "Ready"
    )
    assert message == "the row goes when the queue 'emails' is empty: delayed workflows are on it"
    sql("DELETE FROM workflow_status")
    await cluster.until(lambda: not cluster.status(Kind.QUEUE, "emails"))


@pytest.mark.parametrize("status", ["ENQUEUED", "DELAYED"])
async def test_a_queue_of_a_terminating_namespace_is_let_go_after_half_a_minute(
    status: str, cluster: FakeCluster, operator: Operator, sql: Sql
) -> None:
    await _create(cluster)
    _put(sql, status)
    cluster.delete(Kind.QUEUE, "emails", since=datetime.now(UTC) - timedelta(minutes=6))
    await cluster.until(lambda: cluster.condition(Kind.QUEUE, "emails") == ("False", "Deleting"))
    cluster.terminating.add(cluster.namespace)
    await cluster.until(lambda: not cluster.status(Kind.QUEUE, "emails"))
    assert cluster.reasons("emails")[-1] == "Released"
    assert [row["name"] for row in sql("SELECT name FROM queues")] == ["emails"]
    assert len(sql("SELECT * FROM workflow_status")) == 1
