"""The runtime's own tables: made once, shared by system schemas, and not missed where they may not be made."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest

from dbos.api.administration import run_dbos_database_migrations
from dbos.core.ids import ExecutorId
from dbos.store.duties import hold_duty
from dbos.store.migrations.runtime_tables import RUNTIME_TABLES, ensure_runtime_schema
from support.postgres import PostgresServer
from support.store_records import opened

MISSED = "cannot be used"


@pytest.fixture
def role(postgres_server: PostgresServer, database_url: str) -> Iterator[str]:
    """The URL of the database for a role that may use the system schema and create nothing."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE restricted LOGIN PASSWORD 'secret'")
        admin.execute("GRANT USAGE ON SCHEMA dbos TO restricted")
        admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA dbos TO restricted")
        yield postgres_server.url_of(str(admin.info.dbname), user="restricted", password="secret")
        admin.execute("DROP OWNED BY restricted")
        admin.execute("DROP ROLE restricted")


def test_of_processes_that_start_at_once_one_makes_them_whatever_their_isolation_level(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_isolation = 'serializable'".encode())
    at_once = threading.Barrier(8)

    def start(_: int) -> str | None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            at_once.wait(30)
            return ensure_runtime_schema(connection)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(start, range(8))) == [None] * 8
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dbos_runtime'").fetchall()
        assert {row[0] for row in rows} == set(RUNTIME_TABLES)
        assert connection.execute("SELECT count(*) FROM dbos_runtime.layout").fetchone() == (1,)


def test_every_table_that_holds_rows_of_a_system_schema_says_of_which(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert ensure_runtime_schema(connection) is None
        rows = connection.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'dbos_runtime' AND column_name = 'system_schema' AND is_nullable = 'NO'"
        ).fetchall()
        assert {row[0] for row in rows} == set(RUNTIME_TABLES) - {"layout"}


def test_tables_of_a_later_release_are_used_as_they_are(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert ensure_runtime_schema(connection) is None
        connection.execute("UPDATE dbos_runtime.layout SET version = 1000")
        connection.execute("ALTER TABLE dbos_runtime.duties ADD COLUMN later text")
        assert ensure_runtime_schema(connection) is None
        assert connection.execute("SELECT version FROM dbos_runtime.layout").fetchone() == (1000,)


def test_a_role_that_may_not_create_them_goes_without_and_says_so_once(
    role: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), opened(role) as database:
        database.prepare()
        assert not database.prepare_runtime_tables()
        assert not database.has_runtime_tables
    [told] = [record.getMessage() for record in caplog.records if MISSED in record.getMessage()]
    assert "permission denied for database" in told
    assert "dbos migrate --app-role" in told


def test_a_role_uses_what_an_administrator_made_for_it(role: str, database_url: str) -> None:
    run_dbos_database_migrations(database_url, application_role="restricted")
    with opened(role) as database:
        assert database.prepare_runtime_tables()
        held = partial(
            hold_duty, system_schema="dbos", application="orders", duty="depths", holder="process", seconds=60
        )
        assert database.run(held)


def test_a_role_without_rights_on_tables_that_are_there_goes_without(role: str, database_url: str) -> None:
    run_dbos_database_migrations(database_url)
    with opened(role) as database:
        assert not database.prepare_runtime_tables()


def test_without_the_right_to_create_anything_tables_are_used_but_not_made(database_url: str) -> None:
    with opened(database_url, create=False) as database:
        assert not database.prepare_runtime_tables()
    with opened(database_url) as database:
        assert database.prepare_runtime_tables()
    with opened(database_url, create=False) as database:
        assert database.prepare_runtime_tables()


@pytest.mark.parametrize("truncate", [True, False])
def test_a_reset_forgets_the_processes_of_its_system_schema_only(database_url: str, truncate: bool) -> None:
    run_dbos_database_migrations(database_url, schema="dbos_2")
    for schema in ("dbos", "dbos_2"):
        with opened(database_url, schema=schema) as database:
            assert database.prepare_runtime_tables()
            database.run(
                partial(
                    hold_duty,
                    system_schema=schema,
                    application="orders",
                    duty="depths",
                    holder=ExecutorId("process"),
                    seconds=60,
                )
            )
    with opened(database_url) as database:
        database.reset(truncate=truncate)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT system_schema FROM dbos_runtime.duties").fetchall() == [("dbos_2",)]


def test_on_sqlite_they_lie_in_the_same_file_and_go_with_a_reset(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'file.sqlite'}"
    run_dbos_database_migrations(url)

    def tables() -> set[str]:
        with sqlite3.connect(tmp_path / "file.sqlite") as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {row[0].removeprefix("dbos_runtime_") for row in rows if row[0].startswith("dbos_runtime_")}

    assert tables() == set(RUNTIME_TABLES)
    with opened(url) as database:
        assert database.prepare_runtime_tables()
        database.reset(truncate=True)
        assert tables() == set(RUNTIME_TABLES)
        assert database.prepare_runtime_tables()
        database.reset(truncate=False)
    assert tables() == set()
