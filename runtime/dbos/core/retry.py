"""When a failed attempt is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

MAX_DELAY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The retries of a step. Raises ValueError, or TypeError, naming the option and what was expected."""

    allowed: bool = False
    interval_seconds: float = 1.0
    max_attempts: int = 3
    backoff_rate: float = 2.0

    def __post_init__(self) -> None:
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int):
            raise TypeError(f"max_attempts: expected a whole number, got {self.max_attempts!r}")
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts: expected at least 1, got {self.max_attempts}")
        for name, value in (("interval_seconds", self.interval_seconds), ("backoff_rate", self.backoff_rate)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name}: expected a number, got {value!r}")
            if not 0 <= value < inf:
                raise ValueError(f"{name}: expected 0 or more, got {value}")

    @property
    def attempts(self) -> int:
        """How often the step runs at most."""
        return self.max_attempts if self.allowed else 1

    def delay_after(self, attempt: int) -> float | None:
        """Seconds to wait after a failed attempt (the first is 1); None when that was the last."""
        if attempt >= self.attempts:
            return None
        try:
            return min(self.interval_seconds * self.backoff_rate ** (attempt - 1), MAX_DELAY_SECONDS)
        except OverflowError:
            return MAX_DELAY_SECONDS if self.interval_seconds else 0.0


def reconnect_delay(attempt: int, jitter: float) -> float:
    """Seconds before connecting to the database again: 1 s doubling to 60 s, times `jitter` (0.5 to 1.5)."""
    return float(min(2.0 ** min(attempt - 1, 6), 60.0)) * jitter
