"""Cancel, resume, delete, delay and label workflows: each operation is for one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbos._error import DBOSNonExistentWorkflowError
from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Which workflows were cancelled, and on which queues they may have made room."""

    workflow_ids: list[WorkflowId]
    queues: list[str]


def cancel_workflows(workflow_ids: Sequence[str], *, cancel_children: bool) -> Operation[Cancelled]:
    """Cancel workflows that have not ended in a result or an error; unknown IDs are passed over.

    With `cancel_children` all that they started goes with them, level by level.
    """
    cancelled: list[WorkflowId] = []
    queues: set[str] = set()
    for level in (yield from _levels(workflow_ids, with_children=cancel_children)):
        locked = yield Statement("lock_chosen", {"ids": level})
        queues.update(row["queue_name"] for row in locked if row["queue_name"] is not None)
        rows = yield Statement("cancel_chosen", {"ids": level})
        cancelled += [WorkflowId(row["workflow_uuid"]) for row in rows]
    return Cancelled(cancelled, sorted(queues))


def resume_workflows(workflow_ids: Sequence[str], *, queue: str) -> Operation[list[WorkflowId]]:
    """Enqueue workflows again, from their last step; the ones that had not ended in a result or an error.

    Raises DBOSNonExistentWorkflowError when an ID is unknown; then nothing changes.
    """
    locked = yield Statement("lock_chosen", {"ids": sorted(set(workflow_ids))})
    known = {row["workflow_uuid"] for row in locked}
    for workflow_id in workflow_ids:
        if workflow_id not in known:
            raise DBOSNonExistentWorkflowError("target", workflow_id)
    if not known:
        return []
    rows = yield Statement("resume_chosen", {"ids": sorted(known), "queue": queue})
    return [WorkflowId(row["workflow_uuid"]) for row in rows]


def delete_workflows(workflow_ids: Sequence[str], *, delete_children: bool) -> Operation[list[WorkflowId]]:
    """Delete workflows with all that belongs to them, running ones too; the ones that were there."""
    deleted: list[WorkflowId] = []
    for level in (yield from _levels(workflow_ids, with_children=delete_children)):
        yield Statement("lock_chosen", {"ids": level})
        for name in ("delete_inputs", "delete_outputs", "delete_steps"):
            yield Statement(name, {"ids": level})
        rows = yield Statement("delete_workflows", {"ids": level})
        deleted += [WorkflowId(row["workflow_uuid"]) for row in rows]
    return deleted


def set_delay(workflow_id: str, *, delay_until_ms: int) -> Operation[bool]:
    """Move the end of a delay; whether the workflow was still DELAYED."""
    rows = yield Statement("set_delay", {"workflow_id": workflow_id, "delay_until_ms": delay_until_ms})
    return bool(rows)


def set_attributes(workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool) -> Operation[bool]:
    """Replace the attributes of a workflow, or with `merge` those named; whether there is such a workflow."""
    wanted = dict(attributes) if attributes is not None else None
    if merge:
        locked = yield Statement("lock_attributes", {"workflow_id": workflow_id})
        wanted = {**(_object(locked[0]["attributes"]) if locked else {}), **(wanted or {})}
    rows = yield Statement("replace_attributes", {"workflow_id": workflow_id, "attributes": json.dumps(wanted)})
    return bool(rows)


def _object(stored: Any) -> dict[str, Any]:
    """The attributes of a row; SQLite holds them as text, and a row without any NULL or the JSON null."""
    value = json.loads(stored) if isinstance(stored, str) else stored
    return value if isinstance(value, dict) else {}


def _levels(workflow_ids: Iterable[str], *, with_children: bool) -> Operation[list[list[str]]]:
    """The IDs in order, and with `with_children` those of their children, grandchildren and so on after them."""
    level = sorted(set(workflow_ids))
    levels = [level] if level else []
    seen = set(level)
    while with_children and level:
        rows = yield Statement("list_children", {"ids": level})
        level = sorted({row["workflow_uuid"] for row in rows} - seen)
        seen.update(level)
        if level:
            levels.append(level)
    return levels
