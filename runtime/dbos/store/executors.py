"""The processes that run workflows: each says that it lives, and goes on with what others left that do not.

    (nobody) --note_heartbeat()--> alive --leave()--> removed, or with work left: silent since ever
                                    |   ^                                             |
                          silent    |   | heartbeat: it was only frozen               |
                                    v   |                                             |
                                    gone <-------take_over()--------------------------+
                                    |
                                    +-- a lease later: take_over() again, then forget() --> removed

Taking over is harmless when repeated and safe beside a process that is not dead after all: a workflow that was
taken has no owner, so that no write of its former execution counts any more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dbos.core.executors import Executor, ProcessToken
from dbos.core.ids import INTERNAL_QUEUE, ExecutorId, WorkflowId
from dbos.store.operation import Operation, Row, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a process says of itself."""

    system_schema: str
    process: ProcessToken
    application: str
    executor_id: ExecutorId
    version: str
    host: str
    pid: int
    machine: str | None
    """Where its pid means this process and no other; None where nobody can tell."""
    process_started: str | None
    """When the process of this pid began, as its machine counts."""
    lock_key: int | None
    """The advisory lock that it holds while it is connected; None where it cannot hold one."""
    grace_ms: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What a heartbeat saw: for how long one's own had no gap, and the others that may not live."""

    steady_ms: int
    others: list[Executor]


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A process that is gone now, and its workflows that are runnable again, each with its queue."""

    process: ProcessToken
    workflows: list[tuple[WorkflowId, str]]


def note_heartbeat(identity: Identity, *, closely: bool) -> Operation[Observation]:
    """Say that this process lives, and look at those that may not.

    A close look lists all of its executor ID, too, and says of everybody listed whether its lock is held.
    """
    rows = yield Statement(
        "note_heartbeat",
        {
            "system_schema": identity.system_schema,
            "process_token": identity.process,
            "application": identity.application,
            "executor_id": identity.executor_id,
            "version": identity.version,
            "host": identity.host,
            "pid": identity.pid,
            "machine": identity.machine,
            "process_started": identity.process_started,
            "lock_key": identity.lock_key,
            "grace_ms": identity.grace_ms,
            "lease_ms": identity.lease_ms,
            "closely": closely,
        },
    )
    return Observation(rows[0]["steady_ms"], [_executor(row) for row in rows if row["process_token"] is not None])


def take_over(system_schema: str, gone: Sequence[Executor]) -> Operation[list[TakenOver]]:
    """Make runnable again what processes left, which have not been heard since they were looked at.

    Of several processes that do it at once one marks them; all that is left PENDING under a token of theirs goes
    back to its queue, attempts and version as they are.
    """
    seen = [
        {"process_token": each.process, "heartbeat_ms": each.heartbeat_ms, "gone_ms": each.gone_ms} for each in gone
    ]
    rows = yield Statement(
        "take_over", {"system_schema": system_schema, "seen": json.dumps(seen), "internal_queue": INTERNAL_QUEUE}
    )
    workflows: dict[ProcessToken, list[tuple[WorkflowId, str]]] = {}
    for row in rows:
        left = workflows.setdefault(ProcessToken(row["process_token"]), [])
        if row["workflow_uuid"] is not None:
            left.append((WorkflowId(row["workflow_uuid"]), row["queue_name"]))
    return [TakenOver(process, left) for process, left in workflows.items()]


def forget(system_schema: str, gone: Sequence[Executor]) -> Operation[list[ProcessToken]]:
    """Remove processes that have been gone for long and left nothing behind; those that were removed."""
    rows = yield Statement(
        "forget_gone", {"system_schema": system_schema, "processes": [each.process for each in gone]}
    )
    return [ProcessToken(row["process_token"]) for row in rows]


def leave(identity: Identity) -> Operation[bool]:
    """Remove this process, which stops; whether it left nothing. What it left is taken over at once."""
    process = {"process_token": identity.process}
    left = yield Statement("load_left_behind", process)
    yield Statement("leave_work" if left else "leave_nothing", {"system_schema": identity.system_schema, **process})
    return not left


def _executor(row: Row) -> Executor:
    return Executor(
        process=ProcessToken(row["process_token"]),
        executor_id=ExecutorId(row["executor_id"]),
        host=row["host"],
        pid=row["pid"],
        machine=row["machine"],
        process_started=row["process_started"],
        heartbeat_ms=row["heartbeat_ms"],
        silent_ms=row["silent_ms"],
        grace_ms=row["grace_ms"],
        lease_ms=row["lease_ms"],
        locked=row["locked"],
        gone_ms=row["gone_ms"],
        gone_for_ms=row["gone_for_ms"],
    )
