"""What the product documentation promises beside its blocks, where no other test holds it to that."""

from __future__ import annotations

import asyncio
import base64
import pickle
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidRequestError

from dbos import (
    DBOS,
    DBOSClient,
    DBOSContextSetAuth,
    EnqueueOptions,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    SetWorkflowTimeout,
)
from dbos.api.runtime import engine
from dbos.error import DBOSMaxStepRetriesExceeded, DBOSNonExistentWorkflowError
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


def test_a_workflow_has_a_uuid_that_its_steps_and_transactions_know(application: DBOS) -> None:
    seen: list[tuple[str | None, int | None]] = []

    def look() -> None:
        seen.append((DBOS.workflow_id, DBOS.step_id))

    step = DBOS.step()(look)
    transaction = DBOS.transaction(name="look_again")(look)

    @DBOS.workflow()
    def parent() -> None:
        look()
        step()
        transaction()

    handle = DBOS.start_workflow(parent)
    handle.get_result()
    assert UUID(handle.get_workflow_id())
    assert [workflow_id for workflow_id, _ in seen] == [handle.workflow_id] * 3
    assert [step_id for _, step_id in seen] == [None, 1, 2]
    assert DBOS.workflow_id is None


def test_a_coroutine_workflow_runs_on_its_callers_loop_and_an_enqueued_one_on_another(application: DBOS) -> None:
    queue = Queue("coroutines")

    @DBOS.workflow()
    async def where() -> int:
        return id(asyncio.get_running_loop())

    async def run() -> tuple[int, int, int, int]:
        called = await where()
        started = await (await DBOS.start_workflow_async(where)).get_result()
        enqueued = await (await queue.enqueue_async(where)).get_result()
        return id(asyncio.get_running_loop()), called, started, enqueued

    here, called, started, enqueued = asyncio.run(run())
    assert here == called == started != enqueued


def test_readers_see_what_every_try_of_a_step_wrote_in_order(application: DBOS) -> None:
    tries: list[int] = []

    @DBOS.step(retries_allowed=True, interval_seconds=0, max_attempts=3)
    def write() -> None:
        tries.append(len(tries))
        for value in ("a", "b"):
            DBOS.write_stream("letters", f"{value}{tries[-1]}")
        if len(tries) < 3:
            raise ConnectionError("not yet")

    @DBOS.workflow()
    def producer() -> None:
        write()

    handle = DBOS.start_workflow(producer)
    assert list(DBOS.read_stream(handle.workflow_id, "letters")) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_what_runs_of_other_versions_counts_towards_a_global_limit(application: DBOS, sql: Bystander) -> None:
    queue = Queue("two_at_once", concurrency=2)
    released = threading.Event()

    @DBOS.workflow()
    def wait() -> None:
        assert released.wait(60)

    with SetWorkflowID("older"):
        first = queue.enqueue(wait)
    eventually(lambda: first.get_status().status, lambda status: status == "PENDING")
    sql.execute("UPDATE dbos.workflow_status SET application_version = 'v0' WHERE workflow_uuid = 'older'")
    second = queue.enqueue(wait)
    with SetEnqueueOptions(priority=1):  # behind the second, also when both came in the same millisecond
        third = queue.enqueue(wait)
    eventually(lambda: second.get_status().status, lambda status: status == "PENDING")
    assert [handle.get_status().status for handle in (second, third)] == ["PENDING", "ENQUEUED"]
    released.set()
    assert [handle.get_result() for handle in (second, third)] == [None, None]


def test_resuming_starts_what_waits_on_its_queue_at_once(application: DBOS) -> None:
    queue = Queue("one_at_a_time", concurrency=1)
    released = threading.Event()

    @DBOS.workflow()
    def wait() -> None:
        assert released.wait(60)

    @DBOS.workflow()
    def answer() -> int:
        return 42

    first = queue.enqueue(wait)
    eventually(lambda: first.get_status().status, lambda status: status == "PENDING")
    waiting = queue.enqueue(answer)
    resumed: Any = DBOS.resume_workflow(waiting.workflow_id)
    assert resumed.get_result() == 42
    assert first.get_status().status == "PENDING"
    released.set()
    first.get_result()


def test_a_dead_letter_is_resumed_from_its_last_completed_step(application: DBOS, sql: Bystander) -> None:
    ran: list[str] = []

    @DBOS.workflow()
    def work() -> str:
        DBOS.run_step({"name": "first"}, lambda: ran.append("first"))
        DBOS.run_step({"name": "second"}, lambda: ran.append("second"))
        return "done"

    with SetWorkflowID("w"):
        work()
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', recovery_attempts = 102 "
        "WHERE workflow_uuid = 'w'"
    )
    sql.execute("DELETE FROM dbos.operation_outputs WHERE function_id = 2")

    resumed: Any = DBOS.resume_workflow("w")
    assert resumed.get_result() == "done"
    assert ran == ["first", "second", "second"]


