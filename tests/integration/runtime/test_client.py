"""DBOSClient: everything that an outsider can do, and what it is told when it cannot."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from dbos import DBOS, DBOSClient, Queue
from dbos.error import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSInitializationError,
    DBOSNonExistentWorkflowError,
    DBOSQueueDeduplicatedError,
)
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

Sql = Bystander


def _options(**more: Any) -> Any:
    return {"workflow_name": "work", "queue_name": "queue", **more}


def _row(sql: Sql, workflow_id: str) -> dict[str, Any]:
    row = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row


@pytest.fixture
def served(launch: Launch) -> None:
    """An application that serves the queue."""
    Queue("queue")

    @DBOS.workflow(name="work")
    def work(number: int = 0, *, plus: int = 0) -> int:
        if number < 0:
            raise ValueError(f"{number} is negative")
        return number + plus

    launch()


@pytest.mark.usefixtures("served")
def test_a_client_enqueues_and_awaits(client: DBOSClient) -> None:
    handle = client.enqueue(_options(), 2, plus=3)
    assert handle.get_result(polling_interval_sec=0.05) == 5
    assert handle.get_status().status == "SUCCESS"
    with pytest.raises(ValueError, match="-1 is negative"):
        client.enqueue(_options(), -1).get_result(polling_interval_sec=0.05)
    again = client.retrieve_workflow(handle.workflow_id)
    assert again.get_result() == 5


@pytest.mark.usefixtures("served")
async def test_a_client_enqueues_and_awaits_from_coroutines(client: DBOSClient) -> None:
    handles = await asyncio.gather(*(client.enqueue_async(_options(), number) for number in range(20)))
    results = await asyncio.gather(*(handle.get_result(polling_interval_sec=0.05) for handle in handles))
    assert results == list(range(20))
    assert (await handles[0].get_status()).status == "SUCCESS"
    again = await client.retrieve_workflow_async(handles[3].workflow_id)
    assert await again.get_result() == 3
    assert len(await client.list_workflows_async()) == 20
    assert await client.list_queued_workflows_async() == []
    with pytest.raises(DBOSNonExistentWorkflowError):
        await client.retrieve_workflow_async("nobody")


def test_the_options_are_in_the_row(client: DBOSClient, sql: Sql) -> None:
    before = int(time.time() * 1000)
    handle = client.enqueue(
        _options(
            workflow_id="mine",
            app_version="v7",
            workflow_timeout=1.5,
            delay_seconds=60,
            deduplication_id="one",
            priority=3,
            class_name="Class",
            instance_name="instance",
        ),
        1,
    )
    after = int(time.time() * 1000)
    row = _row(sql, "mine")
    wanted = {
        "status": "DELAYED",
        "name": "work",
        "queue_name": "queue",
        "application_version": "v7",
        "application_name": "orders",
        "workflow_timeout_ms": 1500,
        "workflow_deadline_epoch_ms": None,
        "deduplication_id": "one",
        "priority": 3,
        "class_name": "Class",
        "config_name": "instance",
        "executor_id": None,
        "owner_xid": None,
        "recovery_attempts": 0,
        "serialization": "py_pickle",
        "inputs": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert before + 60_000 <= row["delay_until_epoch_ms"] <= after + 60_000
    status = handle.get_status()
    assert status.input == {"args": (1,), "kwargs": {}}
    assert (status.priority, status.deduplication_id, status.app_version) == (3, "one", "v7")


def test_without_an_application_name_anybody_may_take_it(database_url: str, sql: Sql) -> None:
    with DBOSClient(system_database_url=database_url) as client:
        handle = client.enqueue(_options())
    row = _row(sql, handle.workflow_id)
    assert (row["application_name"], row["application_version"]) == (None, None)


def test_an_id_is_enqueued_once_and_a_deduplication_id_is_refused_or_joined(client: DBOSClient) -> None:
    first = client.enqueue(_options(workflow_id="same", deduplication_id="one"), 1)
    assert client.enqueue(_options(workflow_id="same"), 2).get_status().input == {"args": (1,), "kwargs": {}}
    with pytest.raises(DBOSQueueDeduplicatedError):
        client.enqueue(_options(deduplication_id="one"))
    joined = client.enqueue(_options(deduplication_id="one", duplication_policy="return-existing"))
    assert joined.workflow_id == first.workflow_id


def test_many_threads_share_a_client(client: DBOSClient, sql: Sql) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda number: client.enqueue(_options(), number).workflow_id, range(400)))
    assert len(set(ids)) == 400
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_status").fetchone() == {"n": 400}


def test_arguments_that_cannot_be_stored_are_refused(client: DBOSClient) -> None:
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        client.enqueue(_options(), lambda: None)


def test_a_closed_client_says_so(database_url: str) -> None:
    client = DBOSClient(system_database_url=database_url)
    handle = client.enqueue(_options())
    client.destroy()
    client.destroy()
    for call in (
        lambda: client.enqueue(_options()),
        lambda: client.retrieve_workflow(handle.workflow_id),
        client.list_workflows,
        client.list_queued_workflows,
        handle.get_status,
        handle.get_result,
    ):
        with pytest.raises(RuntimeError, match="system database is closed"):
            call()


def test_a_closed_client_says_so_to_coroutines(database_url: str) -> None:
    client = DBOSClient(system_database_url=database_url)
    client.destroy()

    async def use() -> None:
        with pytest.raises(RuntimeError, match="system database is closed"):
            await client.enqueue_async(_options())
        with pytest.raises(RuntimeError, match="system database is closed"):
            await client.list_workflows_async()

    asyncio.run(use())


def test_who_waits_when_a_client_closes_is_told(database_url: str) -> None:
    client = DBOSClient(system_database_url=database_url)
    handle = client.enqueue(_options())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: handle.get_result(polling_interval_sec=60))
        client.destroy()
        with pytest.raises(RuntimeError, match="system database is closed"):
            waiting.result(30)


FOREIGN_ENGINE = create_engine("postgresql+psycopg://host/name")
FOREIGN_ENGINE.dialect.driver = "asyncpg"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "system_database_url: expected"),
        ({"system_database_url": "mysql://x/y"}, "system_database_url: expected a postgresql:// URL"),
        ({"system_database_url": "sqlite:////proc/no/file.sqlite"}, "cannot be used"),
        ({"system_database_url": "postgresql://u:secret@127.0.0.1:1/x"}, "cannot be used"),
        ({"system_database_engine": FOREIGN_ENGINE}, "system_database_engine: expected an engine"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_at_once(arguments: Any, said: str) -> None:
    with pytest.raises(DBOSInitializationError, match=said) as caught:
        DBOSClient(**arguments)
    assert "secret" not in str(caught.value)


def test_a_client_creates_a_schema_that_is_missing(empty_database_url: str) -> None:
    with DBOSClient(system_database_url=empty_database_url, dbos_system_schema="own") as client:
        assert client.enqueue(_options()).get_status().status == "ENQUEUED"


def test_an_engine_of_its_owner_serves_and_stays_open(database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with DBOSClient(system_database_engine=engine) as client:
        client.enqueue(_options())
    schema = "" if engine.dialect.name == "sqlite" else "dbos."
    with engine.connect() as connection:
        assert connection.exec_driver_sql(f"SELECT count(*) FROM {schema}workflow_status").scalar() == 1
    engine.dispose()


def test_a_cancelled_workflow_raises_in_who_awaits_it(client: DBOSClient, sql: Sql) -> None:
    handle = client.enqueue(_options())
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED'")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()


@pytest.mark.usefixtures("served")
def test_a_timeout_of_the_client_cancels(client: DBOSClient, sql: Sql) -> None:
    handle = client.enqueue(_options(workflow_timeout=0.2, queue_name="_x"))
    sql.execute("UPDATE dbos.workflow_status SET workflow_deadline_epoch_ms = 1")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result(polling_interval_sec=0.05)


@pytest.mark.postgresql_only
def test_a_lost_connection_is_tried_again_or_raises_as_the_client_was_told(
    database_url: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    def kill() -> None:
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with DBOSClient(system_database_url=database_url) as patient, caplog.at_level(logging.ERROR):
        patient.enqueue(_options(workflow_id="one"))
        kill()
        assert patient.retrieve_workflow("one").get_status().status == "ENQUEUED"
        kill()
        patient.enqueue(_options(workflow_id="two"))
        kill()
        assert len(patient.list_workflows()) == 2
    with DBOSClient(system_database_url=database_url, retry_connection_errors=False) as hasty:
        assert len(hasty.list_workflows()) == 2
        kill()
        with pytest.raises(OperationalError):
            hasty.list_workflows()
        assert len(hasty.list_workflows()) == 2
