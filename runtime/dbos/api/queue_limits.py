"""The limits of a queue: read from its row, and changed while workers run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dbos._error import DBOSException
from dbos.api.runtime import process, refuse_event_loop
from dbos.core.limits import QueueLimits, QueueRateLimit, check_limits
from dbos.engine.services import epoch_ms
from dbos.store.database import SystemDatabase
from dbos.store.queues import change_queue, load_queue

Change = Callable[[QueueLimits], QueueLimits]


class LimitsOfQueue:
    """Each limit is read from the row of the queue when it is asked for, and from the declaration before launch.

    A setter changes one limit for every process, within a second. It raises ValueError or TypeError naming
    what cannot be, and DBOSException for a queue that is gone or that a DBOSQueue resource manages.
    """

    def __init__(self, name: str, limits: QueueLimits, database: SystemDatabase | None) -> None:
        self.name = name
        self._declared = limits
        self._bound = database

    @property
    def global_concurrency(self) -> int | None:
        """How many workflows of the queue run in all processes together; None: no bound."""
        return self._limits().concurrency

    async def get_global_concurrency_async(self) -> int | None:
        """As global_concurrency."""
        limits = await self._limits_async()
        return limits.concurrency

    def set_global_concurrency(self, value: int | None) -> None:
        """Change global_concurrency."""
        refuse_event_loop("Queue.set_global_concurrency")
        self._change(lambda limits: replace(limits, concurrency=value), shared="global_concurrency")

    async def set_global_concurrency_async(self, value: int | None) -> None:
        """As set_global_concurrency."""
        await self._change_async(lambda limits: replace(limits, concurrency=value), shared="global_concurrency")

    @property
    def concurrency(self) -> int | None:
        """The older name of global_concurrency."""
        return self._limits().concurrency

    async def get_concurrency_async(self) -> int | None:
        """As concurrency."""
        limits = await self._limits_async()
        return limits.concurrency

    def set_concurrency(self, value: int | None) -> None:
        """Change concurrency."""
        refuse_event_loop("Queue.set_concurrency")
        self._change(lambda limits: replace(limits, concurrency=value))

    async def set_concurrency_async(self, value: int | None) -> None:
        """As set_concurrency."""
        await self._change_async(lambda limits: replace(limits, concurrency=value))

    @property
    def worker_concurrency(self) -> int | None:
        """How many run in each process; None: no bound."""
        return self._limits().worker_concurrency

    async def get_worker_concurrency_async(self) -> int | None:
        """As worker_concurrency."""
        limits = await self._limits_async()
        return limits.worker_concurrency

    def set_worker_concurrency(self, value: int | None) -> None:
        """Change worker_concurrency."""
        refuse_event_loop("Queue.set_worker_concurrency")
        self._change(lambda limits: replace(limits, worker_concurrency=value))

    async def set_worker_concurrency_async(self, value: int | None) -> None:
        """As set_worker_concurrency."""
        await self._change_async(lambda limits: replace(limits, worker_concurrency=value))

    @property
    def limiter(self) -> QueueRateLimit | None:
        """How many start in any period of so many seconds, over all processes; None: no bound."""
        limits = self._limits()
        return _limiter(limits.rate_limit, limits.rate_period_seconds)

    async def get_limiter_async(self) -> QueueRateLimit | None:
        """As limiter."""
        limits = await self._limits_async()
        return _limiter(limits.rate_limit, limits.rate_period_seconds)

    def set_limiter(self, value: QueueRateLimit | None) -> None:
        """Change limiter."""
        refuse_event_loop("Queue.set_limiter")
        self._change(lambda limits: with_rate(limits, "limiter", value))

    async def set_limiter_async(self, value: QueueRateLimit | None) -> None:
        """As set_limiter."""
        await self._change_async(lambda limits: with_rate(limits, "limiter", value))

    @property
    def partition_concurrency(self) -> int | None:
        """How many of each partition run in all processes together; None: no bound."""
        return self._limits().partition_concurrency

    async def get_partition_concurrency_async(self) -> int | None:
        """As partition_concurrency."""
        limits = await self._limits_async()
        return limits.partition_concurrency

    def set_partition_concurrency(self, value: int | None) -> None:
        """Change partition_concurrency."""
        refuse_event_loop("Queue.set_partition_concurrency")
        self._change(lambda limits: replace(limits, partition_concurrency=value))

    async def set_partition_concurrency_async(self, value: int | None) -> None:
        """As set_partition_concurrency."""
        await self._change_async(lambda limits: replace(limits, partition_concurrency=value))

    @property
    def partition_worker_concurrency(self) -> int | None:
        """How many of each partition run in each process; None: no bound."""
        return self._limits().partition_worker_concurrency

    async def get_partition_worker_concurrency_async(self) -> int | None:
        """As partition_worker_concurrency."""
        limits = await self._limits_async()
        return limits.partition_worker_concurrency

    def set_partition_worker_concurrency(self, value: int | None) -> None:
        """Change partition_worker_concurrency."""
        refuse_event_loop("Queue.set_partition_worker_concurrency")
        self._change(lambda limits: replace(limits, partition_worker_concurrency=value))

    async def set_partition_worker_concurrency_async(self, value: int | None) -> None:
        """As set_partition_worker_concurrency."""
        await self._change_async(lambda limits: replace(limits, partition_worker_concurrency=value))

    @property
    def partition_limiter(self) -> QueueRateLimit | None:
        """How many of each partition start in any period of so many seconds; None: no bound."""
        limits = self._limits()
        return _limiter(limits.partition_rate_limit, limits.partition_rate_period_seconds)

    async def get_partition_limiter_async(self) -> QueueRateLimit | None:
        """As partition_limiter."""
        limits = await self._limits_async()
        return _limiter(limits.partition_rate_limit, limits.partition_rate_period_seconds)

    def set_partition_limiter(self, value: QueueRateLimit | None) -> None:
        """Change partition_limiter."""
        refuse_event_loop("Queue.set_partition_limiter")
        self._change(lambda limits: with_rate(limits, "partition_limiter", value))

    async def set_partition_limiter_async(self, value: QueueRateLimit | None) -> None:
        """As set_partition_limiter."""
        await self._change_async(lambda limits: with_rate(limits, "partition_limiter", value))

    @property
    def polling_interval_sec(self) -> float:
        """How many seconds pass between two looks of a worker for what was not announced; a second at most."""
        return self._limits().polling_interval_seconds

    async def get_polling_interval_sec_async(self) -> float:
        """As polling_interval_sec."""
        limits = await self._limits_async()
        return limits.polling_interval_seconds

    def set_polling_interval_sec(self, value: float) -> None:
        """Change polling_interval_sec."""
        refuse_event_loop("Queue.set_polling_interval_sec")
        self._change(lambda limits: replace(limits, polling_interval_seconds=value))

    async def set_polling_interval_sec_async(self, value: float) -> None:
        """As set_polling_interval_sec."""
        await self._change_async(lambda limits: replace(limits, polling_interval_seconds=value))

    def _limits(self) -> QueueLimits:
        database = self._database()
        return self._declared if database is None else self._read(database)

    async def _limits_async(self) -> QueueLimits:
        database = self._database()
        return self._declared if database is None else await database.in_background(lambda: self._read(database))

    def _read(self, database: SystemDatabase) -> QueueLimits:
        row = database.run(lambda: load_queue(self.name))
        if row is None:
            raise self._gone()
        return row.limits

    def _change(self, change: Change, *, shared: str = "concurrency") -> None:
        database = self._database()
        if database is None:
            raise DBOSException(f"Queue {self.name!r} has no row before DBOS.launch(); declare it with its limits")
        done = database.transact(
            lambda: change_queue(
                self.name, lambda limits: check_limits(change(limits), shared=shared), now_ms=epoch_ms()
            )
        )
        if done is None:
            raise self._gone()
        if done.managed:
            raise DBOSException(f"Queue {self.name!r} is managed by a DBOSQueue resource; change the resource")
        application = process.application
        if application is not None and application.engine is not None:
            application.engine.queues.refresh()

    async def _change_async(self, change: Change, *, shared: str = "concurrency") -> None:
        database = self._database()
        if database is None:
            self._change(change)  # raises: not launched
        else:
            await database.in_background(lambda: self._change(change, shared=shared))

    def _database(self) -> SystemDatabase | None:
        if self._bound is not None:
            return self._bound
        application = process.application
        running = None if application is None else application.engine
        return None if running is None else running.services.database

    def _gone(self) -> DBOSException:
        return DBOSException(f"Queue {self.name!r} does not exist: it was deleted")


def rate_of(name: str, limiter: Any) -> tuple[int | None, float | None]:
    """The limit and the period of a rate limit. Raises ValueError for what is none."""
    if limiter is None:
        return None, None
    if not isinstance(limiter, dict) or set(limiter) != {"limit", "period"}:
        raise ValueError(f"{name}: expected {{'limit': n, 'period': seconds}}, got {limiter!r}")
    return limiter["limit"], limiter["period"]


def with_rate(limits: QueueLimits, name: str, limiter: QueueRateLimit | None) -> QueueLimits:
    """The limits with another rate limit, of the queue or of each partition."""
    limit, period = rate_of(name, limiter)
    if name == "limiter":
        return replace(limits, rate_limit=limit, rate_period_seconds=period)
    return replace(limits, partition_rate_limit=limit, partition_rate_period_seconds=period)


def _limiter(limit: int | None, period: float | None) -> QueueRateLimit | None:
    return None if limit is None or period is None else {"limit": limit, "period": period}
