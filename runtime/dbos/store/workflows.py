"""Workflow rows: what became of a start, how a workflow ended."""

from __future__ import annotations

from collections.abc import Sequence

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Row, Statement
from dbos.store.rows import Insertion, NewWorkflow, RecordedResult


def created(record: NewWorkflow) -> Insertion:
    """The insertion of a record that went in."""
    return Insertion(
        created=True,
        status=record.status,
        name=record.name,
        class_name=record.class_name,
        config_name=record.config_name,
        queue_name=record.queue_name,
        serialization=record.serialization,
    )


def resolve_insertion(record: NewWorkflow) -> Operation[Insertion | None]:
    """What holds the place of a start that did not go in.

    None when nothing does any more: the holder of the deduplication ID ended meanwhile, so try again.
    """
    sought = record.deduplication_id is not None and record.queue_name is not None
    rows = yield Statement(
        "load_holders",
        {
            "ids": [record.workflow_id],
            "queues": [record.queue_name] if sought else [],
            "deduplication_ids": [record.deduplication_id] if sought else [],
        },
    )
    for row in rows:
        if row["workflow_uuid"] == record.workflow_id:
            return _insertion(row, created=row["creator_xid"] == record.creator)
    for row in rows:
        return _insertion(row, created=False, deduplicated_by=WorkflowId(row["workflow_uuid"]))
    return None


def load_result(workflow_id: str) -> Operation[RecordedResult | None]:
    """The state of a workflow and what it gave; None when there is no such workflow."""
    rows = yield Statement("load_result", {"workflow_id": workflow_id})
    if not rows:
        return None
    row = rows[0]
    return RecordedResult(
        status=row["status"], output=row["output"], error=row["error"], serialization=row["serialization"]
    )


def load_first_ended(workflow_ids: Sequence[str]) -> Operation[str | None]:
    """The one of some workflows that ended first; None while none has."""
    rows = yield Statement("load_first_ended", {"ids": list(workflow_ids)})
    return rows[0]["workflow_uuid"] if rows else None


def _insertion(row: Row, *, created: bool, deduplicated_by: WorkflowId | None = None) -> Insertion:
    return Insertion(
        created=created,
        status=row["status"],
        name=row["name"],
        class_name=row["class_name"],
        config_name=row["config_name"],
        queue_name=row["queue_name"],
        serialization=row["serialization"],
        deduplicated_by=deduplicated_by,
    )
