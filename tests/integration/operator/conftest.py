"""An operator on a cluster in memory and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dbos_operator.loop.operator import Operator
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.resources.identity import Kind
from dbos_operator.settings import OperatorSettings
from support.fake_cluster import FakeCluster

SETTINGS = OperatorSettings(
    tick=timedelta(milliseconds=200),
    coalesce=timedelta(milliseconds=5),
    telemetry=timedelta(milliseconds=200),
    arrival=timedelta(seconds=1),
)
DATABASE = {"secretRef": {"name": "db", "key": "url"}, "recovery": {"gracePeriod": "0s"}}


@pytest.fixture
async def cluster(database_url: str) -> FakeCluster:
    """A cluster with one DBOSDatabase, `default`, that means the database of the test."""
    cluster = FakeCluster()
    cluster.put_secret("db", url=database_url)
    cluster.apply(Kind.DATABASE, "default", DATABASE)
    cluster.desired.mark_complete()
    return cluster


@pytest.fixture
def start(cluster: FakeCluster) -> Callable[..., Any]:
    """Start an operator on the cluster, for the length of a block."""

    @asynccontextmanager
    async def run(
        settings: OperatorSettings = SETTINGS, metrics: OperatorMetrics | None = None, **parts: Any
    ) -> AsyncIterator[Operator]:
        metrics = metrics or OperatorMetrics()
        operator = Operator(desired=cluster.desired, cluster=cluster, settings=settings, metrics=metrics, **parts)
        task = asyncio.create_task(operator.run())
        try:
            yield operator
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run


@pytest.fixture
async def operator(start: Callable[..., Any]) -> AsyncIterator[Operator]:
    """An operator that runs."""
    async with start() as running:
        yield running


@pytest.fixture
def sql(database_url: str) -> Callable[..., list[dict[str, Any]]]:
    """Run a statement on the database of the test; `dbos` is on the search path."""

    def execute(text: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(database_url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            connection.execute("SET search_path = dbos")
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description is not None else []

    return execute
