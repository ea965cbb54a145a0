"""When a database that failed is tried again.

CLOSED --failure--> OPEN --pause over--> one try --success--> CLOSED
                     ^                      |
                     +------failure---------+   (the pause doubles, up to a bound)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dbos_operator.errors import OperatorError

FIRST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Failures in a row, and until when nothing is tried."""

    longest: timedelta
    failures: int = 0
    open_until: datetime | None = None
    error: OperatorError | None = None

    def failed(self, error: OperatorError, now: datetime) -> Breaker:
        """The breaker after one more failure."""
        pause = min(FIRST_PAUSE * 2 ** min(self.failures, 16), self.longest)
        return Breaker(longest=self.longest, failures=self.failures + 1, open_until=now + pause, error=error)

    def succeeded(self) -> Breaker:
        """The breaker after a success."""
        return self if self.failures == 0 else Breaker(longest=self.longest)

    def holds(self, now: datetime) -> OperatorError | None:
        """The failure to show while it is too early for another try."""
        return self.error if self.open_until is not None and now < self.open_until else None
