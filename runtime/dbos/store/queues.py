"""Rows of `queues`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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


INTERNAL_QUEUES: Mapping[str, QueueLimits] = {INTERNAL_QUEUE: QueueLimits()}


def load_queues(
    application: str, *, unstored: Mapping[str, QueueLimits] = INTERNAL_QUEUES
) -> Operation[list[QueueRow]]:
    """The queues that an application may serve, and whether work waits there.

    `unstored` are those that have no row, and their limits.
    """
    rows = yield Statement("load_queues", {"application": application, "unstored": list(unstored)})
    queues = [queue_row(row, runnable=row["runnable"]) for row in rows]
    return [replace(queue, limits=unstored.get(queue.name, queue.limits)) for queue in queues]


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
    parameters = {**_columns(name, limits, now_ms), "application": application}
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


def change_queue(name: str, change: Callable[[QueueLimits], QueueLimits], *, now_ms: int) -> Operation[QueueRow | None]:
    """Change the limits of a queue; for one transaction. The row as it was read; None when there is no such queue.

    What `change` raises leaves the limits as they are, and so does a DBOSQueue resource that manages the row.
    """
    rows = yield Statement("lock_queue", {"name": name})
    if not rows:
        return None
    before = queue_row(rows[0])
    if not before.managed:
        yield Statement("change_queue", _columns(name, change(before.limits), now_ms))
    return before


def list_queues() -> Operation[list[QueueRow]]:
    """Every queue of the database, by name."""
    rows = yield Statement("list_queues")
    return [queue_row(row) for row in rows]


def delete_queue(name: str) -> Operation[bool]:
    """Delete the row of a queue; what waits there stays ENQUEUED. False when a resource manages it."""
    if (yield Statement("delete_queue", {"name": name})):
        return True
    return not (yield Statement("load_queue", {"name": name}))


def queue_row(row: Row, *, runnable: bool = False) -> QueueRow:
    """A row as a record. Limits that somebody else wrote are taken as they are, if they can be."""
    return QueueRow(
        name=row["name"],
        limits=QueueLimits(
            concurrency=row["concurrency"],
            worker_concurrency=_within(row["worker_concurrency"], row["concurrency"]),
            rate_limit=row["rate_limit_max"],
            rate_period_seconds=_finite(row["rate_limit_period_sec"]),
            partition_concurrency=row["partition_concurrency"],
            partition_worker_concurrency=row["partition_worker_concurrency"],
            partition_rate_limit=row["partition_rate_limit_max"],
            partition_rate_period_seconds=_finite(row["partition_rate_limit_period_sec"]),
            polling_interval_seconds=_finite(row["polling_interval_sec"]) or 1.0,
        ),
        application_name=row["application_name"],
        managed=row["queue_id"].startswith(MANAGED_PREFIX),
        runnable=runnable,
    )


def _columns(name: str, limits: QueueLimits, now_ms: int) -> dict[str, Any]:
    return {
        "name": name,
        "concurrency": limits.concurrency,
        "worker_concurrency": limits.worker_concurrency,
        "rate_limit_max": limits.rate_limit,
        "rate_limit_period_sec": limits.rate_period_seconds,
        "partition_concurrency": limits.partition_concurrency,
        "partition_worker_concurrency": limits.partition_worker_concurrency,
        "partition_rate_limit_max": limits.partition_rate_limit,
        "partition_rate_limit_period_sec": limits.partition_rate_period_seconds,
        "partitioned": limits.partitioned,
        "polling_interval_sec": limits.polling_interval_seconds,
        "now_ms": now_ms,
    }


def _within(worker: int | None, concurrency: int | None) -> int | None:
    return worker if worker is None or concurrency is None else min(worker, concurrency)


def _finite(seconds: float | None) -> float | None:
    """A time that arithmetic can use: the columns also hold NaN, infinity and negative numbers; on SQLite any text."""
    try:
        number = float("nan") if seconds is None else float(seconds)
    except ValueError:
        return None
    return None if isnan(number) else min(max(number, 0.0), float(MAX_SECONDS))
