"""A tick without changes reads three times and writes nothing; many objects are ready soon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dbos.store.dialects.postgres import PostgresConnection
from dbos.store.operation import Statement
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.resources.identity import Kind
from dbos_operator.settings import OperatorSettings
from support.fake_cluster import FakeCluster

Sql = Callable[..., list[dict[str, Any]]]
WORKER = {"targetRef": {"name": "worker"}, "maxReplicas": 5}
TABLES = ("queues", "workflow_schedules", "dbos_operator.owned", "dbos_operator.executors")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every statement that goes to the database, by name."""
    counted: Counter[str] = Counter()
    one, many = PostgresConnection.execute, PostgresConnection.execute_together

    def execute(self: PostgresConnection, statement: Statement) -> Any:
        counted[statement.name] += 1
        return one(self, statement)

    def execute_together(self: PostgresConnection, found: list[Statement]) -> Any:
        counted.update(statement.name for statement in found)
        return many(self, found)

    monkeypatch.setattr(PostgresConnection, "execute", execute)
    monkeypatch.setattr(PostgresConnection, "execute_together", execute_together)
    return counted


def versions(sql: Sql) -> list[Any]:
    """The transaction that wrote each row: a row that is written again changes it, even to the same values."""
    return [sql(f"SELECT xmin::text, count(*) FROM {table} GROUP BY 1 ORDER BY 1") for table in TABLES]


async def test_a_tick_without_changes_reads_three_times_and_writes_nothing(
    cluster: FakeCluster, start: Callable[..., Any], sql: Sql, statements: Counter[str]
) -> None:
    target = cluster.put_workload("worker", replicas=2)
    for number in range(20):
        scaling = {"scaling": {**WORKER, "minReplicas": 2}} if number < 3 else {}
        cluster.apply(Kind.QUEUE, f"queue-{number}", {"concurrency": 3, **scaling})
        cluster.apply(Kind.SCHEDULE, f"schedule-{number}", {"workflowName": "w", "schedule": "@yearly"})
    # What is done now and then, beside the ticks, is not done while this looks.
    never = timedelta(hours=1)
    settings = OperatorSettings(
        tick=timedelta(milliseconds=100),
        coalesce=timedelta(0),
        sample=never,
        telemetry=never,
        happenings=never,
        secret_refresh=never,
    )
    metrics = OperatorMetrics()
    sampled = ("dbos_operator_workflows_completed_total", {"database": "team/default", "queue": "", "status": "ERROR"})
    async with start(settings, metrics) as operator:
        for number in range(20):
            await cluster.until(lambda n=number: cluster.condition(Kind.QUEUE, f"queue-{n}")[0] == "True")
            await cluster.until(lambda n=number: cluster.condition(Kind.SCHEDULE, f"schedule-{n}")[0] == "True")
        await cluster.until(lambda: operator.activity().settled)
        await cluster.until(lambda: metrics.registry.get_sample_value(*sampled) is not None, what="first sample")
        statements.clear()
        await cluster.until(lambda: statements["observe_running"] >= 5)
        statements.clear()
        cluster.calls.clear()
        before = versions(sql)
        await cluster.until(lambda: statements["observe_running"] >= 10)
        assert set(statements) == {"observe_rows", "observe_demand", "observe_running"}
        assert max(statements.values()) - min(statements.values()) <= 1
        assert versions(sql) == before
    assert set(cluster.calls) == {"list_pods"}
    assert cluster.desired.snapshot().workloads[target].replicas == 2


async def test_a_thousand_resources_take_few_statements(
    cluster: FakeCluster, start: Callable[..., Any], statements: Counter[str]
) -> None:
    for number in range(500):
        cluster.apply(Kind.QUEUE, f"queue-{number}", {"concurrency": 3})
        cluster.apply(Kind.SCHEDULE, f"schedule-{number}", {"workflowName": "w", "schedule": "0 2 * * *"})
    async with start():
        await cluster.until(
            lambda: all(
                any(condition["status"] == "True" for condition in manifest["status"].get("conditions", ())[:1])
                for manifest in cluster.manifests.values()
            ),
            what="all ready",
        )
        assert statements["insert_queues"] == statements["insert_schedules"] == 1
        assert statements["insert_records"] == 1
    assert cluster.calls["set_finalizers"] == 500
    assert cluster.calls["patch_status"] <= 1003
