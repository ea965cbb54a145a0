"""An application that deletes its old workflows while it works."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from dbos import DBOS, Queue, SQLAlchemyDatasource
from dbos.config.retention import RetentionOptions
from dbos.core.ids import ExecutorId
from dbos.engine.duties import Duties
from dbos.engine.retention import RETENTION_DUTY, Retention
from dbos.engine.services import Services
from dbos.engine.waiting import Signals
from dbos.engine.watch import OwnershipWatch
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import Claimant
from dbos.store.writer import GroupCommitWriter
from dbos.telemetry import Event, Telemetry, WorkflowsDeleted
from integration.runtime.conftest import APPLICATION, Launch
from support.bystander import Bystander, bystander
from support.postgres import running_postgres
from support.store_records import claim, opened
from support.waiting import eventually

pytestmark = pytest.mark.both_databases
HOUR = {"max_age_sec": 3600, "interval_sec": 1}
AGE = (
    "UPDATE dbos.workflow_status SET created_at = created_at - 7200000, completed_at = completed_at - 7200000"
    " WHERE workflow_uuid = %s"
)


def _ids(sql: Bystander, table: str = "workflow_status", column: str = "workflow_uuid") -> set[str]:
    return {row[column] for row in sql.execute(f"SELECT {column} FROM dbos.{table}").fetchall()}


def test_what_ended_long_ago_goes_while_the_application_works(launch: Launch, sql: Bystander) -> None:
    queue = Queue("work")
    go = threading.Event()

    @DBOS.step()
    def step() -> None:
        DBOS.set_event("key", 1)

    @DBOS.workflow()
    def child() -> None:
        step()

    @DBOS.workflow()
    def parent() -> None:
        DBOS.start_workflow(child).get_result()
        go.wait(100)

    launch()
    old, young = (queue.enqueue(child) for _ in range(2))
    running = queue.enqueue(parent)
    for handle in (old, young):
        handle.get_result()
    owned = eventually(lambda: _ids(sql), lambda ids: len(ids) == 4) - {each.workflow_id for each in (old, young)}
    [born] = owned - {running.workflow_id}
    DBOS.retrieve_workflow(born).get_result()
    for workflow_id in (old.workflow_id, born, running.workflow_id):
        sql.execute(AGE, [workflow_id])
    engine_retention(launch_again=launch, retention=HOUR)
    eventually(lambda: _ids(sql), lambda ids: old.workflow_id not in ids)
    assert _ids(sql) == {young.workflow_id, running.workflow_id, born}
    assert old.workflow_id not in _ids(sql, "operation_outputs") | _ids(sql, "workflow_input")
    go.set()


def engine_retention(*, launch_again: Launch, retention: dict[str, Any]) -> None:
    """Stop the application and launch it with these settings; what ran goes on."""
    DBOS.destroy()
    launch_again(retention=retention)


def test_only_the_newest_are_kept_where_a_number_is_set(launch: Launch, sql: Bystander) -> None:
    @DBOS.workflow()
    def work() -> None:
        pass

    launch()
    handles = [DBOS.start_workflow(work) for _ in range(4)]
    first_ms = int(time.time() * 1000) - 600_000
    for number, handle in enumerate(handles):  # side by side they end in any order
        handle.get_result()
        sql.execute(
            "UPDATE dbos.workflow_status SET completed_at = %s WHERE workflow_uuid = %s",
            [first_ms + number, handle.workflow_id],
        )
    engine_retention(launch_again=launch, retention={"max_workflows": 2, "interval_sec": 1, "batch_size": 1})
    kept = {handle.workflow_id for handle in handles[2:]}
    eventually(lambda: _ids(sql), lambda ids: ids == kept)


def test_checkpoints_that_a_killed_process_left_in_a_datasource_go_too(
    launch: Launch, sql: Bystander, user: Bystander, user_url: str
) -> None:
    datasource = SQLAlchemyDatasource.create(user_url)

    @DBOS.workflow()
    def work() -> None:
        datasource.run_tx_step({"name": "pay"}, lambda: datasource.sql_session().execute(text("SELECT 1")).scalar())

    launch()
    handle = DBOS.start_workflow(work)
    handle.get_result()
    table = "datasource_outputs"
    eventually(lambda: user.execute(f"SELECT * FROM dbos.{table}").fetchall(), lambda rows: rows == [])
    for workflow_id in (handle.workflow_id, "somebody else's"):
        user.execute(f"INSERT INTO dbos.{table} (workflow_id, step_id) VALUES (%s, 1)", [workflow_id])
    sql.execute(AGE, [handle.workflow_id])
    engine_retention(launch_again=launch, retention=HOUR)
    eventually(lambda: _ids(user, table, "workflow_id"), lambda ids: ids == {"somebody else's"})


# -- one process at a time -------------------------------------------------------------------------------------------


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """A system database with the tables of the runtime."""
    with opened(database_url) as store:
        assert store.prepare_runtime_tables()
        yield store


class Worker:
    """A process that deletes, as far as the database knows."""

    def __init__(self, database: SystemDatabase, **options: Any) -> None:
        self.deleted: list[int] = []
        self.duties = Duties(database, APPLICATION)
        telemetry = Telemetry()
        telemetry.subscribe(self._note)
        signals = Signals()
        services = Services(
            database=database,
            writer=GroupCommitWriter(database.source),
            claimant=Claimant(executor_id=ExecutorId("one"), application=APPLICATION, version="v1"),
            application_id="",
            signals=signals,
            watch=OwnershipWatch(database, signals),
            telemetry=telemetry,
            wake_queue=lambda _queue: None,
        )
        self.retention = Retention(
            services,
            RetentionOptions(**({"max_age_seconds": 3600.0} | options)),
            hold=lambda seconds: self.duties.hold(RETENTION_DUTY, seconds=seconds),
        )

    def _note(self, event: Event) -> None:
        if isinstance(event, WorkflowsDeleted):
            self.deleted.append(event.count)


def _fill(sql: Bystander, number: int, *, waiting: int = 0) -> None:
    """Store workflows that ended long ago, with payloads and steps, and others that wait."""
    many = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    sql.execute(
        f"{many} INSERT INTO dbos.workflow_status (workflow_uuid, status, name, application_name, created_at,"
        " completed_at) SELECT 'old-' || i, 'SUCCESS', 'work', 'orders', i, i FROM n"
    )
    sql.execute(f"{many} INSERT INTO dbos.workflow_input (workflow_uuid, inputs) SELECT 'old-' || i, 'x' FROM n")
    sql.execute(f"{many} INSERT INTO dbos.workflow_output (workflow_uuid, output) SELECT 'old-' || i, 'x' FROM n")
    sql.execute(
        f"{many} INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name)"
        " SELECT 'old-' || i, 1, 'step' FROM n"
    )
    if waiting:
        sql.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {waiting})"
            " INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, application_name,"
            " created_at, priority) SELECT 'new-' || i, 'ENQUEUED', 'work', 'work', 'orders', i, 0 FROM n"
        )


def test_of_several_processes_one_deletes_and_the_next_takes_over(database: SystemDatabase, sql: Bystander) -> None:
    first, second = Worker(database), Worker(database)
    _fill(sql, 10)
    assert first.retention.turn() == 10
    _fill(sql, 10)
    assert second.retention.turn() == 0
    first.duties.drop()
    assert second.retention.turn() == 10
    assert first.retention.turn() == 0
    assert (first.deleted, second.deleted) == ([10], [10])


def test_what_was_kept_for_a_while_is_found_by_the_next_full_look(database: SystemDatabase, sql: Bystander) -> None:
    worker = Worker(database)
    _fill(sql, 10, waiting=1)
    sql.execute(
        "UPDATE dbos.workflow_status SET parent_workflow_id = 'new-1' WHERE workflow_uuid IN ('old-1', 'old-2')"
    )
    assert worker.retention.turn() == 8
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', completed_at = 5 WHERE workflow_uuid = 'new-1'")
    assert worker.retention.turn() == 0, "it does not look at all that was kept each time"
    worker.retention.forget_progress()
    assert worker.retention.turn() == 3


def test_without_tables_for_duties_every_process_deletes_and_nothing_twice(database_url: str, sql: Bystander) -> None:
    with opened(database_url) as bare:
        workers = [Worker(bare, batch_size=7) for _ in range(3)]
        _fill(sql, 200)
        threads = [threading.Thread(target=worker.retention.turn) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        workers[0].retention.turn()
        assert sum(sum(worker.deleted) for worker in workers) == 200
        assert _ids(sql) == set()


# -- beside others ---------------------------------------------------------------------------------------------------


def test_a_large_table_is_emptied_in_batches_while_others_claim(database: SystemDatabase, sql: Bystander) -> None:
    worker = Worker(database)
    _fill(sql, 50_000, waiting=200)
    started, ended = threading.Event(), threading.Event()

    def delete() -> None:
        started.set()
        worker.retention.turn()
        ended.set()

    deleting = threading.Thread(target=delete)
    claims: list[tuple[float, bool]] = []
    deleting.start()
    assert started.wait(10)
    while not ended.is_set():
        began = time.monotonic()
        if not claim(database, limit=1):
            sql.execute("UPDATE dbos.workflow_status SET status = 'ENQUEUED' WHERE status = 'PENDING'")
        claims.append((time.monotonic() - began, ended.is_set()))
        ended.wait(0.02)
    deleting.join()
    during = [seconds for seconds, after in claims if not after]
    assert sum(worker.deleted) == 50_000
    assert max(worker.deleted) == 1000, "a transaction for each batch"
    assert len(during) >= 5, "claims come between the batches: one that waits for the end is the only one"
    assert {row["status"] for row in sql.execute("SELECT status FROM dbos.workflow_status").fetchall()} <= {
        "ENQUEUED",
        "PENDING",
    }
    assert len(_ids(sql)) == 200
    assert _ids(sql, "operation_outputs") == set()


@pytest.mark.parametrize("statement", ["lock_completed", "load_completion_cutoff"])
def test_an_index_finds_what_is_to_go(
    database: SystemDatabase, database_kind: str, sql: Bystander, statement: str
) -> None:
    _fill(sql, 20_000, waiting=20_000)
    text = database.source.catalog[statement]
    given = {"application": APPLICATION, "after_ms": 0, "cutoff_ms": 10**12, "batch": 100}
    parameters = given if statement == "lock_completed" else {
        "application": APPLICATION, "max_age_ms": 1, "min_age_ms": 1, "keep": 5, "before": 4,
    }  # fmt: skip
    sql.execute("ANALYZE")
    explain = "EXPLAIN QUERY PLAN" if database_kind == "sqlite" else "EXPLAIN"
    plan = str(sql.execute(f"{explain} {text}", parameters).fetchall())
    assert "idx_workflow_status_completed_at" in plan, plan
    assert "Seq Scan on workflow_status workflow" not in plan
    assert "SCAN workflow " not in plan.replace("SCAN workflow USING INDEX", "")


@pytest.mark.postgresql_only  # a file does not vanish for a while
def test_a_database_that_vanishes_meanwhile_loses_nothing() -> None:
    with running_postgres() as server:
        url = server.create_database()
        with opened(url) as database, bystander(url) as sql:
            database.prepare()
            database.prepare_runtime_tables()
            _fill(sql, 3000, waiting=50)
        with opened(url) as database:
            worker = Worker(database, batch_size=100)
            deleting = threading.Thread(target=worker.retention.turn)
            deleting.start()
            eventually(lambda: worker.deleted, lambda deleted: len(deleted) >= 2)
            server.stop()
            server.start()
            deleting.join(60)
            assert not deleting.is_alive()
            with bystander(url) as sql:
                assert len(_ids(sql)) == 50
                assert _ids(sql, "workflow_output") == set()