@pytest.mark.parametrize("way", ["commit", "rollback"])
def test_a_transaction_ends_with_its_function_and_not_before(way: str, application: DBOS, sql: Bystander) -> None:
    sql.execute("CREATE TABLE notes (note text)")

    @DBOS.transaction()
    def write(carries_on: bool) -> None:
        DBOS.sql_session.execute(text("INSERT INTO notes VALUES ('first')"))
        try:
            getattr(DBOS.sql_session, way)()
        except InvalidRequestError:
            if not carries_on:
                raise
        DBOS.sql_session.execute(text("INSERT INTO notes VALUES ('second')"))

    @DBOS.workflow()
    def work(*, carries_on: bool) -> None:
        write(carries_on)

    with pytest.raises(InvalidRequestError, match="ends with its function"):
        work(carries_on=False)
    assert sql.execute("SELECT note FROM notes").fetchall() == []
    work(carries_on=True)
    assert [row["note"] for row in sql.execute("SELECT note FROM notes").fetchall()] == ["first", "second"]


def test_enqueue_options_do_not_reach_children(application: DBOS) -> None:
    queue = Queue("orders")

    @DBOS.workflow()
    def child() -> None: ...

    @DBOS.workflow()
    def parent() -> None:
        queue.enqueue(child).get_result()

    with SetEnqueueOptions(priority=7, deduplication_id="one"):
        handle = queue.enqueue(parent)
    handle.get_result()
    (found,) = DBOS.list_workflows(parent_workflow_id=handle.workflow_id)
    assert (found.priority, found.deduplication_id) == (0, None)


def test_a_child_has_its_parents_deadline_unless_it_is_given_another(application: DBOS) -> None:
    @DBOS.workflow()
    def child() -> None: ...

    @DBOS.workflow()
    def parent() -> list[str]:
        children = [DBOS.start_workflow(child)]
        for seconds in (None, 1000):
            with SetWorkflowTimeout(seconds):
                children.append(DBOS.start_workflow(child))
        return [each.workflow_id for each in children]

    with SetWorkflowTimeout(500):
        handle = DBOS.start_workflow(parent)
    inherited, detached, own = (DBOS.get_workflow_status(each) for each in handle.get_result())
    deadline = handle.get_status().workflow_deadline_epoch_ms
    assert inherited is not None
    assert inherited.workflow_deadline_epoch_ms == deadline is not None
    assert detached is not None
    assert (detached.workflow_timeout_ms, detached.workflow_deadline_epoch_ms) == (None, None)
    assert own is not None
    assert own.workflow_timeout_ms == 1_000_000
    assert own.workflow_deadline_epoch_ms > deadline  # type: ignore[operator]


def test_a_method_of_any_class_can_be_a_step(application: DBOS) -> None:
    class Mailer:
        def __init__(self, sender: str) -> None:
            self.sender = sender

        @DBOS.step()
        def send(self, to: str) -> str:
            return f"{self.sender} to {to}"

    @DBOS.workflow()
    def mail(to: str) -> str:
        return Mailer("shop").send(to)

    with SetWorkflowID("w"):
        assert mail("ada") == "shop to ada"
    assert [step["output"] for step in DBOS.list_workflow_steps("w")] == ["shop to ada"]


def test_arguments_results_and_steps_are_pickles_in_base64(application: DBOS, sql: Bystander) -> None:
    @DBOS.workflow()
    def work(numbers: set[int]) -> set[int]:
        return DBOS.run_step({"name": "add"}, lambda: numbers | {3})

    with SetWorkflowID("w"):
        work({1, 2})

    def stored(column: str, table: str) -> Any:
        row = sql.execute(f"SELECT {column} AS text FROM dbos.{table}").fetchone()
        assert row is not None
        return pickle.loads(base64.b64decode(row["text"], validate=True))

    assert stored("inputs", "workflow_input") == {"args": ({1, 2},), "kwargs": {}}
    assert stored("output", "workflow_output") == {1, 2, 3} == stored("output", "operation_outputs")


def test_times_of_listings_are_rfc_3339_with_any_offset(application: DBOS) -> None:
    @DBOS.workflow()
    def work() -> None: ...

    work()
    now = datetime.now(UTC)
    for zone in ("Z", "+00:00"):
        before, after = ((now + timedelta(hours=hours)).replace(tzinfo=None).isoformat() + zone for hours in (-1, 1))
        assert len(DBOS.list_workflows(start_time=before, end_time=after)) == 1
        assert DBOS.list_workflows(start_time=after) == DBOS.list_workflows(end_time=before) == []
    east = (now + timedelta(hours=3)).replace(tzinfo=None).isoformat() + "+04:00"
    assert len(DBOS.list_workflows(start_time=east)) == 1


