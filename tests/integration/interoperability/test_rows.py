"""The same program leaves the same rows, whichever runtime ran it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from integration.interoperability.parties import PROGRAMS, Database
from integration.interoperability.records import (
    Row,
    assert_equal_rows,
    comparable_message,
    comparable_payload,
    comparable_queue,
    comparable_step,
    comparable_value,
    comparable_version,
    comparable_workflow,
)
from support.peer import start_peer
from support.postgres import PostgresServer

SECONDS = 150
pytestmark = pytest.mark.timeout(400)  # the first test of each program runs it twice

Tables = dict[str, dict[str, Row]]
"""Rows by table, and by key."""


@dataclass(frozen=True)
class Table:
    """How rows of a table are read and compared."""

    query: str
    key: str
    comparable: Callable[[Row], Row]


TABLES = {
    "workflow_status": Table("SELECT * FROM dbos.workflow_status", "workflow_uuid", comparable_workflow),
    "running": Table(
        "SELECT tag || '/' || (row->>'workflow_uuid') AS key, row FROM public.observed",
        "key",
        lambda row: {"key": row["key"], **comparable_workflow(row["row"])},
    ),
    "workflow_input": Table("SELECT * FROM dbos.workflow_input", "workflow_uuid", comparable_payload),
    "workflow_output": Table("SELECT * FROM dbos.workflow_output", "workflow_uuid", comparable_payload),
    "operation_outputs": Table(
        "SELECT workflow_uuid || '/' || function_id AS key, * FROM dbos.operation_outputs", "key", comparable_step
    ),
    "notifications": Table(
        "SELECT destination_uuid || '/' || topic || '/' || message AS key, * FROM dbos.notifications",
        "key",
        comparable_message,
    ),
    "workflow_events": Table(
        "SELECT workflow_uuid || '/' || key AS id, * FROM dbos.workflow_events", "id", comparable_value
    ),
    "workflow_events_history": Table(
        "SELECT workflow_uuid || '/' || key || '/' || function_id AS id, * FROM dbos.workflow_events_history",
        "id",
        comparable_value,
    ),
    "streams": Table(
        "SELECT workflow_uuid || '/' || key || '/' || \"offset\" AS id, * FROM dbos.streams", "id", comparable_value
    ),
    "queues": Table("SELECT * FROM dbos.queues", "name", comparable_queue),
    "application_versions": Table("SELECT * FROM dbos.application_versions", "version_name", comparable_version),
}


COMMUNICATION = ("notifications", "workflow_events", "workflow_events_history", "streams")
COMPARED = [("scenarios", table) for table in TABLES if table not in COMMUNICATION]
COMPARED += [("communication", table) for table in (*COMMUNICATION, "workflow_status", "workflow_output")]
COMPARED += [("communication", "operation_outputs")]
COMPARED += [("managing", table) for table in TABLES if table not in {"running", "notifications"}]
"""What each program leaves."""


@pytest.fixture(scope="module")
def left_by(postgres_server: PostgresServer, peer: Path) -> Callable[[str], tuple[Tables, Tables]]:
    """What our runtime left of a program, and what the published package left; each program runs once."""
    return cache(lambda program: _run_both(PROGRAMS / f"{program}.py", postgres_server))


def _run_both(program: Path, server: PostgresServer) -> tuple[Tables, Tables]:
    with server.database() as our_url, server.database() as their_url:
        ours, theirs = Database(our_url), Database(their_url)
        for database in (ours, theirs):
            database.execute("CREATE TABLE public.observed (tag text, row jsonb)")
        with start_peer(program, env=_environment(their_url)) as official:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
            our_run = subprocess.run(
                [sys.executable, str(program)], env=inherited | _environment(our_url), check=False, timeout=SECONDS
            )
            assert official.wait(timeout=SECONDS) == 0
        assert our_run.returncode == 0
        read = _read(ours), _read(theirs)
        ours.close()
        theirs.close()
        return read


@pytest.mark.parametrize(("program", "table"), COMPARED)
def test_the_rows_are_those_of_the_published_package(
    left_by: Callable[[str], tuple[Tables, Tables]], program: str, table: str
) -> None:
    ours, theirs = (tables[table] for tables in left_by(program))
    assert_equal_rows(ours, theirs)


def _read(database: Database) -> Tables:
    return {
        name: {str(row[table.key]): table.comparable(row) for row in database.rows(table.query)}
        for name, table in TABLES.items()
    }


def _environment(url: str) -> dict[str, str]:
    return {
        "DBOS_SYSTEM_DATABASE_URL": url,
        "DBOS__APPVERSION": "v1",
        "DBOS__VMID": "executor-7",
        "DBOS__APPID": "app-id",
    }
