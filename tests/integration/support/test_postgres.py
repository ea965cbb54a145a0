"""The PostgreSQL of the tests: complete on a machine without one, and gone when its owner is gone."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from support import postgres_process
from support.postgres import PostgresServer, running_postgres

_OWNER = """
import sys
from support.postgres import running_postgres
with running_postgres() as server:
    print(server.url, server.folder, flush=True)
    sys.stdin.read()
"""


def test_the_wheel_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_process, "_candidates", list)
    with running_postgres(durable=True) as server, server.database() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT version FROM dbos.dbos_migrations").fetchone() == (125,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_programs_out_of_reach_of_the_account_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_process, "_candidates", list)
    monkeypatch.setattr(postgres_process.Installation, "may_enter", lambda self, folder: str(folder).startswith("/tmp"))
    with running_postgres() as server:
        assert psycopg.connect(server.url).execute("SELECT 1").fetchone() == (1,)


def test_a_server_keeps_its_data_and_address_through_stop_kill_and_start() -> None:
    with running_postgres() as server:
        url = server.create_database()
        for halt in (server.stop, server.kill):
            halt()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(url, connect_timeout=5)
            server.start()
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT version FROM dbos.dbos_migrations").fetchone() == (125,)


def test_a_server_ends_with_its_owner_even_when_that_is_killed() -> None:
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        url, folder = owner.stdout.readline().split()
        session = psycopg.connect(url)
        owner.kill()
    ended, _, _ = select.select([session.fileno()], [], [], 30)
    shutil.rmtree(folder, ignore_errors=True)  # the server is removing its own last files
    assert ended, "the server outlived its owner"


def test_databases_are_separate_and_gone_afterwards(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as one, postgres_server.database(schema=False) as two:
        assert one != two
        held = psycopg.connect(one, autocommit=True)
        assert psycopg.connect(two).execute("SELECT to_regnamespace('dbos')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError):
        held.execute("SELECT 1")
