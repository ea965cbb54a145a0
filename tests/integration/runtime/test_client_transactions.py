"""Enqueues of a client in a transaction of its caller: there with the commit, and never without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from dbos import DBOS, DBOSClient, Queue
from dbos.error import (
    DBOSConflictingWorkflowError,
    DBOSException,
    DBOSQueueDeduplicatedError,
    DBOSWorkflowIDInUseError,
)
from dbos.store.operation import DatabaseClosedError
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

Begin = Callable[[], AbstractContextManager[Any]]


def _options(**more: Any) -> Any:
    return {"workflow_name": "work", "queue_name": "queue", **more}


def _ids(sql: Bystander) -> list[str]:
    rows = sql.execute("SELECT workflow_uuid FROM dbos.workflow_status ORDER BY 1").fetchall()
    return [row["workflow_uuid"] for row in rows]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The caller's own engine."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["connection", "session"])
def begin(engine: Engine, request: pytest.FixtureRequest) -> Begin:
    """How the caller begins a transaction."""
    return engine.connect if request.param == "connection" else lambda: Session(engine)


def test_a_workflow_is_enqueued_by_the_commit_and_runs_at_once(
    launch: Launch, client: DBOSClient, sql: Bystander, begin: Begin
) -> None:
    Queue("queue", polling_interval_sec=60)

    @DBOS.workflow(name="work")
    def work(number: int, *, plus: int) -> int:
        return number + plus

    launch()
    with begin() as transaction:
        client.enqueue_in_transaction(transaction, _options(workflow_id="rolled-back"), 1, plus=1)
        transaction.rollback()
        handle = client.enqueue_in_transaction(transaction, _options(workflow_id="kept"), 1, plus=2)
        client.send_in_transaction(transaction, "kept", "beside", "topic")
        assert _ids(sql) == []
        committed = time.monotonic()
        transaction.commit()
    assert handle.get_result(polling_interval_sec=0.05) == 3
    assert time.monotonic() - committed < 30, "the worker looked when its poll was due, and was not told"
    assert _ids(sql) == ["kept"]


def test_what_is_refused_leaves_the_transaction_usable(client: DBOSClient, sql: Bystander, begin: Begin) -> None:
    client.enqueue(_options(workflow_id="first", deduplication_id="one"))
    with begin() as transaction:
        attached = client.enqueue_in_transaction(transaction, _options(workflow_id="first"))
        joined = client.enqueue_in_transaction(
            transaction, _options(deduplication_id="one", duplication_policy="return-existing")
        )
        assert attached.workflow_id == joined.workflow_id == "first"
        with pytest.raises(DBOSQueueDeduplicatedError):
            client.enqueue_in_transaction(transaction, _options(deduplication_id="one"))
        with pytest.raises(DBOSConflictingWorkflowError):
            client.enqueue_in_transaction(
                transaction, {"workflow_name": "other", "queue_name": "queue", "workflow_id": "first"}
            )
        with pytest.raises(DBOSWorkflowIDInUseError):
            client.enqueue_in_transaction(transaction, _options(workflow_id="first", workflow_id_reuse_policy="reject"))
        with pytest.raises(DBOSException, match="duplication_policy: expected a deduplication_id"):
            client.enqueue_in_transaction(transaction, _options(duplication_policy="return-existing"))
        with pytest.raises(TypeError, match="unknown colour"):
            client.enqueue_in_transaction(transaction, _options(colour="red"))
        client.enqueue_in_transaction(transaction, _options(workflow_id="second", delay_seconds=60))
        transaction.commit()
    assert _ids(sql) == ["first", "second"]


def test_the_row_is_that_of_any_other_enqueue(client: DBOSClient, sql: Bystander, engine: Engine) -> None:
    more = {"priority": 3, "app_version": "v7", "workflow_timeout": 1.5, "attributes": {"a": 1}, "delay_seconds": 60}
    client.enqueue(_options(workflow_id="plain", **more), 1, key=2)
    with engine.begin() as transaction:
        client.enqueue_in_transaction(transaction, _options(workflow_id="within", **more), 1, key=2)
    plain, within = (
        dict(sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [name]).fetchone() or {})
        for name in ("plain", "within")
    )
    differing = {name for name in plain if plain[name] != within[name]}
    assert differing <= {"workflow_uuid", "creator_xid", "created_at", "updated_at", "delay_until_epoch_ms"}
    inputs = sql.execute("SELECT inputs FROM dbos.workflow_input ORDER BY workflow_uuid").fetchall()
    assert inputs[0] == inputs[1]


def test_two_transactions_that_enqueue_one_id_enqueue_it_once(
    client: DBOSClient, engine: Engine, sql: Bystander
) -> None:
    for number in range(2):
        with engine.begin() as transaction:
            client.enqueue_in_transaction(transaction, _options(workflow_id="once"), number)
    (status,) = client.list_workflows()
    assert status.input is not None
    assert status.input["args"] == (0,)


def test_an_asynchronous_transaction_is_refused_with_what_to_do(client: DBOSClient, database_url: str) -> None:
    if database_url.startswith("sqlite"):
        url = database_url.replace("sqlite://", "sqlite+aiosqlite://")
    else:
        url = database_url.replace("postgresql://", "postgresql+psycopg://")

    async def enqueue() -> tuple[list[str], str]:
        engine = create_async_engine(url)
        refusals = []
        async with engine.connect() as connection, AsyncSession(engine) as session:
            for given in (connection, session):
                with pytest.raises(TypeError) as refusal:
                    client.enqueue_in_transaction(given, _options())  # type: ignore[arg-type]
                refusals.append(str(refusal.value))
            made = await session.run_sync(lambda given: client.enqueue_in_transaction(given, _options()))
            await session.commit()
        await engine.dispose()
        return refusals, made.workflow_id

    refusals, workflow_id = asyncio.run(enqueue())
    assert all("run_sync" in refusal for refusal in refusals)
    assert [status.workflow_id for status in client.list_workflows()] == [workflow_id]


def test_a_transaction_of_another_kind_of_database_is_refused(client: DBOSClient, database_kind: str) -> None:
    if database_kind == "sqlite":
        other = create_engine("postgresql+psycopg://localhost/nothing")
        transaction: Any = Connection.__new__(Connection)
        transaction.dialect = other.dialect
    else:
        transaction = create_engine("sqlite://").connect()
    with pytest.raises(TypeError, match="expected a transaction of the system database"):
        client.enqueue_in_transaction(transaction, _options())


@pytest.mark.postgresql_only
def test_a_serializable_transaction_that_lost_says_so(client: DBOSClient, engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as transaction:
        transaction.execute(text("SELECT count(*) FROM dbos.workflow_status"))
        client.enqueue(_options(workflow_id="taken"))
        with pytest.raises(DBAPIError) as error:
            client.enqueue_in_transaction(transaction, _options(workflow_id="taken"))
        assert getattr(error.value.orig, "sqlstate", "") == "40001"
        transaction.rollback()
        assert client.enqueue_in_transaction(transaction, _options(workflow_id="taken")).workflow_id == "taken"


def test_a_closed_client_takes_part_in_no_transaction(database_url: str, engine: Engine) -> None:
    client = DBOSClient(system_database_url=database_url)
    client.destroy()
    with engine.connect() as transaction, pytest.raises(DatabaseClosedError, match="closed"):
        client.enqueue_in_transaction(transaction, _options())
