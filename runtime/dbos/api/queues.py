"""Declare a queue, read it, change its limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Literal, ParamSpec, TypeVar

from dbos._error import DBOSException
from dbos.api.calls import enqueue_call, enqueue_call_async
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.runtime import engine, process, registry
from dbos.core.ids import check_name
from dbos.core.limits import QueueLimits, QueueRateLimit, check_limits
from dbos.engine.services import epoch_ms
from dbos.store.database import SystemDatabase
from dbos.store.queues import ConflictMode, load_queue, register_queue
from dbos.store.rows import QueueRow
from dbos.store.versions import load_latest_version

logger = logging.getLogger("dbos")
P = ParamSpec("P")
R = TypeVar("R")

OnConflict = Literal["update_if_latest_version", "always_update", "never_update"]


class Queue:
    """A queue: workflows on it start in order, within its limits.

    `Queue(name, …)` declares one; its row is written by DBOS.launch(), or at once after it. The row's
    limits hold in every process. A row that a DBOSQueue resource manages keeps the limits of the resource.
    """

    def __init__(
        self,
        name: str,
        concurrency: int | None = None,
        limiter: QueueRateLimit | None = None,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        polling_interval_sec: float = 1.0,
        priority_enabled: bool = False,
    ) -> None:
        """`concurrency` (or `global_concurrency`) bounds what runs in all processes, `worker_concurrency` in each.

        `limiter={"limit": n, "period": seconds}` bounds starts. Priorities always work; `priority_enabled`
        is accepted from older code. Raises ValueError naming a limit that cannot be, and for a name that
        is taken or reserved, and DBOSException when another application owns the name.
        """
        del priority_enabled
        limits = make_limits(
            either_concurrency(concurrency, global_concurrency), worker_concurrency, limiter, polling_interval_sec
        )
        registry.add_queue(name, limits)
        if process.application is not None and process.application.engine is not None:
            process.application.engine.declare_queue(name, limits)
        self._describe(name, limits)

    @classmethod
    def from_row(cls, row: QueueRow) -> Queue:
        """The queue of a row; nothing is declared."""
        queue = cls.__new__(cls)
        queue._describe(row.name, row.limits)
        return queue

    def _describe(self, name: str, limits: QueueLimits) -> None:
        self.name = name
        self.global_concurrency = self.concurrency = limits.concurrency
        self.worker_concurrency = limits.worker_concurrency
        self.polling_interval_sec = limits.polling_interval_seconds
        self.limiter: QueueRateLimit | None = None
        if limits.rate_limit is not None and limits.rate_period_seconds is not None:
            self.limiter = {"limit": limits.rate_limit, "period": limits.rate_period_seconds}

    def enqueue(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Put a workflow or step on the queue; a handle to it.

        It is stored when this returns, and runs at least once. The options of SetWorkflowID and
        SetEnqueueOptions apply.
        """
        return enqueue_call(self.name, func, args, kwargs)

    async def enqueue_async(
        self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]:
        """As enqueue, for coroutine workflows and from coroutines."""
        return await enqueue_call_async(self.name, func, args, kwargs)

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"


def make_limits(
    concurrency: int | None,
    worker_concurrency: int | None,
    limiter: QueueRateLimit | None,
    polling_interval_sec: float,
) -> QueueLimits:
    """The limits of a queue. Raises ValueError or TypeError naming the one that cannot be."""
    if limiter is not None and not {"limit", "period"} <= set(limiter):
        raise ValueError(f"limiter: expected {{'limit': n, 'period': seconds}}, got {limiter!r}")
    return check_limits(
        QueueLimits(
            concurrency=concurrency,
            worker_concurrency=worker_concurrency,
            rate_limit=None if limiter is None else limiter["limit"],
            rate_period_seconds=None if limiter is None else limiter["period"],
            polling_interval_seconds=polling_interval_sec,
        )
    )


def register(
    database: SystemDatabase, name: str, limits: QueueLimits, application: str | None, *, update: bool
) -> Queue:
    """Write the row of a queue and give the queue as it now is.

    Raises DBOSException when another application owns the name.
    """
    check_name(name, subject="queue name")
    done = database.run(lambda: register_queue(name, limits, application, update=update, now_ms=epoch_ms()))
    if done.owner is not None:
        raise DBOSException(f"Queue {name!r} belongs to application {done.owner!r}; choose another name")
    if done.managed:
        logger.info("Queue %s is managed by a DBOSQueue resource; its limits stay as they are", name)
    row = database.run(lambda: load_queue(name))
    if row is None:
        raise DBOSException(f"Queue {name!r} was deleted while it was registered; register it again")
    return Queue.from_row(row)


def may_update(on_conflict: OnConflict) -> bool:
    """Whether registering a queue of this application changes an existing row."""
    mode = ConflictMode(on_conflict)
    if mode is not ConflictMode.UPDATE_IF_LATEST:
        return mode is ConflictMode.ALWAYS
    claimant, database = engine().services.claimant, engine().services.database
    return database.run(lambda: load_latest_version(claimant.application)) == claimant.version


def either_concurrency(concurrency: int | None, global_concurrency: int | None) -> int | None:
    if concurrency is not None and global_concurrency is not None and concurrency != global_concurrency:
        raise ValueError(
            f"concurrency: expected it once, got concurrency={concurrency} and global_concurrency={global_concurrency}"
        )
    return global_concurrency if concurrency is None else concurrency
