"""Recorded steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dbos.core.ids import OwnerToken, WorkflowId
from dbos.store.operation import Operation, Row, Statement
from dbos.store.rows import Checkpoint, StepRecord

T = TypeVar("T")


class OwnershipLostError(Exception):
    """The execution no longer owns its workflow, whose status it carries (None: the row is gone)."""

    def __init__(self, status: str | None) -> None:
        super().__init__(f"the workflow is no longer owned by this execution; its status is {status}")
        self.status = status


class NothingDoneError(Exception):
    """An operation found nothing to do: its transaction is undone and nothing is recorded."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What an operation of a workflow gave, or the checkpoint that stands in its place already."""

    value: T | None = None
    recorded: Checkpoint | None = None


def load_steps(workflow_id: WorkflowId) -> Operation[dict[int, Checkpoint]]:
    """Every recorded step of a workflow by its function ID."""
    rows = yield Statement("load_steps", {"workflow_id": workflow_id})
    return {row["function_id"]: _checkpoint(row) for row in rows}


def load_step(workflow_id: WorkflowId, function_id: int) -> Operation[Checkpoint | None]:
    """One recorded step."""
    rows = yield Statement("load_step", {"workflow_id": workflow_id, "function_id": function_id})
    return _checkpoint(rows[0]) if rows else None


def ensure_owner(workflow_id: WorkflowId, owner: OwnerToken) -> Operation[None]:
    """Lock the workflow's row until the transaction ends. Raises OwnershipLostError unless `owner` holds it."""
    rows = yield Statement("lock_workflow", {"workflow_id": workflow_id})
    if not rows or rows[0]["owner_xid"] != owner:
        raise OwnershipLostError(rows[0]["status"] if rows else None)


def load_owners(workflow_ids: Sequence[WorkflowId]) -> Operation[dict[str, tuple[str, str | None]]]:
    """The status and the owner of each of some workflows that are there."""
    rows = yield Statement("load_owners", {"ids": list(workflow_ids)})
    return {row["workflow_uuid"]: (row["status"], row["owner_xid"]) for row in rows}


def perform_checkpointed(
    record: Callable[[T], StepRecord], act: Callable[[], Operation[T]], *, step: StepRecord
) -> Operation[Done[T]]:
    """Perform an operation of a workflow and record it as a step; for one transaction, so once or not at all.

    `step` tells whose operation it is and `record` how its result is stored. A checkpoint that is there
    already (of a former try, or of another execution) is given back and nothing is done.
    Raises OwnershipLostError when the execution no longer owns the workflow.
    """
    yield from ensure_owner(step.workflow_id, step.owner)
    recorded = yield from load_step(step.workflow_id, step.function_id)
    if recorded is not None:
        return Done(recorded=recorded)
    value = yield from act()
    yield from insert_step(record(value))
    return Done(value)


def insert_step(record: StepRecord) -> Operation[None]:
    """Write a step inside a transaction that has locked the workflow."""
    yield Statement(
        "insert_step",
        {
            "workflow_id": record.workflow_id,
            "function_id": record.function_id,
            "function_name": record.function_name,
            "output": record.output,
            "error": record.error,
            "serialization": record.serialization,
            "child_workflow_id": record.child_workflow_id,
            "started_at_ms": record.started_at_ms,
            "completed_at_ms": record.completed_at_ms,
            "application": record.application_name,
        },
    )


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(
        function_id=row["function_id"],
        function_name=row["function_name"],
        output=row["output"],
        error=row["error"],
        serialization=row["serialization"],
        child_workflow_id=row["child_workflow_id"],
        completed_at_ms=row["completed_at_epoch_ms"],
    )
