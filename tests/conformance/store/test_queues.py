"""Rows of queues and application versions: registered once, never taken from their owners."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dbos.core.limits import QueueLimits
from dbos.store.database import SystemDatabase
from dbos.store.queues import Registration, load_queue, load_queues, register_queue
from support.bystander import Bystander
from support.store_records import a_running_workflow, a_workflow, writing

LIMITS = QueueLimits(
    concurrency=9, worker_concurrency=3, rate_limit=5, rate_period_seconds=1.5, polling_interval_seconds=0.5
)


def _register(
    database: SystemDatabase,
    limits: QueueLimits | None = None,
    application: str | None = "orders",
    *,
    update: bool = True,
) -> Registration:
    return database.run(lambda: register_queue("work", limits or LIMITS, application, update=update, now_ms=77))


def _rows(sql: Bystander) -> list[dict[str, Any]]:
    return sql.execute("SELECT * FROM dbos.queues ORDER BY name").fetchall()


def test_a_new_queue_has_the_row_that_every_sdk_writes(database: SystemDatabase, sql: Bystander) -> None:
    assert _register(database) == Registration(changed=True)
    [row] = _rows(sql)
    wanted = {
        "name": "work",
        "concurrency": 9,
        "worker_concurrency": 3,
        "rate_limit_max": 5,
        "rate_limit_period_sec": 1.5,
        "polling_interval_sec": 0.5,
        "priority_enabled": True,
        "partition_queue": False,
        "updated_at": 77,
        "application_name": "orders",
        "partition_concurrency": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert len(row["queue_id"]) == 36


def test_registering_again_changes_limits_when_it_may(database: SystemDatabase, sql: Bystander) -> None:
    _register(database)
    [before] = _rows(sql)
    assert _register(database, QueueLimits(), update=False) == Registration(changed=False)
    assert _rows(sql) == [before]
    assert _register(database, QueueLimits(concurrency=2)) == Registration(changed=True)
    [after] = _rows(sql)
    assert (after["concurrency"], after["worker_concurrency"], after["rate_limit_max"]) == (2, None, None)
    assert after["queue_id"] == before["queue_id"]


def test_an_unclaimed_queue_is_taken_over(database: SystemDatabase, sql: Bystander) -> None:
    _register(database, application=None)
    assert _rows(sql)[0]["application_name"] is None
    _register(database)
    assert _rows(sql)[0]["application_name"] == "orders"
    _register(database, application=None)
    assert _rows(sql)[0]["application_name"] == "orders"


def test_a_queue_of_another_application_is_never_touched(database: SystemDatabase, sql: Bystander) -> None:
    _register(database, application="shop")
    before = _rows(sql)
    assert _register(database, QueueLimits()) == Registration(changed=False, owner="shop")
    assert _rows(sql) == before


def test_a_queue_that_a_resource_manages_is_never_touched(database: SystemDatabase, sql: Bystander) -> None:
    sql.execute("INSERT INTO dbos.queues (queue_id, name, concurrency, updated_at) VALUES ('k8s:a:b', 'work', 7, 1)")
    before = _rows(sql)
    assert _register(database) == Registration(changed=False, managed=True)
    assert _rows(sql) == before


def test_registering_from_many_processes_makes_one_row(database: SystemDatabase, sql: Bystander) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: _register(database), range(16)))
    assert all(registration.changed for registration in done)
    assert len(_rows(sql)) == 1


def test_an_application_serves_its_own_queues_unclaimed_ones_and_the_internal_one(
    database: SystemDatabase, sql: Bystander
) -> None:
    for name, application in (("mine", "orders"), ("anybodys", None), ("theirs", "shop")):
        database.run(
            lambda name=name, application=application: register_queue(  # type: ignore[misc]
                name, QueueLimits(), application, update=True, now_ms=1
            )
        )
    sql.execute("INSERT INTO dbos.queues (name, updated_at, partition_concurrency) VALUES ('lanes', 0, 1)")
    with writing(database) as writer:
        writer.write(a_workflow(queue_name="mine"))
        writer.write(a_workflow(queue_name="anybodys", application_name="shop"))
        writer.write(a_running_workflow(queue_name="_dbos_internal_queue"))
    found = {row.name: row for row in database.run(lambda: load_queues("orders"))}
    assert {name: (row.runnable, row.limits.partitioned) for name, row in found.items()} == {
        "mine": (True, False),
        "anybodys": (False, False),
        "lanes": (False, True),
        "_dbos_internal_queue": (False, False),
    }


def test_limits_are_read_as_they_were_written(database: SystemDatabase) -> None:
    _register(database)
    row = database.run(lambda: load_queue("work"))
    assert row is not None
    assert row.limits == LIMITS
    assert database.run(lambda: load_queue("nothing")) is None


@pytest.mark.parametrize(
    ("columns", "limits"),
    [
        ("concurrency = 0, worker_concurrency = 5", QueueLimits(concurrency=0, worker_concurrency=0)),
        ("concurrency = 2, worker_concurrency = 5", QueueLimits(concurrency=2, worker_concurrency=2)),
        ("rate_limit_max = 4", QueueLimits(rate_limit=4)),
        ("rate_limit_max = 4, rate_limit_period_sec = 'NaN'", QueueLimits(rate_limit=4)),
        ("polling_interval_sec = 'NaN'", QueueLimits()),
        ("polling_interval_sec = -1", QueueLimits()),
    ],
)
def test_limits_that_nobody_can_ask_for_are_read_too(
    database: SystemDatabase, sql: Bystander, columns: str, limits: QueueLimits
) -> None:
    _register(database, QueueLimits())
    sql.execute(f"UPDATE dbos.queues SET {columns}")  # type: ignore[arg-type]
    row = database.run(lambda: load_queue("work"))
    assert row is not None
    assert row.limits == limits
    assert row.limits.rate_period_ms is None
