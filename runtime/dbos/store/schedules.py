"""Rows of `workflow_schedules`, and the runs that they start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dbos._error import DBOSException
from dbos.core.ids import INTERNAL_QUEUE, WorkflowId
from dbos.store.operation import Operation, Row, Statement

MANAGED_PREFIX = "k8s:"
"""A `schedule_id` with this prefix belongs to a DBOSSchedule resource."""


class ScheduleStatus(StrEnum):
    """The text in the column `status`."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """A row of `workflow_schedules`; `context` is the stored text."""

    schedule_id: str
    schedule_name: str
    workflow_name: str
    schedule: str
    context: str
    workflow_class_name: str | None = None
    status: str = ScheduleStatus.ACTIVE
    last_fired_at: str | None = None
    automatic_backfill: bool = False
    cron_timezone: str | None = None
    queue_name: str | None = None
    application_name: str | None = None

    @property
    def managed(self) -> bool:
        """Whether a DBOSSchedule resource manages it."""
        return self.schedule_id.startswith(MANAGED_PREFIX)

    @property
    def essence(self) -> tuple[str | None, ...]:
        """What of it decides about its runs."""
        return (
            self.schedule_id,
            self.workflow_name,
            self.workflow_class_name,
            self.schedule,
            self.context,
            self.cron_timezone,
            self.queue_name,
            self.application_name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRun:
    """A workflow to enqueue for a schedule, once for its ID.

    `seen` is the row by which it is due: a row that says something else meanwhile starts nothing. Without
    a version it gets the latest one of its application.
    """

    workflow_id: WorkflowId
    workflow_name: str
    inputs: str
    class_name: str | None = None
    queue_name: str | None = None
    schedule_name: str | None = None
    application_name: str | None = None
    serialization: str | None = None
    seen: ScheduleRow | None = None
    moment: str | None = None
    """When it was due, as the row is to tell it."""


def load_schedule(name: str) -> Operation[ScheduleRow | None]:
    """One schedule."""
    rows = yield Statement("load_schedule", {"name": name})
    return _schedule(rows[0]) if rows else None


def load_schedules() -> Operation[list[ScheduleRow]]:
    """Every schedule, by name."""
    rows = yield Statement("load_schedules")
    return [_schedule(row) for row in rows]


def load_active_schedules(application: str) -> Operation[list[ScheduleRow]]:
    """The schedules that a worker of an application fires."""
    rows = yield Statement("load_active_schedules", {"application": application})
    return [_schedule(row) for row in rows]


def digest_active_schedules(application: str) -> Operation[str]:
    """A text that differs once load_active_schedules would tell of something else to fire."""
    rows = yield Statement("digest_active_schedules", {"application": application})
    return rows[0]["digest"] or ""


def create_schedule(row: ScheduleRow) -> Operation[None]:
    """Insert a schedule. Raises DBOSException for a name that is taken, saying by whom.

    A repeated insert knows its row by the ID.
    """
    if (yield Statement("insert_schedule", _parameters(row))):
        return
    existing = yield from load_schedule(row.schedule_name)
    if existing is None or existing.schedule_id == row.schedule_id:
        return
    _refuse_other_owner(existing, row)
    managed = " and is managed by a DBOSSchedule resource" if existing.managed else ""
    raise DBOSException(f"Schedule {row.schedule_name!r} already exists{managed}")


def apply_schedules(rows: Sequence[ScheduleRow]) -> Operation[list[str]]:
    """Create schedules, or give those that exist these values; for one transaction.

    An existing row keeps its ID, status, owner and what it fired. The names of those that were left alone
    because a DBOSSchedule resource manages them. Raises DBOSException for a name of another application.
    """
    managed = []
    for row in rows:
        parameters = _parameters(row)
        if (yield Statement("update_schedule", parameters)) or (yield Statement("insert_schedule", parameters)):
            continue
        existing = yield from load_schedule(row.schedule_name)
        if existing is None:
            continue  # deleted meanwhile
        _refuse_other_owner(existing, row)
        if existing.managed:
            managed.append(row.schedule_name)
        else:  # inserted by somebody else between the two statements
            yield Statement("update_schedule", parameters)
    return managed


def set_schedule_status(name: str, status: ScheduleStatus) -> Operation[bool]:
    """Pause or resume a schedule; False when a DBOSSchedule resource manages it, whose row stays as it is."""
    if (yield Statement("set_schedule_status", {"name": name, "status": status})):
        return True
    return not (yield from _is_managed(name))


def delete_schedule(name: str) -> Operation[bool]:
    """Remove a schedule; False when a DBOSSchedule resource manages it, whose row stays as it is."""
    if (yield Statement("delete_schedule", {"name": name})):
        return True
    return not (yield from _is_managed(name))


def enqueue_runs(runs: Sequence[ScheduledRun]) -> Operation[list[WorkflowId]]:
    """Enqueue runs, each once for its ID; the IDs of those that were not there."""
    wanted = json.dumps([_run(position, run) for position, run in enumerate(runs)])
    rows = yield Statement("enqueue_runs", {"runs": wanted})
    return [WorkflowId(row["workflow_uuid"]) for row in rows]


def _is_managed(name: str) -> Operation[bool]:
    existing = yield from load_schedule(name)
    return existing is not None and existing.managed


def _refuse_other_owner(existing: ScheduleRow, row: ScheduleRow) -> None:
    owner, wanted = existing.application_name, row.application_name
    if owner is not None and wanted is not None and owner != wanted:
        raise DBOSException(
            f"Schedule {row.schedule_name!r} belongs to application {owner!r}; choose another name for {wanted!r}, or, "
            f"if {owner!r} was renamed, rename its rows first"
        )


def _parameters(row: ScheduleRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name not in {"status", "last_fired_at"}}


def _schedule(row: Row) -> ScheduleRow:
    return ScheduleRow(**{**row, "automatic_backfill": bool(row["automatic_backfill"])})


def _run(position: int, run: ScheduledRun) -> dict[str, Any]:
    seen = run.seen
    return {
        "position": position,
        "workflow_id": run.workflow_id,
        "workflow_name": run.workflow_name,
        "class_name": run.class_name,
        "queue_name": run.queue_name or INTERNAL_QUEUE,
        "schedule_name": run.schedule_name,
        "application_name": run.application_name,
        "serialization": run.serialization,
        "inputs": run.inputs,
        "moment": run.moment,
        "seen_id": None if seen is None else seen.schedule_id,
        "seen_schedule": None if seen is None else seen.schedule,
        "seen_timezone": None if seen is None else seen.cron_timezone,
        "seen_context": None if seen is None else seen.context,
    }
