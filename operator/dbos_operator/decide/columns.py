"""A spec as the columns of its row: what it manages, what a new row holds, what letting go means."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dbos_operator.decide.rows import Columns, Value
from dbos_operator.resources.specs import DatabaseSpec, QueueSpec, ScheduleSpec

ACTIVE = "ACTIVE"
PAUSED = "PAUSED"

_QUEUE_RESETS: dict[str, Value] = {
    "concurrency": None,
    "worker_concurrency": None,
    "rate_limit_max": None,
    "rate_limit_period_sec": None,
    "polling_interval_sec": 1.0,
}
_SCHEDULE_RESETS: dict[str, Value] = {
    "workflow_class_name": None,
    "cron_timezone": None,
    "queue_name": None,
    "status": ACTIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedColumns:
    """What a resource asks of its row."""

    managed: Columns
    """Of the fields that the manifest names."""
    implied: Columns
    """Defaults that are managed too, in rows that an operator of this cluster created."""
    resets: Columns
    """What a column becomes, once, when its field is no longer named."""
    source: str = ""
    """What the context is made from; the column `context` is filled in when it is encoded."""


def queue_columns(spec: QueueSpec) -> WantedColumns:
    """The columns of `queues` that a DBOSQueue manages: an absent field is left to the application."""
    managed: dict[str, Value] = {}
    if spec.concurrency is not None:
        managed["concurrency"] = spec.concurrency
    if spec.worker_concurrency is not None:
        managed["worker_concurrency"] = spec.worker_concurrency
    if spec.rate_limit is not None:
        managed["rate_limit_max"] = spec.rate_limit.limit
        managed["rate_limit_period_sec"] = spec.rate_limit.period.total_seconds()
    if spec.polling_interval is not None:
        managed["polling_interval_sec"] = spec.polling_interval.total_seconds()
    return WantedColumns(managed=managed, implied={}, resets=_QUEUE_RESETS)


def schedule_columns(spec: ScheduleSpec, database: DatabaseSpec) -> WantedColumns:
    """The columns of `workflow_schedules` that a DBOSSchedule manages, without the encoded context."""
    managed: dict[str, Value] = {"workflow_name": spec.workflow_name, "schedule": spec.schedule}
    if spec.workflow_class_name is not None:
        managed["workflow_class_name"] = spec.workflow_class_name
    if spec.queue_name is not None:
        managed["queue_name"] = spec.queue_name
    if spec.has_time_zone:
        managed["cron_timezone"] = spec.time_zone
    if spec.has_suspend:
        managed["status"] = _status(spec)
    implied = {"cron_timezone": spec.time_zone, "status": _status(spec)}
    return WantedColumns(
        managed=managed, implied=implied, resets=_SCHEDULE_RESETS, source=context_source(spec, database)
    )


def context_source(spec: ScheduleSpec, database: DatabaseSpec) -> str:
    """The context and how it is encoded, as text that is equal exactly when both are."""
    value = json.dumps(spec.context, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"{database.serializer}:{value}"


def _status(spec: ScheduleSpec) -> str:
    return PAUSED if spec.suspend else ACTIVE
