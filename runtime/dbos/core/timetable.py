"""Which runs of a cron rule were missed, and the heap of what comes next."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Generic, Protocol, TypeVar

from dbos.core.cron import CronRule

MOST_AT_ONCE = 1000
"""How many moments of a rule are computed in one go."""
_WINDOWS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=400))


class Timed(Protocol):
    """Something that happens at a moment."""

    @property
    def next_due(self) -> datetime:
        """When it happens next."""
        ...

    @property
    def current(self) -> bool:
        """Whether it still is to happen."""
        ...


TimedT = TypeVar("TimedT", bound=Timed)


class Agenda(Generic[TimedT]):
    """What happens next, the earliest first. What is put in again counts at its newest moment only."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimedT]] = []
        self._sequence = count()

    def put(self, item: TimedT) -> None:
        """Have something happen at its moment."""
        heapq.heappush(self._heap, (item.next_due.timestamp(), next(self._sequence), item))

    def take_due(self, now: datetime) -> list[TimedT]:
        """Take out what is due, the earliest first."""
        due: dict[int, TimedT] = {}
        until = now.timestamp()
        while self._heap and self._heap[0][0] <= until:
            at, _, item = heapq.heappop(self._heap)
            if item.current and at == item.next_due.timestamp():
                due[id(item)] = item
        return list(due.values())

    def seconds_until_next(self, now: datetime) -> float | None:
        """How long until something is due; None when nothing is planned."""
        return self._heap[0][0] - now.timestamp() if self._heap else None


def latest_moment(rule: CronRule, after: datetime, until: datetime) -> datetime | None:
    """The last moment after `after` and not after `until`, without a walk through all of them."""
    for window in _WINDOWS:
        start = max(after, until - window)
        moment = _last(_moments(rule, start, until))
        if moment is not None or start == after:
            return moment
    return _last(_moments(rule, after, until))


def missed_moments(rule: CronRule, after: datetime, before: datetime) -> Iterator[datetime]:
    """Every moment between two, neither of them included, earliest first."""
    end = before.astimezone(UTC)
    return (moment for moment in _moments(rule, after, before) if moment.astimezone(UTC) < end)


def as_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def just_before(moment: datetime) -> datetime:
    """An instant so shortly before the given one that nothing is due between them."""
    return moment.astimezone(UTC) - timedelta(microseconds=1)


def just_after(moment: datetime) -> datetime:
    """As just_before, on the other side."""
    return moment.astimezone(UTC) + timedelta(microseconds=1)


def _moments(rule: CronRule, after: datetime, until: datetime) -> Iterator[datetime]:
    while moments := rule.due_between(after, until, MOST_AT_ONCE):
        yield from moments
        after = moments[-1]


def _last(moments: Iterator[datetime]) -> datetime | None:
    latest = None
    for latest in moments:  # noqa: B007 -- the last one is what is wanted
        pass
    return latest
