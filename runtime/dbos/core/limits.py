"""The limits of a queue: what they may be, and what they leave to claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

MAX_SECONDS = 100 * 366 * 24 * 3600
"""A hundred years: longer times are mistakes, and endless ones no column holds."""


class QueueRateLimit(TypedDict):
    """At most `limit` starts in any `period` seconds."""

    limit: int
    period: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What bounds the workflows of a queue. None: no bound.

    Rows hold whatever somebody wrote there (0 suspends a queue); `check_limits` is for what a user asks for.
    """

    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate_limit: int | None = None
    rate_period_seconds: float | None = None
    polling_interval_seconds: float = 1.0

    @property
    def shared(self) -> bool:
        """Whether executors share a budget, so that they must take turns."""
        return self.concurrency is not None or self.rate_limit is not None

    @property
    def rate_period_ms(self) -> int | None:
        """The period of the rate limit in whole milliseconds."""
        return None if self.rate_period_seconds is None else int(self.rate_period_seconds * 1000)


def check_limits(limits: QueueLimits) -> QueueLimits:
    """Limits that a queue can have, as they are.

    Raises ValueError (TypeError for wrong types) naming the limit and what was expected.
    """
    for name in ("concurrency", "worker_concurrency", "rate_limit"):
        _check_count(name, getattr(limits, name))
    if (limits.rate_limit is None) != (limits.rate_period_seconds is None):
        raise ValueError("limiter: expected both 'limit' and 'period'")
    _check_seconds("limiter period", limits.rate_period_seconds)
    _check_seconds("polling_interval_sec", limits.polling_interval_seconds)
    if limits.concurrency and limits.worker_concurrency and limits.worker_concurrency > limits.concurrency:
        raise ValueError(
            f"worker_concurrency: expected at most the global concurrency {limits.concurrency}, "
            f"got {limits.worker_concurrency}"
        )
    return limits


def claim_budget(limits: QueueLimits, *, running: int, batch: int) -> int:
    """How many workflows this executor may claim next: what worker concurrency leaves, at most a batch."""
    if limits.worker_concurrency is None:
        return batch
    return max(0, min(batch, limits.worker_concurrency - running))


def _check_count(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number or None, got {value!r}")
    if value < 1 or value > 2**31 - 1:
        raise ValueError(f"{name}: expected 1 to {2**31 - 1} or None, got {value}")


def _check_seconds(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: expected seconds, got {value!r}")
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(f"{name}: expected more than 0 seconds and at most {MAX_SECONDS}, got {value}")
