"""Declare a queue, read it, change its limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

from dbos._error import DBOSException
from dbos.api.calls import enqueue_call, enqueue_call_async, enqueue_many_calls, enqueue_many_calls_async
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.queue_limits import LimitsOfQueue, rate_of
from dbos.api.runtime import process, registry
from dbos.core.applications import listed_applications
from dbos.core.ids import check_name, check_text
from dbos.core.limits import QueueLimits, QueueRateLimit, check_limits
from dbos.engine.context import enqueue_settings
from dbos.engine.services import epoch_ms
from dbos.store.database import SystemDatabase
from dbos.store.queues import ConflictMode, delete_queue, list_queues, load_queue, register_queue
from dbos.store.rows import QueueRow
from dbos.store.versions import load_latest_version

logger = logging.getLogger("dbos")
P = ParamSpec("P")
R = TypeVar("R")

OnConflict = Literal["update_if_latest_version", "always_update", "never_update"]


class Queue(LimitsOfQueue):
    """A queue: workflows on it start in order, within its limits.

    `Queue(name, …)` declares one; its row is written by DBOS.launch(), or at once after it. The row's
    limits hold in every process, and they are read from it and changed while workers run. A row that a
    DBOSQueue resource manages keeps the limits of the resource.
    """

    def __init__(
        self,
        name: str,
        concurrency: int | None = None,
        limiter: QueueRateLimit | None = None,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        priority_enabled: bool = False,
        partition_queue: bool = False,
    ) -> None:
        """`concurrency` (or `global_concurrency`) bounds what runs in all processes, `worker_concurrency` in each.

        `limiter={"limit": n, "period": seconds}` bounds starts. A limit of 0 suspends the queue. The limits that
        begin with `partition_` hold for each partition key; with one of them, or with `partition_queue=True` (then
        all limits are those of each partition), workflows are enqueued under a key. Priorities always work;
        `priority_enabled` is accepted from older code. Raises ValueError naming a limit that cannot be, and for a
        name that is taken or reserved, and DBOSException when another application owns the name.
        """
        del priority_enabled
        limits = make_limits(
            concurrency=concurrency,
            global_concurrency=global_concurrency,
            worker_concurrency=worker_concurrency,
            limiter=limiter,
            partition_concurrency=partition_concurrency,
            partition_worker_concurrency=partition_worker_concurrency,
            partition_limiter=partition_limiter,
            polling_interval_sec=polling_interval_sec,
            least=1 if partition_queue else 0,
        )
        if partition_queue:
            limits = check_limits(limits.of_partitions())
        registry.add_queue(name, limits)
        if process.application is not None and process.application.engine is not None:
            process.application.engine.declare_queue(name, limits)
        super().__init__(name, limits, None)

    @classmethod
    def from_row(cls, row: QueueRow, database: SystemDatabase) -> Queue:
        """The queue of a row; nothing is declared."""
        queue = cls.__new__(cls)
        LimitsOfQueue.__init__(queue, row.name, row.limits, database)
        return queue

    def enqueue(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Put a workflow or step on the queue; a handle to it.

        It is stored when this returns, and runs at least once. The options of SetWorkflowID and
        SetEnqueueOptions apply. Raises ValueError where the queue is declared with limits for partitions
        and no partition key is given.
        """
        self._check_key()
        return enqueue_call(self.name, func, args, kwargs)

    async def enqueue_async(
        self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]:
        """As enqueue, for coroutine workflows and from coroutines."""
        self._check_key()
        return await enqueue_call_async(self.name, func, args, kwargs)

    def enqueue_many(self, func: Callable[..., R], calls: Iterable[Sequence[Any]]) -> list[WorkflowHandle[R]]:
        """Put one workflow or step on the queue for each of `calls`, its positional arguments; handles in their order.

        Thousands go into a few commits. All are stored when this returns. When some are refused (a
        deduplication ID that is held), the others are stored and the first refusal is raised.
        """
        self._check_key()
        return enqueue_many_calls(self.name, func, calls)

    async def enqueue_many_async(
        self, func: Callable[..., Coroutine[Any, Any, R]], calls: Iterable[Sequence[Any]]
    ) -> list[WorkflowHandleAsync[R]]:
        """As enqueue_many, for coroutine workflows and from coroutines."""
        self._check_key()
        return await enqueue_many_calls_async(self.name, func, calls)

    def _check_key(self) -> None:
        """Raise ValueError for a declaration with limits of partitions and no key: what is enqueued so never starts."""
        options = enqueue_settings.get()
        if self._declared.partitioned and self._bound is None and (options is None or options.partition_key is None):
            raise ValueError(
                f"queue_partition_key: expected one for queue {self.name!r}, whose limits are those of partitions; "
                "give it with SetEnqueueOptions(queue_partition_key=…)"
            )

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"


