"""Rows of `queues`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from typing import Any

from dbos.core.ids import INTERNAL_QUEUE
from dbos.core.limits import MAX_SECONDS, QueueLimits
from dbos.store.operation import Operation, Row, Statement
from dbos.store.rows import QueueRow

MANAGED_PREFIX = "k8s:"
"""A `queue_id` with this prefix belongs to a DBOSQueue resource."""


class ConflictMode(StrEnum):
    """What registering a queue does when its row exists."""

    UPDATE_IF_LATEST = "update_if_latest_version"
    ALWAYS = "always_update"
    NEVER = "never_update"


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of registering a queue. `owner` names the other application that owns the row."""

    changed: bool
    managed: bool = False
    owner: str | None = None


def load_queues(application: str) -> Operation[list[QueueRow]]:
    """The queues that an application may serve, the internal one included, and whether work waits there."""
    rows = yield Statement("load_queues", {"application": application, "internal_queue": INTERNAL_QUEUE})
    return [queue_row(row, runnable=row["runnable"]) for row in rows]


def load_queue(name: str) -> Operation[QueueRow | None]:
    """One queue."""
    rows = yield Statement("load_queue", {"name": name})
    return queue_row(rows[0]) if rows else None


def register_queue(
    name: str, limits: QueueLimits, application: str | None, *, update: bool, now_ms: int
) -> Operation[Registration]:
    """Create the row of a queue or, with `update`, give it these limits.

    A row that a DBOSQueue resource manages stays as it is, and so does a row of another application.
    """
    parameters: dict[str, Any] = {
        "name": name,
        "concurrency": limits.concurrency,
        "worker_concurrency": limits.worker_concurrency,
        "rate_limit_max": limits.rate_limit,
        "rate_limit_period_sec": limits.rate_period_seconds,
        "polling_interval_sec": limits.polling_interval_seconds,
        "application": application,
        "now_ms": now_ms,
    }
    if (yield Statement("insert_queue", parameters)):
        return Registration(changed=True)
    rows = yield Statement("load_queue", {"name": name})
    if rows:
        owner = rows[0]["application_name"]
        if owner is not None and application is not None and owner != application:
            return Registration(changed=False, owner=owner)
        if rows[0]["queue_id"].startswith(MANAGED_PREFIX):
            return Registration(changed=False, managed=True)
    if not update:
        return Registration(changed=False)
    return Registration(changed=bool((yield Statement("update_queue", parameters))))


def queue_row(row: Row, *, runnable: bool = False) -> QueueRow:
    """A row as a record. Limits that somebody else wrote are taken as they are, if they can be."""
    return QueueRow(
        name=row["name"],
        limits=QueueLimits(
            concurrency=row["concurrency"],
            worker_concurrency=_within(row["worker_concurrency"], row["concurrency"]),
            rate_limit=row["rate_limit_max"],
            rate_period_seconds=_finite(row["rate_limit_period_sec"]),
            polling_interval_seconds=_finite(row["polling_interval_sec"]) or 1.0,
        ),
        application_name=row["application_name"],
        partitioned=row["partitioned"],
        runnable=runnable,
    )


def _within(worker: int | None, concurrency: int | None) -> int | None:
    return worker if worker is None or concurrency is None else min(worker, concurrency)


def _finite(seconds: float | None) -> float | None:
    """A time that arithmetic can use: the columns also hold NaN, infinity and negative numbers; on SQLite any text."""
    try:
        number = float("nan") if seconds is None else float(seconds)
    except ValueError:
        return None
    return None if isnan(number) else min(max(number, 0.0), float(MAX_SECONDS))


DEPTH_BOUND = 100_000
"""Where counting the depth of a queue stops."""


def load_depths(application: str) -> Operation[list[Row]]:
    """Name, status, depth and (for ENQUEUED) the oldest time in ms of each queue, counted up to DEPTH_BOUND."""
    return (
        yield Statement(
            "load_depths",
            {"application": application, "internal_queue": INTERNAL_QUEUE, "bound": DEPTH_BOUND},
        )
    )
