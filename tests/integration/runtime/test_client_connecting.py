"""How a client comes to its database: now or later, by which name, with which limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from dbos import DBOSClient
from dbos.error import DBOSInitializationError
from dbos.store.operation import DatabaseClosedError
from support.bystander import bystander
from support.postgres import PostgresServer
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/nothing"


def _options(**more: Any) -> Any:
    return {"workflow_name": "work", "queue_name": "queue", **more}


@pytest.fixture
def fresh_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(schema=False) as url:
        yield url


def test_a_lazy_client_connects_at_its_first_call(fresh_url: str) -> None:
    with DBOSClient(system_database_url=fresh_url, lazy=True, use_listen_notify=True) as client:
        with bystander(fresh_url) as sql:
            assert _tables(sql, fresh_url) == []
        handle = client.enqueue(_options(workflow_id="first"))
        assert handle.get_status().status == "ENQUEUED"
        assert [status.workflow_id for status in client.list_workflows()] == ["first"]


def _tables(sql: Any, url: str) -> list[Any]:
    if url.startswith("sqlite"):
        return list(sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall())
    found = sql.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'dbos'").fetchall()
    return list(found)


def test_many_first_calls_of_a_lazy_client_prepare_the_database_once(fresh_url: str) -> None:
    with DBOSClient(system_database_url=fresh_url, lazy=True) as client, ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: client.enqueue(_options(), number).workflow_id, range(40)))
        assert len({status.workflow_id for status in client.list_workflows()} & set(ids)) == 40


def test_a_lazy_client_without_a_call_touches_nothing() -> None:
    DBOSClient(system_database_url=NOWHERE, lazy=True, use_listen_notify=True).destroy()


@pytest.mark.postgresql_only
def test_a_lazy_client_says_at_its_first_call_what_is_wrong() -> None:
    with DBOSClient(system_database_url=NOWHERE, lazy=True, retry_connection_errors=False) as client:
        for call in (client.list_workflows, lambda: client.enqueue(_options()), lambda: client.send("w", 1)):
            with pytest.raises(OperationalError) as raised:
                call()
            assert isinstance(raised.value.orig, psycopg.OperationalError)
            assert raised.value.__cause__ is raised.value.orig
        with pytest.raises(OperationalError):
            asyncio.run(client.enqueue_async(_options()))
        with pytest.raises(DBOSInitializationError):
            client.check_connection()


@pytest.mark.postgresql_only
def test_a_lazy_client_waits_for_a_database_that_is_not_there_yet(postgres_server: PostgresServer) -> None:
    with postgres_server.database(schema=False) as url:
        name = make_url(url).database
        later = make_url(url).set(database=f"{name}_later")
        maintenance = make_url(url).set(database="postgres").render_as_string(hide_password=False)
        engine = create_engine(later.set(drivername="postgresql+psycopg"))
        client = DBOSClient(system_database_engine=engine, lazy=True)
        try:
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(client.enqueue, _options(workflow_id="patient"))
                with psycopg.connect(maintenance, autocommit=True) as connection:
                    connection.execute(f'CREATE DATABASE "{name}_later"'.encode())
                assert waiting.result(timeout=60).workflow_id == "patient"
        finally:
            client.destroy()
            engine.dispose()
            with psycopg.connect(maintenance, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}_later" WITH (FORCE)'.encode())


def test_a_connection_is_checked(fresh_url: str) -> None:
    client = DBOSClient(system_database_url=fresh_url, lazy=True)
    client.check_connection()
    asyncio.run(client.check_connection_async())
    client.destroy()
    with pytest.raises(DatabaseClosedError):
        client.check_connection()


@pytest.mark.postgresql_only
def test_a_check_fails_at_once_and_hides_the_password() -> None:
    with DBOSClient(system_database_url=NOWHERE, lazy=True) as client:
        for check in (client.check_connection, lambda: asyncio.run(client.check_connection_async())):
            with pytest.raises(DBOSInitializationError, match=r"nobody:\*\*\*@127\.0\.0\.1:1/nothing cannot be used"):
                check()


@pytest.mark.postgresql_only
def test_a_check_finds_a_database_that_dropped_its_connections(database_url: str) -> None:
    with DBOSClient(system_database_url=database_url) as client:
        client.list_workflows()
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'dbos_transact_client' AND datname = current_database()"
            )
        client.check_connection()


def test_a_client_of_former_releases_names_the_databases_beside(
    postgres_server: PostgresServer, database_kind: str, tmp_path: Path
) -> None:
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'both.sqlite'}"
        with pytest.warns(DeprecationWarning, match="database_url without system_database_url"):
            client = DBOSClient(url)
        client.check_connection()
        client.destroy()
        return
    with postgres_server.database(schema=False) as url:
        name = str(make_url(url).database)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}_dbos_sys"'.encode())
        try:
            for arguments, options, database in (
                ((url,), {}, f"{name}_dbos_sys"),
                ((), {"application_database_url": url}, f"{name}_dbos_sys"),
                ((url,), {"system_database": name}, name),
            ):
                with pytest.warns(DeprecationWarning, match="system_database_url"):
                    client = DBOSClient(*arguments, **options)  # type: ignore[arg-type]
                client.enqueue(_options(workflow_id="w"))
                client.destroy()
                with psycopg.connect(make_url(url).set(database=database).render_as_string(False)) as found:
                    assert found.execute("SELECT count(*) FROM dbos.workflow_status").fetchone() == (1,)
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}_dbos_sys" WITH (FORCE)'.encode())


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_the_application_database_beside_a_system_database_is_no_matter(database_url: str) -> None:
    with DBOSClient(system_database_url=database_url, application_database_url=NOWHERE) as client:
        client.check_connection()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "system_database_url: expected postgresql://… or sqlite:///…, got nothing"),
    ({"system_database_url": 5}, "system_database_url: expected text, got 5"),
    ({"system_database_url": "mysql://host/name"}, "system_database_url: expected a postgresql:// URL"),
    ({"system_database_engine": 5}, "system_database_engine: expected an Engine of SQLAlchemy, got 5"),
    ({"sharding": True}, "sharding: sharded system databases are not supported"),
    ({"system_database_pool_size": 0}, "system_database_pool_size: expected a whole number, at least 1, got 0"),
    ({"system_database_polling_concurrency": 1.5}, "system_database_polling_concurrency: expected a whole number"),
    (
        {"sys_db_idle_transaction_timeout_sec": "60"},
        "sys_db_idle_transaction_timeout_sec: expected a number of seconds",
    ),
    ({"observability_query_timeout_sec": True}, "observability_query_timeout_sec: expected a number of seconds"),
    ({"dbos_system_schema": " "}, "dbos_system_schema: expected the name of a schema"),
    ({"serializer": object()}, "serializer: "),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=lambda value: str(value)[:30])
def test_an_argument_that_cannot_be_is_named(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    known = {"system_database_url": f"sqlite:///{tmp_path / 'x.sqlite'}"} if arguments else {}
    if "system_database_engine" in arguments:
        known = {}
    with pytest.raises(DBOSInitializationError) as refusal:
        DBOSClient(**{**known, **arguments})
    assert said in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_an_asynchronous_engine_is_refused_with_what_to_give() -> None:
    with pytest.raises(DBOSInitializationError, match="an Engine of SQLAlchemy; give its sync twin"):
        DBOSClient(system_database_engine=create_async_engine("sqlite+aiosqlite://"))  # type: ignore[arg-type]


def test_an_engine_of_the_caller_stays_open(database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with DBOSClient(system_database_engine=engine) as client:
        client.enqueue(_options(workflow_id="w"))
    checked_out = _pool(engine).checkedout()
    assert checked_out == 0
    with DBOSClient(system_database_engine=engine) as client:
        assert [status.workflow_id for status in client.list_workflows()] == ["w"]
    engine.dispose()


def _pool(engine: Engine) -> Any:
    return engine.pool


@pytest.mark.postgresql_only
@pytest.mark.parametrize(("seconds", "setting"), [(None, "1min"), (1.5, "1500ms"), (0, "0")])
def test_an_idle_transaction_ends_after_its_time(database_url: str, seconds: float | None, setting: str) -> None:
    with (
        DBOSClient(system_database_url=database_url, sys_db_idle_transaction_timeout_sec=seconds) as client,
        client.services.database.engine.connect() as connection,
    ):
        found = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
    assert found == setting


@pytest.mark.postgresql_only
def test_only_so_many_who_wait_look_at_once(database_url: str) -> None:
    """With the table locked, those who look hang; the others have not asked for a connection yet."""
    with DBOSClient(
        system_database_url=database_url, system_database_pool_size=5, system_database_polling_concurrency=2
    ) as client:
        handles = [client.enqueue(_options()) for _ in range(6)]
        stop = threading.Event()

        def wait(handle: Any) -> None:
            try:
                handle.get_result(polling_interval_sec=0.01)
            except Exception:  # noqa: BLE001 -- they are cancelled, and end
                stop.set()

        with ThreadPoolExecutor(6) as pool, psycopg.connect(database_url) as locker:
            locker.execute("LOCK dbos.workflow_status IN ACCESS EXCLUSIVE MODE")
            waiting = [pool.submit(wait, handle) for handle in handles]
            count = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            with psycopg.connect(database_url, autocommit=True) as observer:
                blocked = eventually(
                    lambda: int((observer.execute(count).fetchone() or (0,))[0]), lambda n: n >= 2, what="two who look"
                )
                assert blocked == 2
            locker.rollback()
            client.cancel_workflows([handle.workflow_id for handle in handles])
            for future in waiting:
                future.result(timeout=30)
        assert stop.is_set()
