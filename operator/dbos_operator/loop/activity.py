"""What goes on, for those who wait for it to end, and whether the loop still moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The work of all databases at the last passes."""

    runnable: int = 0
    """Workflows that wait for a worker, or will within seconds."""
    running: int = 0
    workers_at_minimum: bool = True
    """Whether every target has as few pods as its queues allow, those on their way out counted."""
    failed_total: int = 0
    """Workflows that failed since the operator started."""
    settled: bool = False
    """Whether these numbers are of a time after the last change, and every database answered."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return self.settled and self.workers_at_minimum and not self.runnable and not self.running


def add_up(parts: Iterable[Activity], *, failed_total: int, settled: bool) -> Activity:
    """The activity of all databases as one."""
    found = list(parts)
    return Activity(
        runnable=sum(part.runnable for part in found),
        running=sum(part.running for part in found),
        workers_at_minimum=all(part.workers_at_minimum for part in found),
        failed_total=failed_total,
        settled=settled and all(part.settled for part in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopHealth:
    """What the probes ask."""

    problem: str
    """Empty while every loop moves."""
    ready: bool
    """Whether the first listing is complete and the first pass is done."""

    @property
    def alive(self) -> bool:
        """Whether every loop moves."""
        return not self.problem
