"""The application of a mixed fleet: workflows that tell when they run, and in which process."""

from __future__ import annotations

import os
import time

from board import KIND, execute, wait_for_gate

from dbos import DBOS

DBOS(config={"name": "fleet", "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"]})


def begin() -> int:
    """Note that a workflow runs here; the number of the note."""
    statement = "INSERT INTO public.notes (workflow_id, what, kind, process) VALUES (%s, 'run', %s, %s) RETURNING id"
    ((note,),) = execute(statement, DBOS.workflow_id, KIND, os.getpid())
    return int(note)


def end(note: int) -> None:
    """Note that it no longer runs."""
    execute("UPDATE public.notes SET ended = clock_timestamp() WHERE id = %s", note)


@DBOS.workflow(name="occupy")
def occupy(seconds: float) -> None:
    """Run for some time."""
    note = begin()
    time.sleep(seconds)
    end(note)


@DBOS.workflow(name="queue_up")
def queue_up(gate: str) -> None:
    """Run until a gate opens."""
    note = begin()
    wait_for_gate(gate)
    end(note)
