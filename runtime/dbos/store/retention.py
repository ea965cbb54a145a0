"""What goes when it is old: workflows that ended, with all that belongs to them, in batches."""

from __future__ import annotations

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement

BATCH = 1000
"""Workflows deleted or cancelled in one transaction: short locks, and few statements all the same."""


def find_cutoff(application: str, *, cutoff_ms: int | None, keep: int | None) -> Operation[int | None]:
    """The time that workflows must be older than to go: the later of a given one and that of the `keep`-th newest.

    None when there is nothing to delete.
    """
    if keep is None:
        return cutoff_ms
    rows = yield Statement("load_nth_newest", {"application": application, "before": keep - 1})
    kept_ms = rows[0]["created_at"] if rows else None
    times = [time for time in (cutoff_ms, kept_ms) if time is not None]
    return max(times, default=None)


def delete_ended(application: str, *, cutoff_ms: int, batch: int = BATCH) -> Operation[list[WorkflowId]]:
    """Delete the oldest workflows that ended and were created before a time, at most `batch`; for one transaction.

    Payloads and steps go with them, and so do messages, events and streams. Nothing that may still run is
    ever deleted, nor is the child of a workflow that may.
    """
    rows = yield Statement("lock_ended", {"application": application, "cutoff_ms": cutoff_ms, "batch": batch})
    ids = sorted(row["workflow_uuid"] for row in rows)
    if ids:
        for name in ("delete_inputs", "delete_outputs", "delete_steps", "delete_workflows"):
            yield Statement(name, {"ids": ids})
    return [WorkflowId(workflow_id) for workflow_id in ids]


def list_active_before(application: str, *, cutoff_ms: int, batch: int = BATCH) -> Operation[list[WorkflowId]]:
    """The oldest workflows created before a time that wait or run, at most `batch`."""
    rows = yield Statement("list_active_before", {"application": application, "cutoff_ms": cutoff_ms, "batch": batch})
    return [WorkflowId(row["workflow_uuid"]) for row in rows]
