"""A notice board in the database: programs tell what they do, tests tell what may go on."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import psycopg

KIND = os.environ.get("KIND", "")
"""Which runtime this process has: ours or theirs."""

_local = threading.local()
_DEADLINE_SECONDS = 100.0
_LOOK_SECONDS = 0.02


def execute(statement: str, *parameters: Any) -> list[Any]:
    """Run one statement on a connection of this thread's own; its rows."""
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = psycopg.connect(os.environ["DBOS_SYSTEM_DATABASE_URL"], autocommit=True)
    cursor = connection.execute(statement.encode(), parameters)
    return cursor.fetchall() if cursor.description is not None else []


def note(workflow_id: str | None, what: str) -> None:
    """Tell that something happened, once for each time it happens."""
    execute(
        "INSERT INTO public.notes (workflow_id, what, kind, process) VALUES (%s, %s, %s, %s)",
        workflow_id,
        what,
        KIND,
        os.getpid(),
    )


def count(workflow_id: str | None, what: str) -> int:
    """How often a workflow told something."""
    ((times,),) = execute("SELECT count(*) FROM public.notes WHERE workflow_id = %s AND what = %s", workflow_id, what)
    return int(times)


def wait_for_gate(name: str) -> None:
    """Wait until a test opens a gate."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not execute("SELECT 1 FROM public.gates WHERE name = %s", name):
        if time.monotonic() > deadline:
            raise TimeoutError(f"gate {name} stayed shut")
        time.sleep(_LOOK_SECONDS)
