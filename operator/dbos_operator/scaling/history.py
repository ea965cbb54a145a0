"""How many replicas were wanted lately, as far as a later fall depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Peak:
    """A number of replicas, and until when it was wanted."""

    wanted: int
    until: datetime


@dataclass(frozen=True, slots=True)
class ScalingHistory:
    """The peaks that still hold replicas up, the highest and oldest first.

    Their numbers fall strictly, so it is never longer than the number of replicas.
    """

    peaks: tuple[Peak, ...] = ()

    @property
    def highest(self) -> Peak | None:
        """The most that was wanted within the window of the last record."""
        return self.peaks[0] if self.peaks else None

    def record(self, wanted: int, now: datetime, window: timedelta) -> ScalingHistory:
        """Add what is wanted now and drop what ended a window ago or earlier.

        What was wanted last counts as wanted until now: a pause between two
        looks never looks like a pause in demand. A peak that a later one equals
        or tops outlives nothing and goes.
        """
        before = self.peaks
        if before:
            before = (*before[:-1], Peak(before[-1].wanted, max(now, before[-1].until)))
        kept = tuple(peak for peak in before if peak.wanted > wanted and now - peak.until < window)
        return ScalingHistory((*kept, Peak(wanted, now)))
