"""Settings of the database do what they say, in a launched application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from dbos import DBOS, run_dbos_database_migrations
from dbos.api.runtime import engine
from dbos.error import DBOSInitializationError
from integration.runtime.conftest import Launch
from support.bystander import Bystander, bystander
from support.postgres import PostgresServer
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


@pytest.fixture
def bare_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables; on SQLite a file that is not there."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(schema=False) as url:
        yield url


def _work() -> Any:
    @DBOS.workflow(name="work")
    def work() -> int:
        return 1

    return work


def test_without_migrations_a_database_without_tables_is_refused(launch: Launch, bare_url: str) -> None:
    with pytest.raises(DBOSInitializationError, match="run_migrations=False creates none: run `dbos migrate`"):
        launch(system_database_url=bare_url, run_migrations=False)
    if bare_url.startswith("sqlite"):
        assert not Path(str(make_url(bare_url).database)).exists()
    else:
        with psycopg.connect(bare_url) as found:
            schemas = found.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbos%'").fetchone()
            assert schemas == (0,)


@pytest.mark.postgresql_only
def test_without_migrations_a_database_that_is_not_there_is_named(launch: Launch, bare_url: str) -> None:
    with pytest.raises(DBOSInitializationError, match=r"there is no database '.*_absent' on that server"):
        launch(system_database_url=f"{bare_url}_absent", run_migrations=False)


def test_without_migrations_a_migrated_database_serves(launch: Launch, bare_url: str) -> None:
    run_dbos_database_migrations(bare_url)
    work = _work()
    launch(system_database_url=bare_url, run_migrations=False)
    assert work() == 1


@pytest.mark.postgresql_only
def test_a_role_that_may_create_nothing_serves_what_an_administrator_migrated(
    launch: Launch, bare_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"app_{make_url(bare_url).database}"
    with psycopg.connect(bare_url, autocommit=True) as administrator:
        administrator.execute(f'CREATE ROLE "{role}" LOGIN'.encode())
        try:
            run_dbos_database_migrations(bare_url, application_role=role)
            work = _work()
            url = make_url(bare_url).set(username=role, password=None).render_as_string(hide_password=False)
            with caplog.at_level("WARNING", logger="dbos"):
                launch(system_database_url=url, run_migrations=False)
                assert DBOS.start_workflow(work).get_result() == 1
            assert "dbos_runtime cannot be used" not in caplog.text
            DBOS.destroy(destroy_registry=True)
        finally:
            administrator.execute(f'DROP OWNED BY "{role}" CASCADE'.encode())
            administrator.execute(f'DROP ROLE "{role}"'.encode())


@pytest.mark.postgresql_only
def test_connections_are_as_the_settings_say(launch: Launch) -> None:
    launch(
        sys_db_idle_transaction_timeout_sec=7,
        db_engine_kwargs={"connect_args": {"application_name": "mine"}, "pool_size": 5},
    )
    with engine().services.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "7s"
        assert connection.exec_driver_sql("SHOW application_name").scalar() == "mine"


@pytest.mark.parametrize(
    "wrong",
    [
        {"bogus": 1},
        {"pool_size": "x"},
        {"connect_args": 5},
        {"connect_args": {"bogus": 1}},
        {1: 2},
    ],
    ids=str,
)
def test_options_of_the_engine_that_cannot_be_are_named(launch: Launch, wrong: Any) -> None:
    with pytest.raises(DBOSInitializationError, match=r"^DBOS Error 3: db_engine_kwargs: "):
        launch(db_engine_kwargs=wrong)


@pytest.mark.postgresql_only
def test_only_so_many_waiters_of_an_application_look_at_once(launch: Launch, sql: Bystander, database_url: str) -> None:
    """With a table locked, those who look hang; the others have not asked for a connection yet."""
    gate = threading.Event()

    @DBOS.workflow(name="work")
    def work() -> None:
        assert gate.wait(60)

    launch(sys_db_polling_concurrency=2, use_listen_notify=False, notification_listener_polling_interval_sec=0.01)
    target = DBOS.start_workflow(work).workflow_id
    looking = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%workflow_events%'"
    )
    with ThreadPoolExecutor(6) as pool, psycopg.connect(database_url) as locker:
        locker.execute("LOCK dbos.workflow_events IN ACCESS EXCLUSIVE MODE")
        waiting = [pool.submit(DBOS.get_event, target, f"key-{number}", 0.5) for number in range(6)]
        with bystander(database_url) as observer:
            count = eventually(lambda: (observer.execute(looking).fetchone() or {})["n"], lambda n: n >= 2)
        locker.rollback()
        assert [future.result(timeout=30) for future in waiting] == [None] * 6
    assert count == 2
    gate.set()


def test_keys_of_the_vendors_products_stop_nothing(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    work = _work()
    with caplog.at_level("WARNING", logger="dbos"):
        launch(conductor_key="key", transact_enterprise_key="key")
    assert "conductor_key, transact_enterprise_key: of DBOS Conductor" in caplog.text
    assert work() == 1
