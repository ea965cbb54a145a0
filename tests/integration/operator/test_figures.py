"""What the metrics say when a schedule does not fire."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.resources.identity import Kind
from support.fake_cluster import FakeCluster

TICK = {"database": "team/default", "schedule": "tick"}
Sql = Callable[..., list[dict[str, Any]]]


def figure(metrics: OperatorMetrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"dbos_operator_schedule_{name}", TICK)


async def test_a_run_that_cannot_be_written_stays_due(
    cluster: FakeCluster, start: Callable[..., Any], sql: Sql
) -> None:
    sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more rows'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON workflow_status EXECUTE FUNCTION refuse()"
    )
    metrics = OperatorMetrics()
    cluster.apply(Kind.SCHEDULE, "tick", {"workflowName": "tick", "schedule": "* * * * * *"})

    async with start(metrics=metrics):
        await cluster.until(lambda: time.time() - (figure(metrics, "next_run_timestamp_seconds") or time.time()) > 2)
        assert figure(metrics, "fired_total") == 0
        sql("DROP TRIGGER refuse ON workflow_status")
        await cluster.until(lambda: figure(metrics, "fired_total"))
        await cluster.until(lambda: time.time() - (figure(metrics, "next_run_timestamp_seconds") or 0) < 1)
        assert figure(metrics, "missed_total") == 0


async def test_runs_that_were_due_while_no_operator_ran_are_counted_as_missed(
    cluster: FakeCluster, start: Callable[..., Any], sql: Sql
) -> None:
    cluster.apply(Kind.SCHEDULE, "tick", {"workflowName": "tick", "schedule": "* * * * *"})
    before, after = OperatorMetrics(), OperatorMetrics()
    async with start(metrics=before):
        await cluster.until(lambda: figure(before, "next_run_timestamp_seconds"))
        assert figure(before, "missed_total") == 0
    fired = (datetime.now(UTC) - timedelta(minutes=5)).replace(second=0, microsecond=0)
    sql("UPDATE workflow_schedules SET last_fired_at = %s", fired.isoformat())
    sql("UPDATE dbos_operator.owned SET active_since_ms = active_since_ms - 3600000")

    async with start(metrics=after):
        await cluster.until(lambda: figure(after, "missed_total"))
        # The newest of the five can still be fired; a sixth may have come meanwhile.
        assert figure(after, "missed_total") in (4, 5)
