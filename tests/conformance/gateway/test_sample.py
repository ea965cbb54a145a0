"""Exact numbers for the metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dbos_operator.gateway.protocol import Gateway
from dbos_operator.observability.metrics import OperatorMetrics

Sql = Callable[..., list[dict[str, Any]]]
NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def finish(sql: Sql, workflow: str, status: str, ago_ms: int = 0, queue: str | None = "q") -> None:
    sql(
        "INSERT INTO workflow_status (workflow_uuid, status, name, queue_name, completed_at)"
        f" VALUES (%s, %s, 'w', %s, {NOW_MS} - %s)",
        workflow,
        status,
        queue,
        ago_ms,
    )


def test_depths_are_exact(gateway: Gateway, sql: Sql) -> None:
    for status, count in (("ENQUEUED", 300), ("PENDING", 2), ("DELAYED", 3), ("SUCCESS", 4)):
        sql(
            "INSERT INTO workflow_status (workflow_uuid, status, name, queue_name, created_at)"
            " SELECT %s || n, %s, 'w', 'q', n FROM generate_series(1, %s) AS n",
            status,
            status,
            count,
        )
    sample = gateway.sample(None)
    assert sample.depths == {("q", "ENQUEUED"): 300, ("q", "PENDING"): 2, ("q", "DELAYED"): 3}
    assert sample.oldest_ms == {"q": 1}
    assert (sample.settled, sample.recent) == ({}, {})


def test_every_completion_is_counted_once_however_often_it_is_sampled(gateway: Gateway, sql: Sql) -> None:
    metrics = OperatorMetrics()
    finish(sql, "before", "SUCCESS", 60_000)
    first = gateway.sample(None)
    # As if the operator had started half a minute ago.
    since = first.since_ms - 30_000
    finish(sql, "settled", "ERROR", 20_000)
    finish(sql, "recent", "ERROR")
    finish(sql, "cancelled", "CANCELLED", queue=None)
    for _ in range(3):
        sample = gateway.sample(since)
        metrics.add_completed("team/default", sample.settled, sample.recent)
        since = sample.since_ms
    assert metrics.failed_total == 2
    labels = {"database": "team/default", "queue": "", "status": "CANCELLED"}
    assert metrics.registry.get_sample_value("dbos_operator_workflows_completed_total", labels) == 1
