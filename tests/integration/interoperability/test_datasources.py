"""Datasources of both runtimes share tables: the same rows, and each goes on where the other was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from integration.interoperability.parties import PROGRAMS, Database
from integration.interoperability.records import Row, comparable_step
from support.peer import start_peer
from support.postgres import PostgresServer

PROGRAM = PROGRAMS / "bank.py"
SECONDS = 60


@pytest.fixture
def user_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The user's database."""
    with postgres_server.database(schema=False) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE bookings (cents int NOT NULL)")
        yield url


def _run(runtime: str, workflow_id: str, url: str, user_url: str, **more: str) -> int:
    environment = {"DBOS_SYSTEM_DATABASE_URL": url, "USER_URL": user_url, **more}
    if runtime == "theirs":
        with start_peer(PROGRAM, workflow_id, env=environment) as process:
            return process.wait(timeout=SECONDS)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), workflow_id], env=inherited | environment, timeout=SECONDS, check=False
    )
    return done.returncode


def _bookings(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT cents FROM bookings")]


def _steps(database: Database, workflow_id: str) -> list[Row]:
    rows = database.rows("SELECT * FROM dbos.operation_outputs WHERE workflow_uuid = %s ORDER BY 2", workflow_id)
    return [comparable_step(row) | {"workflow_uuid": ""} for row in rows]


def test_both_leave_the_same_steps(peer: Path, database: Database, user_url: str) -> None:
    for runtime in ("ours", "theirs"):
        assert _run(runtime, runtime, database.url, user_url) == 0
    ours, theirs = _steps(database, "ours"), _steps(database, "theirs")

    assert ours == theirs
    assert len(ours) == 3
    assert _bookings(user_url) == [500, 500]


@pytest.mark.parametrize(("killed", "successor"), [("ours", "theirs"), ("theirs", "ours")])
def test_each_goes_on_where_the_other_was_killed_after_its_commit(
    killed: str, successor: str, peer: Path, database: Database, user_url: str
) -> None:
    workflow_id = f"killed-{killed}"
    assert _run(killed, workflow_id, database.url, user_url, KILLED="1") == -signal.SIGKILL
    assert _steps(database, workflow_id) == []
    assert _bookings(user_url) == [500]

    assert _run(successor, workflow_id, database.url, user_url) == 0

    assert _bookings(user_url) == [500]
