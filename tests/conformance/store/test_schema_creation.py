"""Many processes that start at once on an empty server: one creates, all succeed."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psycopg
import pytest

from dbos.store.dialects.postgres_pool import connection_arguments
from dbos.store.migrations import runner
from dbos.store.migrations.runner import MIGRATION_LOCK, create_database_if_missing, ensure_schema
from support.peer import start_peer
from support.postgres import PostgresServer

_STARTER = """
import logging, sys
import psycopg
from dbos.store.migrations.runner import ensure_schema

logging.basicConfig(level=logging.INFO, format="%(message)s")
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    sys.stdin.readline()
    print(ensure_schema(connection, "dbos").version)
"""

_PEER_STARTER = """
import sys
from dbos import DBOS
print("ready", flush=True)
sys.stdin.readline()
DBOS.migrate(sys.argv[1])
print("done")
"""


@pytest.fixture
def absent_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database that does not exist, with a name that needs quoting."""
    url = postgres_server.url_of('not-there-"yet"-%')
    yield url
    postgres_server.drop_database(url)


def test_of_many_processes_exactly_one_creates_and_all_succeed(empty_database_url: str) -> None:
    command = [sys.executable, "-c", _STARTER, empty_database_url]
    starters = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    with ThreadPoolExecutor(len(starters)) as together:
        ended = list(together.map(lambda starter: starter.communicate("go\n", timeout=60), starters))
    assert [out for out, _ in ended] == ["125\n"] * len(starters)
    assert sum(err.count("created the system schema") for _, err in ended) == 1


def test_threads_of_a_stricter_isolation_level_see_what_the_first_one_made(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_isolation = 'serializable'".encode())
    at_once = threading.Barrier(8)

    def start(_: int) -> int | None:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            at_once.wait(30)
            return ensure_schema(connection, "dbos").version

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(start, range(8))) == [125] * 8


def test_the_published_package_may_start_at_the_same_moment(empty_database_url: str) -> None:
    with start_peer(_PEER_STARTER, empty_database_url) as peer:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "ready\n"
        with psycopg.connect(empty_database_url, autocommit=True) as connection, ThreadPoolExecutor(1) as other:
            finished = other.submit(peer.communicate, "go\n", 60)
            state = ensure_schema(connection, "dbos")
            out, _ = finished.result()
            versions = connection.execute("SELECT version FROM dbos.dbos_migrations").fetchall()
    assert (state.version, out, peer.returncode, versions) == (125, "done\n", 0, [(125,)])


def test_a_start_waits_for_a_migration_that_is_under_way(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, go_on = threading.Event(), threading.Event()

    def pause(_: float) -> None:
        looked.set()
        assert go_on.wait(30)

    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))

    def start() -> int | None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            return ensure_schema(connection, "dbos").version

    with psycopg.connect(database_url, autocommit=True) as migrating, ThreadPoolExecutor(1) as other:
        migrating.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        migrating.execute("UPDATE dbos.dbos_migrations SET version = 47")
        waiting = other.submit(start)
        assert looked.wait(30)
        migrating.execute("UPDATE dbos.dbos_migrations SET version = 125")
        go_on.set()
        assert waiting.result(timeout=30) == 125


def test_a_missing_database_is_created_once_by_whoever_comes_first(absent_url: str) -> None:
    url = connection_arguments(absent_url)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(create_database_if_missing, [url] * 4))
    psycopg.connect(absent_url).close()


def test_a_database_that_exists_needs_no_maintenance_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    connect = psycopg.connect
    monkeypatch.setattr(psycopg, "connect", lambda **options: opened.append(options["dbname"]) or connect(**options))
    create_database_if_missing(connection_arguments(database_url))
    assert opened == [connection_arguments(database_url)["dbname"]]


def test_a_role_that_may_not_create_databases_gets_a_warning_only(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"dbos_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            create_database_if_missing(connection_arguments(postgres_server.url_of("nowhere", user=role)))
        finally:
            admin.execute(f"DROP ROLE {role}".encode())
    assert "could not create the database" in caplog.text


def test_a_server_that_is_not_there_gets_a_warning_only(caplog: pytest.LogCaptureFixture) -> None:
    create_database_if_missing(connection_arguments("postgresql://someone:secret@127.0.0.1:1/app"))
    assert "could not create the database" in caplog.text
    assert "secret" not in caplog.text
