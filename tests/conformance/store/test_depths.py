"""What waits and runs on each queue, counted at a bounded cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from dbos.core.limits import QueueLimits
from dbos.store import depths
from dbos.store.database import SystemDatabase
from dbos.store.depths import QueueDepth, forget_refusals, load_depths, load_refused, record_refusals
from dbos.store.queues import register_queue
from support.bystander import Bystander
from support.store_records import a_running_workflow, a_workflow, opened, writing

pytestmark = pytest.mark.both_databases
PLACE = {"system_schema": "dbos", "application": "orders"}


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """A system database with the tables of the runtime."""
    with opened(database_url) as store:
        assert store.prepare_runtime_tables()
        yield store


def _register(database: SystemDatabase, name: str, application: str | None = "orders", **limits: Any) -> None:
    database.run(lambda: register_queue(name, QueueLimits(**limits), application, update=True, now_ms=1))


def _depths(database: SystemDatabase, *, refusals: bool = True) -> dict[str, QueueDepth]:
    found = database.run(partial(load_depths, "orders", system_schema="dbos", refusals=refusals))
    return {depth.name: depth for depth in found}


def test_what_waits_and_runs_is_counted_by_queue(database: SystemDatabase, sql: Bystander) -> None:
    _register(database, "work")
    with writing(database) as writer:
        for number in range(3):
            writer.write(a_workflow(f"w{number}", priority=3 - number))
        writer.write(a_running_workflow(queue_name="work"))
        writer.write(a_running_workflow())
        writer.write(a_workflow(application_name="shop"))
        writer.write(a_workflow(application_name=None))
        for queue in ("work", "other"):
            writer.write(a_workflow(status="DELAYED", delay_until_ms=1, queue_name=queue))
    sql.execute("UPDATE dbos.workflow_status SET created_at = 5 WHERE workflow_uuid = 'w0'")
    assert _depths(database) == {
        "_dbos_internal_queue": QueueDepth(
            name="_dbos_internal_queue", registered=True, enqueued=0, pending=0, delayed=0
        ),
        "other": QueueDepth(name="other", registered=False, enqueued=0, pending=0, delayed=1),
        "work": QueueDepth(name="work", registered=True, enqueued=4, pending=1, delayed=1, oldest_ms=5),
    }


def test_the_oldest_is_found_behind_many_of_a_higher_priority(database: SystemDatabase, sql: Bystander) -> None:
    with writing(database) as writer:
        for _ in range(150):
            writer.write(a_workflow(priority=1))
        writer.write(a_workflow("old", priority=7))
        writer.write(a_workflow("foreign", priority=8, application_name="shop"))
    sql.execute("UPDATE dbos.workflow_status SET created_at = 5 WHERE workflow_uuid = 'old'")
    sql.execute("UPDATE dbos.workflow_status SET created_at = 4 WHERE workflow_uuid = 'foreign'")
    assert _depths(database)["work"].oldest_ms == 5


def test_a_queue_that_nobody_registered_is_told_as_such(database: SystemDatabase) -> None:
    _register(database, "foreign", "shop")
    _register(database, "everybody's", None)
    with writing(database) as writer:
        for queue in ("nowhere", "foreign", "everybody's", "_dbos_kafka_queue"):
            writer.write(a_workflow(queue_name=queue))
        writer.write(a_workflow(queue_name="not ours", application_name="shop"))
    assert {name: depth.registered for name, depth in _depths(database).items()} == {
        "_dbos_internal_queue": True,
        "_dbos_kafka_queue": True,
        "everybody's": True,
        "foreign": False,
        "nowhere": False,
    }


def test_what_lacks_the_key_of_its_partition_is_counted(database: SystemDatabase) -> None:
    _register(database, "lanes", partition_concurrency=1)
    _register(database, "work")
    with writing(database) as writer:
        writer.write(a_workflow(queue_name="lanes"))
        writer.write(a_workflow(queue_name="lanes", application_name="shop"))
        writer.write(a_workflow(queue_name="lanes", partition_key="a"))
        writer.write(a_workflow(queue_name="work"))
    assert {name: depth.keyless for name, depth in _depths(database).items()} == {
        "_dbos_internal_queue": 0,
        "lanes": 1,
        "work": 0,
    }


def test_what_processes_refused_lately_is_counted(database: SystemDatabase) -> None:
    _register(database, "work")
    with writing(database) as writer:
        writer.write(a_workflow(name="strange"))
        writer.write(a_workflow(name="strange", application_name="shop"))
        writer.write(a_workflow(name="strange", class_name="Class"))
        writer.write(a_workflow(name="known"))
    record = partial(record_refusals, system_schema="dbos", application="orders", process="one")
    assert _depths(database)["work"].refused == 0
    database.run(partial(record, ["strange"], seconds=100))
    assert _depths(database)["work"].refused == 1
    assert _depths(database, refusals=False)["work"].refused == 0
    database.run(partial(record, ["strange\x1fClass"], seconds=100))
    assert _depths(database)["work"].refused == 2
    database.run(partial(record, ["strange"], seconds=-1))
    assert _depths(database)["work"].refused == 1, "what was refused long ago may be there now"


def test_a_process_that_ends_takes_back_what_it_refused(database: SystemDatabase) -> None:
    for process in ("one", "two"):
        database.run(partial(record_refusals, ["f"], process=process, seconds=100, **PLACE))
        database.run(partial(record_refusals, [f"of {process}"], process=process, seconds=100, **PLACE))
    database.run(partial(forget_refusals, process="one", **PLACE))
    assert database.run(partial(load_refused, "dbos")) == {("orders", "f"), ("orders", "of two")}


def test_counting_stops_at_a_bound(database: SystemDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    _register(database, "work")
    with writing(database) as writer:
        for number in range(9):
            writer.write(a_workflow(status="DELAYED" if number % 2 else "ENQUEUED", delay_until_ms=1))
    monkeypatch.setattr(depths, "BOUND", 3)
    monkeypatch.setattr(depths, "LEAST_BOUND", 1)
    found = _depths(database)["work"]
    assert (found.enqueued, found.delayed) == (3, 3)
    monkeypatch.setattr(depths, "TOTAL_BOUND", 4)
    assert _depths(database)["work"].enqueued == 2, "two queues share the total"


def test_a_million_rows_are_not_looked_at(
    database: SystemDatabase, database_kind: str, sql: Bystander, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depths, "LEAST_BOUND", 1)
    monkeypatch.setattr(depths, "BOUND", 500)
    _register(database, "work")
    sql.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)"
        " INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, application_name, created_at,"
        " priority)"
        " SELECT 'w' || i, 'ENQUEUED', 'f', CASE WHEN i % 2 = 0 THEN 'work' ELSE 'gone' END, 'orders', i, i % 3 FROM n"
    )
    sql.execute("VACUUM")
    sql.execute("ANALYZE")
    found = _depths(database)
    assert {(name, depth.enqueued, depth.oldest_ms) for name, depth in found.items() if depth.enqueued} == {
        ("gone", 500, 1),
        ("work", 500, 2),
    }
    text = database.source.catalog["load_depths"]
    given = {"application": "orders", "queues": '[{"name": "work"}]', "bound": 500, "levels": 9}
    if database_kind == "sqlite":
        plan = str(sql.execute(f"EXPLAIN QUERY PLAN {text}", given).fetchall())
        assert "idx_workflow_status_in_flight" in plan
        assert not re.search(r"SCAN (workflow|first|next)\b(?! USING)", plan), plan
        return
    lines = [str(row["QUERY PLAN"]) for row in sql.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {text}", given).fetchall()]
    scans = [line for line in lines if "on workflow_status" in line]
    assert scans
    assert all("idx_workflow_status" in line for line in scans), "\n".join(lines)
    looked_at = [int(re.search(r"actual rows=(\d+)", line)[1]) for line in scans if "never executed" not in line]  # type: ignore[index]
    assert max(looked_at) <= 500, "\n".join(lines)
