"""Which runs of a cron rule are due, and which of the missed ones are made up for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbos.core.cron import CronRule

MOST_AT_ONCE = 1000
"""How many moments of a rule are looked at in one go."""
_WINDOWS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=400))


@dataclass(frozen=True, slots=True)
class Due:
    """The moments to fire now, and the first one after them."""

    moments: tuple[datetime, ...]
    next_due: datetime


def due_moments(rule: CronRule, next_due: datetime, now: datetime, *, slept: bool) -> Due:
    """What is due of a rule whose next moment was `next_due`.

    A process that was awake fires every moment, however late it comes to it. One that slept through
    moments fires the last of them: nobody wants a day's runs at once because a laptop was opened.
    """
    if next_due > now:
        return Due((), next_due)
    # Just before next_due, so that next_due itself is found.
    start = next_due.astimezone(UTC) - timedelta(microseconds=1)
    if slept:
        latest = latest_moment(rule, start, now)
        return Due(() if latest is None else (latest,), rule.next_after(now))
    moments = rule.due_between(start, now, MOST_AT_ONCE)
    onwards = moments[-1] if len(moments) == MOST_AT_ONCE else now
    return Due(tuple(moments), rule.next_after(onwards))


def latest_moment(rule: CronRule, after: datetime, until: datetime) -> datetime | None:
    """The last moment after `after` and not after `until`, without a walk through all of them."""
    for window in _WINDOWS:
        start = max(after, until - window)
        moments = list(_moments(rule, start, until))
        if moments:
            return moments[-1]
        if start == after:
            return None
    return next(reversed(list(_moments(rule, after, until))), None)


def missed_moments(rule: CronRule, after: datetime, before: datetime) -> Iterator[datetime]:
    """Every moment between two, neither of them included, earliest first."""
    return (moment for moment in _moments(rule, after, before) if moment.astimezone(UTC) < before.astimezone(UTC))


def as_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _moments(rule: CronRule, after: datetime, until: datetime) -> Iterator[datetime]:
    while moments := rule.due_between(after, until, MOST_AT_ONCE):
        yield from moments
        after = moments[-1]
