"""Schedules, versions and debouncers leave the same rows, whichever runtime writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.interoperability.parties import PROGRAMS, Database
from integration.interoperability.records import (
    Row,
    assert_equal_rows,
    comparable_payload,
    comparable_schedule,
    comparable_step,
    comparable_workflow,
)
from support.peer import start_peer
from support.postgres import PostgresServer

PROGRAM = PROGRAMS / "plans.py"
SECONDS = 150
pytestmark = pytest.mark.timeout(400)  # the first test runs the program twice

Tables = dict[str, dict[str, Row]]


def _version(row: Row) -> Row:
    """A version that was made the latest after it was registered."""
    told = {name: row[name] for name in ("version_name", "application_name")}
    return {**told, "promoted": row["version_timestamp"] > row["created_at"]}


TABLES: dict[str, tuple[str, str, Callable[[Row], Row]]] = {
    "workflow_schedules": ("SELECT * FROM dbos.workflow_schedules", "schedule_name", comparable_schedule),
    "application_versions": ("SELECT * FROM dbos.application_versions", "version_name", _version),
    "workflow_status": ("SELECT * FROM dbos.workflow_status", "workflow_uuid", comparable_workflow),
    "workflow_input": ("SELECT * FROM dbos.workflow_input", "workflow_uuid", comparable_payload),
    "workflow_output": ("SELECT * FROM dbos.workflow_output", "workflow_uuid", comparable_payload),
    "operation_outputs": (
        "SELECT workflow_uuid || '/' || function_id AS key, * FROM dbos.operation_outputs",
        "key",
        comparable_step,
    ),
}


@pytest.fixture(scope="module")
def tables(postgres_server: PostgresServer, peer: Path) -> Iterator[tuple[Tables, Tables]]:
    """What our runtime left, and what the published package left."""
    with postgres_server.database() as our_url, postgres_server.database() as their_url:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
        with start_peer(PROGRAM, env=_environment(their_url)) as official:
            ours = subprocess.run(
                [sys.executable, str(PROGRAM)], env=inherited | _environment(our_url), check=False, timeout=SECONDS
            )
            assert official.wait(timeout=SECONDS) == 0
        assert ours.returncode == 0
        yield _read(our_url), _read(their_url)


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_are_those_of_the_published_package(tables: tuple[Tables, Tables], table: str) -> None:
    ours, theirs = tables[0][table], tables[1][table]
    assert_equal_rows(ours, theirs)


def _read(url: str) -> Tables:
    database = Database(url)
    try:
        return {
            name: {str(row[key]): comparable(row) for row in database.rows(query)}
            for name, (query, key, comparable) in TABLES.items()
        }
    finally:
        database.close()


def _environment(url: str) -> dict[str, str]:
    return {
        "DBOS_SYSTEM_DATABASE_URL": url,
        "DBOS__APPVERSION": "v1",
        "DBOS__VMID": "executor-7",
        "DBOS__APPID": "app-id",
    }