def make_limits(
    *,
    concurrency: int | None,
    global_concurrency: int | None,
    worker_concurrency: int | None,
    limiter: QueueRateLimit | None,
    partition_concurrency: int | None,
    partition_worker_concurrency: int | None,
    partition_limiter: QueueRateLimit | None,
    polling_interval_sec: float,
    least: int = 0,
) -> QueueLimits:
    """The limits of a queue; `concurrency` and `global_concurrency` are two names of one. `least` as for check_limits.

    Raises ValueError or TypeError naming the one that cannot be.
    """
    limit, period = rate_of("limiter", limiter)
    partition_limit, partition_period = rate_of("partition_limiter", partition_limiter)
    return check_limits(
        QueueLimits(
            concurrency=_either(concurrency, global_concurrency),
            worker_concurrency=worker_concurrency,
            rate_limit=limit,
            rate_period_seconds=period,
            partition_concurrency=partition_concurrency,
            partition_worker_concurrency=partition_worker_concurrency,
            partition_rate_limit=partition_limit,
            partition_rate_period_seconds=partition_period,
            polling_interval_seconds=polling_interval_sec,
        ),
        least=least,
        shared="concurrency" if global_concurrency is None else "global_concurrency",
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
    return Queue.from_row(row, database)


def may_update(on_conflict: OnConflict, database: SystemDatabase, application: str, version: str) -> bool:
    """Whether registering a queue of this application changes an existing row. Raises ValueError for another mode."""
    try:
        mode = ConflictMode(on_conflict)
    except ValueError:
        modes = ", ".join(repr(mode.value) for mode in ConflictMode)
        raise ValueError(f"on_conflict: expected one of {modes}, got {on_conflict!r}") from None
    if mode is not ConflictMode.UPDATE_IF_LATEST:
        return mode is ConflictMode.ALWAYS
    return database.run(lambda: load_latest_version(application)) == version


def find_queue(database: SystemDatabase, name: str) -> Queue | None:
    """A queue by its name; None when there is none."""
    check_text(name, subject="queue name")
    row = database.run(lambda: load_queue(name))
    return None if row is None else Queue.from_row(row, database)


def find_queues(database: SystemDatabase, application: str | None, names: str | Sequence[str] | None) -> list[Queue]:
    """The queues of the named applications, or else those of `application` (None: all), and unclaimed ones."""
    wanted = listed_applications([names] if isinstance(names, str) else names, application)
    rows = database.run(list_queues)
    return [
        Queue.from_row(row, database)
        for row in rows
        if wanted is None or row.application_name is None or row.application_name in wanted
    ]


def remove_queue(database: SystemDatabase, name: str) -> None:
    """Delete a queue. Raises DBOSException when a DBOSQueue resource manages it."""
    check_text(name, subject="queue name")
    if not database.run(lambda: delete_queue(name)):
        raise DBOSException(f"Queue {name!r} is managed by a DBOSQueue resource; delete the resource")


def _either(concurrency: int | None, global_concurrency: int | None) -> int | None:
    if concurrency is not None and global_concurrency is not None and concurrency != global_concurrency:
        raise ValueError(
            f"concurrency: expected it once, got concurrency={concurrency} and global_concurrency={global_concurrency}"
        )
    return global_concurrency if concurrency is None else concurrency
