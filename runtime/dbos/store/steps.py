"""Recorded steps."""

from __future__ import annotations

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Row, Statement
from dbos.store.rows import Checkpoint


def load_steps(workflow_id: WorkflowId) -> Operation[dict[int, Checkpoint]]:
    """Every recorded step of a workflow by its function ID."""
    rows = yield Statement("load_steps", {"workflow_id": workflow_id})
    return {row["function_id"]: _checkpoint(row) for row in rows}


def load_step(workflow_id: WorkflowId, function_id: int) -> Operation[Checkpoint | None]:
    """One recorded step."""
    rows = yield Statement("load_step", {"workflow_id": workflow_id, "function_id": function_id})
    return _checkpoint(rows[0]) if rows else None


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
