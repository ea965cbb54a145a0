"""What one look takes in, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dbos.store.catalog import Catalog
from dbos_operator.gateway.observing import observe_statements
from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import Gateway, GatewayRequest, ObserveRequest, WantedDemand
from dbos_operator.resources.identity import Kind
from dbos_operator.resources.selector import parse_selector
from dbos_operator.scaling.demand import INTERNAL_QUEUE
from support.gateway_changes import insert_queue, insert_schedule, see_executor

Sql = Callable[..., list[dict[str, Any]]]


def ask(*wanted: WantedDemand, queues: tuple[str, ...] = (), schedules: tuple[str, ...] = ()) -> ObserveRequest:
    return ObserveRequest(queue_names=queues, schedule_names=schedules, wanted=wanted)


def a_want(name: str = "q", bound: int = 100, **options: Any) -> WantedDemand:
    return WantedDemand(queue_name=name, bound=bound, **options)


def fill(sql: Sql, status: str, count: int, **columns: object) -> None:
    names = "".join(f", {name}" for name in columns)
    values = ", %s" * len(columns)
    sql(
        f"INSERT INTO workflow_status (workflow_uuid, status, name{names})"
        f" SELECT gen_random_uuid()::text, %s, 'w'{values} FROM generate_series(1, %s)",
        status,
        *columns.values(),
        count,
    )


def test_rows_and_records_come_back_as_they_were_written(gateway: Gateway) -> None:
    queue, schedule = insert_queue("q", concurrency=3), insert_schedule("s", queue_name="q")
    seen = see_executor("pod-1")
    assert [result.rows for result in gateway.apply([queue, schedule, seen])] == [1, 1, 1]
    rows = gateway.observe(ask(queues=("q", "unknown"), schedules=("s",))).rows
    assert rows.rows[Kind.QUEUE, "q"].columns == queue.columns
    assert rows.rows[Kind.SCHEDULE, "s"].columns == schedule.columns
    assert rows.owned == {(Kind.QUEUE, "q"): queue.record, (Kind.SCHEDULE, "s"): schedule.record}
    assert rows.executors == (seen.record,)
    assert rows.schema_version == 125


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "worker", "tier": "fast"}},
        {"matchLabels": {"app": "worker"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]},
    ],
)
def test_an_executor_keeps_by_which_selector_it_was_found(gateway: Gateway, selector: dict[str, Any]) -> None:
    seen = see_executor("pod-1", selector=parse_selector(selector))
    gateway.apply([seen])
    assert gateway.observe(ask()).rows.executors == (seen.record,)


def test_an_executor_of_an_earlier_version_is_found_by_its_labels(gateway: Gateway, sql: Sql) -> None:
    gateway.apply([see_executor("pod-1")])
    sql("UPDATE dbos_operator.executors SET selector = CAST(%s AS jsonb)", '{"tier": "fast", "app": "worker"}')
    [record] = gateway.observe(ask()).rows.executors
    assert record.selector.text == "app=worker,tier=fast"


def test_demand_is_counted_by_status_and_version(gateway: Gateway, sql: Sql) -> None:
    fill(sql, "ENQUEUED", 3, queue_name="q")
    fill(sql, "ENQUEUED", 2, queue_name="q", application_version="v1")
    fill(sql, "ENQUEUED", 4, queue_name="q", application_version="old")
    fill(sql, "PENDING", 5, queue_name="q", executor_id="pod-1", application_version="v1")
    fill(sql, "PENDING", 1, executor_id="local")
    fill(sql, "DELAYED", 6, queue_name="q", delay_until_epoch_ms=1)
    fill(sql, "DELAYED", 7, queue_name="q", delay_until_epoch_ms=2**50)
    fill(sql, "SUCCESS", 8, queue_name="q")
    fill(sql, "ENQUEUED", 9, queue_name=INTERNAL_QUEUE)
    observation = gateway.observe(ask(a_want(version="v1"), a_want(INTERNAL_QUEUE), a_want("empty")))
    demand = observation.demand["q"]
    assert (demand.runnable, demand.running, demand.delayed_soon) == (9, 5, 6)
    assert demand.by_version == {None: 9, "v1": 2, "old": 4}
    assert demand.oldest_enqueued_ms is not None
    assert not demand.truncated
    assert observation.demand[INTERNAL_QUEUE].runnable == 9
    assert observation.demand["empty"].runnable == 0
    assert {(row.executor_id, row.version, row.count) for row in observation.rows.running} == {
        ("pod-1", "v1", 5),
        ("local", None, 1),
    }


def test_only_rows_of_the_application_and_unclaimed_ones_count(database_url: str, gateway: Gateway, sql: Sql) -> None:
    for application in ("orders", "billing", None):
        fill(sql, "ENQUEUED", 2, queue_name="q", application_name=application)
        sql(
            "INSERT INTO application_versions VALUES (%s, %s, 1, 1, %s)",
            f"i{application}",
            f"v{application}",
            application,
        )
    scoped = open_gateway(GatewayRequest(url=database_url, application_name="orders"))
    assert scoped.observe(ask(a_want())).demand["q"].runnable == 4
    assert scoped.observe(ask(a_want())).rows.latest_version in {"vorders", "vNone"}
    assert gateway.observe(ask(a_want())).demand["q"].runnable == 6
    scoped.close()


def test_rows_that_the_target_cannot_take_do_not_hide_those_that_it_can(gateway: Gateway, sql: Sql) -> None:
    fill(sql, "ENQUEUED", 500, queue_name="q", application_version="old", priority=0)
    fill(sql, "ENQUEUED", 7, queue_name="q", application_version="v1", priority=1)
    demand = gateway.observe(ask(a_want(bound=50, version="v1"))).demand["q"]
    assert demand.by_version == {"v1": 7, "old": 50}
    assert demand.truncated


def test_the_mean_duration_is_of_recent_runs_of_a_limited_queue(gateway: Gateway, sql: Sql) -> None:
    for seconds in (2, 4):
        fill(
            sql,
            "SUCCESS",
            1,
            queue_name="q",
            rate_limited=True,
            started_at_epoch_ms=1000,
            completed_at=1000 + seconds * 1000,
        )
    assert gateway.observe(ask(a_want(rate_limited=True))).demand["q"].mean_duration_seconds == 3.0
    assert gateway.observe(ask(a_want())).demand["q"].mean_duration_seconds is None


def pages(database_url: str) -> int:
    """Pages that the count of one queue touches, as the server tells."""
    request = ask(a_want(bound=100, version="v1"))
    [_, statement, _] = observe_statements(request, GatewayRequest(url=database_url))
    text = Catalog.load("dbos_operator.gateway.sql", schema="dbos")[statement.name]
    with psycopg.connect(database_url, autocommit=True) as connection:
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}".encode()
        row = connection.execute(explain, statement.parameters).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING"])
def test_a_long_backlog_costs_what_a_short_one_does(database_url: str, gateway: Gateway, sql: Sql, status: str) -> None:
    columns: dict[str, object] = {"queue_name": "q", "application_version": "v1"}
    fill(sql, status, 1_000, **columns)
    sql("VACUUM ANALYZE workflow_status")
    short = pages(database_url)
    fill(sql, status, 60_000, **columns)
    sql("VACUUM ANALYZE workflow_status")
    long = pages(database_url)
    assert gateway.observe(ask(a_want(bound=100, version="v1"))).demand["q"].truncated
    assert long <= 2 * short + 50
