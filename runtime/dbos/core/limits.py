"""The limits of a queue: what they may be, and what they leave to claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, TypeVar

T = TypeVar("T")

MAX_SECONDS = 100 * 366 * 24 * 3600
"""A hundred years: longer times are mistakes, and endless ones no column holds."""


class QueueRateLimit(TypedDict):
    """At most `limit` starts in any `period` seconds."""

    limit: int
    """Most starts; at least 1."""
    period: float
    """Seconds; any span of that length counts, not only full ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What bounds the workflows of a queue. None: no bound.

    Rows hold whatever somebody wrote there (0 suspends a queue); `check_limits` is for what a user asks for.
    """

    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate_limit: int | None = None
    rate_period_seconds: float | None = None
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    partition_rate_limit: int | None = None
    partition_rate_period_seconds: float | None = None
    polling_interval_seconds: float = 1.0

    @property
    def partitioned(self) -> bool:
        """Whether the queue has lanes: then a workflow without a partition key never starts."""
        return any(
            limit is not None
            for limit in (self.partition_concurrency, self.partition_worker_concurrency, self.partition_rate_limit)
        )

    @property
    def shared(self) -> bool:
        """Whether executors share a budget, so that they must take turns."""
        limits = (self.concurrency, self.rate_limit, self.partition_concurrency, self.partition_rate_limit)
        return any(limit is not None for limit in limits)

    @property
    def counts_every_application(self) -> bool:
        """Whether what other applications run counts, as it does for one at a time and no other shared limit."""
        others = (self.concurrency, self.rate_limit, self.partition_rate_limit)
        return self.partition_concurrency == 1 and all(limit is None for limit in others)

    def of_partitions(self) -> QueueLimits:
        """Limits where each that is one of the queue is one of every partition; what partitions have goes first."""
        return QueueLimits(
            partition_concurrency=_first(self.partition_concurrency, self.concurrency),
            partition_worker_concurrency=_first(self.partition_worker_concurrency, self.worker_concurrency),
            partition_rate_limit=_first(self.partition_rate_limit, self.rate_limit),
            partition_rate_period_seconds=_first(self.partition_rate_period_seconds, self.rate_period_seconds),
            polling_interval_seconds=self.polling_interval_seconds,
        )

    @property
    def partition_rate_period_ms(self) -> int | None:
        """The period of the partitions' rate limit in whole milliseconds."""
        seconds = self.partition_rate_period_seconds
        return None if seconds is None else int(seconds * 1000)

    @property
    def rate_period_ms(self) -> int | None:
        """The period of the rate limit in whole milliseconds."""
        return None if self.rate_period_seconds is None else int(self.rate_period_seconds * 1000)


_COUNTS = {"worker_concurrency": "worker_concurrency", "rate_limit": "limiter limit"}
_PARTITION_COUNTS = {
    "partition_concurrency": "partition_concurrency",
    "partition_worker_concurrency": "partition_worker_concurrency",
    "partition_rate_limit": "partition_limiter limit",
}
"""How callers write these limits."""
_ORDER = (
    ("worker_concurrency", "concurrency"),
    ("partition_concurrency", "concurrency"),
    ("partition_worker_concurrency", "partition_concurrency"),
    ("partition_worker_concurrency", "worker_concurrency"),
    ("partition_worker_concurrency", "concurrency"),
)
"""Limits that are useless above another one, which therefore are mistakes."""


def check_limits(limits: QueueLimits, *, least: int = 0, shared: str = "concurrency") -> QueueLimits:
    """Limits that a queue can have, as they are: 0 suspends it, except where `least` is 1; a partition has 1 or more.

    Raises ValueError (TypeError for wrong types) naming the limit, as callers write it, and what was expected. `shared`
    is the name under which the concurrency of all processes was given.
    """
    _check_count(shared, limits.concurrency, least=least)
    for field, name in _COUNTS.items():
        _check_count(name, getattr(limits, field), least=least)
    for field, name in _PARTITION_COUNTS.items():
        _check_count(name, getattr(limits, field), least=1)
    if (limits.partition_rate_limit is None) != (limits.partition_rate_period_seconds is None):
        raise ValueError("partition_limiter: expected both 'limit' and 'period'")
    _check_seconds("partition_limiter period", limits.partition_rate_period_seconds)
    if (limits.rate_limit is None) != (limits.rate_period_seconds is None):
        raise ValueError("limiter: expected both 'limit' and 'period'")
    _check_seconds("limiter period", limits.rate_period_seconds)
    _check_seconds("polling_interval_sec", limits.polling_interval_seconds)
    for smaller, larger in _ORDER:
        least_of, most = getattr(limits, smaller), getattr(limits, larger)
        if least_of and most and least_of > most:
            named = "the global concurrency" if larger == "concurrency" else larger
            raise ValueError(f"{smaller}: expected at most {named} {most}, got {least_of}")
    return limits


def _first(preferred: T | None, other: T | None) -> T | None:
    return other if preferred is None else preferred


def claim_budget(limits: QueueLimits, *, running: int, batch: int) -> int:
    """How many workflows this executor may claim next: what worker concurrency leaves, at most a batch."""
    if limits.worker_concurrency is None:
        return batch
    return max(0, min(batch, limits.worker_concurrency - running))


def _check_count(name: str, value: object, *, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number or None, got {value!r}")
    if value < least or value > 2**31 - 1:
        raise ValueError(f"{name}: expected {least} to {2**31 - 1} or None, got {value}")


def _check_seconds(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: expected seconds, got {value!r}")
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(f"{name}: expected more than 0 seconds and at most {MAX_SECONDS}, got {value}")