def test_queued_listings_filter_by_status_and_leave_out_what_ended(application: DBOS) -> None:
    queue = Queue("one_at_a_time", concurrency=1)
    released = threading.Event()

    @DBOS.workflow()
    def wait() -> None:
        assert released.wait(60)

    first = queue.enqueue(wait)
    eventually(lambda: first.get_status().status, lambda status: status == "PENDING")
    second = queue.enqueue(wait)

    def listed(**filters: Any) -> list[str]:
        return [run.workflow_id for run in DBOS.list_queued_workflows(**filters)]

    assert listed() == [first.workflow_id, second.workflow_id]
    assert listed(sort_desc=True, limit=1) == [second.workflow_id]
    assert listed(status="PENDING") == [first.workflow_id]
    assert listed(status=["ENQUEUED"], queue_name="one_at_a_time") == [second.workflow_id]
    released.set()
    second.get_result()
    assert listed() == []


@pytest.mark.parametrize("filter_name", ["status", "name", "queue_name", "user", "workflow_id_prefix"])
def test_a_filter_takes_one_value_or_several(filter_name: str, application: DBOS) -> None:
    queue = Queue("orders")

    @DBOS.workflow(name="process_order")
    def process_order() -> None: ...

    with DBOSContextSetAuth("ada", []), SetWorkflowID("order-1"):
        queue.enqueue(process_order).get_result()
    values = {"status": "SUCCESS", "name": "process_order", "queue_name": "orders", "user": "ada"}
    value = values.get(filter_name, "order-")
    other = "ERROR" if filter_name == "status" else "other"

    for given, found in ((value, 1), ([value, other], 1), ([other], 0), (other, 0)):
        assert len(DBOS.list_workflows(**{filter_name: given})) == found  # type: ignore[arg-type]


def test_options_for_the_engine_reach_its_pool(place: str) -> None:
    DBOS(
        config={
            "name": "shop",
            "system_database_url": place,
            "sys_db_pool_size": 7,
            "db_engine_kwargs": {"pool_timeout": 3},
            "run_admin_server": False,
        }
    )
    DBOS.launch()
    pool: Any = engine().services.database.engine.pool
    assert (pool.size(), pool._timeout) == (7, 3)


@pytest.mark.postgresql_only
def test_a_password_may_hold_anything_when_it_is_escaped(place: str, database_kind: str) -> None:
    url = make_url(place)
    secret = "p@ss:w/rd %?"
    user = f"{url.username}:{quote(secret, safe='')}"
    port = f":{url.port}" if url.port else ""
    DBOS(
        config={
            "name": "shop",
            "system_database_url": f"postgresql://{user}@{url.host}{port}/{url.database}",
            "run_admin_server": False,
        }
    )
    DBOS.launch()
    assert engine().services.database.engine.url.password == secret


def test_an_engine_of_a_client_comes_before_its_urls(application: DBOS, place: str) -> None:
    @DBOS.workflow()
    def work() -> None: ...

    work()
    own = create_engine(place.replace("postgresql://", "postgresql+psycopg://"))
    elsewhere = "postgresql://nobody@nowhere.invalid/nothing"
    with DBOSClient(
        system_database_engine=own, system_database_url=elsewhere, application_database_url=elsewhere
    ) as client:
        assert len(client.list_workflows()) == 1
    own.dispose()


def test_a_workflow_without_a_version_gets_that_of_who_runs_it(application: DBOS, place: str) -> None:
    Queue("orders")

    @DBOS.workflow(name="process_order")
    def process_order() -> None: ...

    with DBOSClient(system_database_url=place) as client:
        handle = client.enqueue(EnqueueOptions(workflow_name="process_order", queue_name="orders"))
        handle.get_result()
        assert handle.get_status().app_version == "v1"


def test_a_handle_of_a_workflow_to_come_gives_its_result(application: DBOS) -> None:
    @DBOS.workflow()
    def answer() -> int:
        return 42

    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.retrieve_workflow("w")
    handle = DBOS.retrieve_workflow("w", existing_workflow=False)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(handle.get_result()))
    waiting.start()
    with SetWorkflowID("w"):
        DBOS.start_workflow(answer)
    waiting.join(60)
    assert results == [42]


def test_retries_end_after_the_most_attempts_and_count_from_zero(application: DBOS) -> None:
    seen: list[tuple[int | None, int | None]] = []

    @DBOS.step(retries_allowed=True, interval_seconds=0)
    def fail() -> None:
        status = DBOS.step_status
        assert status is not None
        seen.append((status.current_attempt, status.max_attempts))
        raise ConnectionError("down")

    @DBOS.workflow()
    def work() -> None:
        fail()

    with pytest.raises(DBOSMaxStepRetriesExceeded):
        work()
    assert seen == [(0, 3), (1, 3), (2, 3)]
