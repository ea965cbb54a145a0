"""Run a workflow again from one of its steps: as a copy (fork) or in its place (rewind). For one transaction each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbos._error import DBOSConflictingWorkflowError, DBOSException, DBOSNonExistentWorkflowError
from dbos.core.ids import WorkflowId
from dbos.core.statuses import WorkflowStatusString
from dbos.store.operation import Operation, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What to copy, and where the copy is to run. Steps before `start_step` are not run again."""

    workflow_id: str
    fork_id: WorkflowId
    start_step: int
    queue: str
    partition_key: str | None = None
    version: str | None = None
    timeout_ms: int | None = None
    application: str | None = None
    """Who owns the copy of a workflow that nobody owns."""
    replacement_children: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewind:
    """Which workflow is to run again, from which step, and where. No version: the one it has."""

    workflow_id: str
    start_step: int
    queue: str
    partition_key: str | None = None
    version: str | None = None


def fork_workflow(fork: Fork) -> Operation[WorkflowId]:
    """Insert the copy with all that happened before its first step; its ID.

    Raises DBOSNonExistentWorkflowError, and DBOSConflictingWorkflowError when its ID is taken.
    """
    names = {"workflow_id": fork.workflow_id, "fork_id": fork.fork_id, "start_step": fork.start_step}
    inserted = yield Statement(
        "fork_workflow",
        {
            "workflow_id": fork.workflow_id,
            "fork_id": fork.fork_id,
            "application": fork.application,
            "version": fork.version,
            "queue": fork.queue,
            "partition_key": fork.partition_key,
            "timeout_ms": fork.timeout_ms,
        },
    )
    if not inserted:
        return (yield from _existing_fork(fork))
    yield Statement("mark_forked", {"workflow_id": fork.workflow_id})
    yield Statement("fork_input", {"workflow_id": fork.workflow_id, "fork_id": fork.fork_id})
    if fork.start_step > 1:
        for name in ("fork_steps", "fork_history", "fork_streams"):
            yield Statement(name, names)
        yield Statement("rebuild_events", {"workflow_id": fork.fork_id})
        for child, replacement in fork.replacement_children.items():
            yield Statement("replace_child", {"fork_id": fork.fork_id, "child": child, "replacement": replacement})
    return fork.fork_id


def rewind_workflow(rewind: Rewind) -> Operation[None]:
    """Undo what a workflow that ended recorded from a step on, and enqueue it again.

    Raises DBOSNonExistentWorkflowError, and DBOSException for a workflow that has not ended.
    """
    locked = yield Statement("lock_chosen", {"ids": [rewind.workflow_id]})
    if not locked:
        raise DBOSNonExistentWorkflowError("target", rewind.workflow_id)
    status = locked[0]["status"]
    if status in {state for state in WorkflowStatusString if state.active}:
        raise DBOSException(
            f"Workflow {rewind.workflow_id} is {status}: only one that ended is rewound; cancel it first"
        )
    cut = {"workflow_id": rewind.workflow_id, "start_step": rewind.start_step}
    yield Statement("forget_events", cut)
    yield Statement("forget_history", cut)
    yield Statement("rebuild_events", {"workflow_id": rewind.workflow_id})
    for name in ("reopen_streams", "forget_steps", "forget_messages"):
        yield Statement(name, cut)
    yield Statement("forget_outcome", {"workflow_id": rewind.workflow_id})
    yield Statement(
        "rewind_workflow",
        {
            "workflow_id": rewind.workflow_id,
            "queue": rewind.queue,
            "partition_key": rewind.partition_key,
            "version": rewind.version,
        },
    )


def _existing_fork(fork: Fork) -> Operation[WorkflowId]:
    rows = yield Statement("load_fork", {"fork_id": fork.fork_id})
    if not rows:
        raise DBOSNonExistentWorkflowError("target", fork.workflow_id)
    if rows[0]["forked_from"] != fork.workflow_id:
        raise DBOSConflictingWorkflowError(fork.fork_id, f"it belongs to a workflow {rows[0]['name']!r}")
    return fork.fork_id
