"""The limits of a queue: what they may be, and what they leave to claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


class QueueRateLimit(TypedDict):
    """At most `limit` starts in any `period` seconds."""

    limit: int
    period: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """What bounds the workflows of a queue. None: no bound.

    Raises ValueError (TypeError for wrong types) naming the limit and what was expected.
    """

    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate_limit: int | None = None
    rate_period_seconds: float | None = None
    polling_interval_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "worker_concurrency", "rate_limit"):
            _check_count(name, getattr(self, name))
        if (self.rate_limit is None) != (self.rate_period_seconds is None):
            raise ValueError("limiter: expected both 'limit' and 'period'")
        _check_seconds("limiter period", self.rate_period_seconds)
        _check_seconds("polling_interval_sec", self.polling_interval_seconds)
        if self.concurrency and self.worker_concurrency and self.worker_concurrency > self.concurrency:
            raise ValueError(
                f"worker_concurrency: expected at most the global concurrency {self.concurrency}, "
                f"got {self.worker_concurrency}"
            )

    @property
    def shared(self) -> bool:
        """Whether executors share a budget, so that they must take turns."""
        return self.concurrency is not None or self.rate_limit is not None

    @property
    def rate_period_ms(self) -> int | None:
        """The period of the rate limit in whole milliseconds."""
        return None if self.rate_period_seconds is None else int(self.rate_period_seconds * 1000)


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
    if not value > 0:
        raise ValueError(f"{name}: expected more than 0 seconds, got {value}")
