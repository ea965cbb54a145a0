"""What goes when it is old: workflows that ended, with all that belongs to them, in batches."""

from __future__ import annotations

from dataclasses import dataclass

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement

BATCH = 1000
"""Workflows deleted or cancelled in one transaction: short locks, and few statements all the same."""

MIN_AGE_MS = 60_000
"""How long a workflow that ended is kept in any case."""


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
    ids = sorted(WorkflowId(row["workflow_uuid"]) for row in rows)
    yield from _delete(ids)
    return ids


def list_active_before(application: str, *, cutoff_ms: int, batch: int = BATCH) -> Operation[list[WorkflowId]]:
    """The oldest workflows created before a time that wait or run, at most `batch`."""
    rows = yield Statement("list_active_before", {"application": application, "cutoff_ms": cutoff_ms, "batch": batch})
    return [WorkflowId(row["workflow_uuid"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Deleted:
    """One batch that went. `last_ms` is the time of its latest row: the next batch begins there."""

    workflow_ids: list[WorkflowId]
    last_ms: int | None


def find_completion_cutoff(application: str, *, max_age_ms: int | None, keep: int | None) -> Operation[int | None]:
    """The time that workflows must have ended before to go; None when nothing is to go.

    By the database's clock: the age, or the end of the `keep`-th newest of those that ended, whichever is
    later; what ended less than MIN_AGE_MS ago stays all the same.
    """
    number = {"keep": keep or 0, "before": 0 if keep is None else keep - 1}
    ages = {"max_age_ms": max_age_ms or 0, "min_age_ms": MIN_AGE_MS}
    [row] = yield Statement("load_completion_cutoff", {"application": application, **ages, **number})
    times = [row["aged_ms"]] if max_age_ms is not None else []
    if row["kept_ms"] is not None:
        times.append(row["kept_ms"])
    return min(max(times), row["latest_ms"]) if times else None


def delete_completed(
    application: str, *, after_ms: int, cutoff_ms: int, batch: int, stamped: bool = True
) -> Operation[Deleted]:
    """Delete the oldest workflows that ended from one time until before another, at most `batch`; for one transaction.

    All that belongs to them goes too. Nothing that may still run is deleted, nor what descends from it; a
    child stays as long as its parent. Without `stamped` those whose rows do not tell when they ended, by
    their creation.
    """
    parameters = {"application": application, "after_ms": after_ms, "cutoff_ms": cutoff_ms, "batch": batch}
    rows = yield Statement("lock_completed" if stamped else "lock_unstamped", parameters)
    ids = sorted(WorkflowId(row["workflow_uuid"]) for row in rows)
    yield from _delete(ids)
    return Deleted(ids, rows[-1]["ended_ms"] if rows else None)


def _delete(ids: list[WorkflowId]) -> Operation[None]:
    if ids:
        for name in ("delete_inputs", "delete_outputs", "delete_steps", "delete_workflows"):
            yield Statement(name, {"ids": ids})
