"""Cron rules: which moments a schedule names, in its own time zone.

The moments are those that every worker of the system database computes, daylight saving time included:
they become part of workflow IDs, so one second of difference would run a schedule twice. A time that the
clocks skip in spring fires when they land; one that they repeat in autumn fires twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice, takewhile
from typing import Self
from zoneinfo import ZoneInfo

EXPECTED_TIME_ZONE = "an IANA time zone such as Europe/Berlin"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class InvalidCronError(ValueError):
    """A cron text that cannot be read, or that never comes true; `expected` says what could be."""

    def __init__(self, text: str, *, expected: str) -> None:
        super().__init__(f"expected {expected}, got {text!r}")
        self.expected = expected


class UnknownTimeZoneError(ValueError):
    """A name that the IANA database does not hold; `expected` says what would do."""

    def __init__(self, name: str, *, expected: str) -> None:
        super().__init__(f"expected {expected}, got {name!r}")
        self.expected = expected


@dataclass(frozen=True, slots=True)
class CronRule:
    """A cron text of five fields, or of six with seconds first, read in one time zone."""

    text: str
    zone: tzinfo

    @classmethod
    def parse(cls, text: str, time_zone: str | None = None) -> Self:
        """The rule that a schedule's row holds; no time zone means UTC.

        Raises InvalidCronError or UnknownTimeZoneError, both with what was expected.
        """
        zone = parse_time_zone(time_zone)
        _check_text(text)
        return cls(text, zone)

    def next_after(self, moment: datetime) -> datetime:
        """The first moment after the given one, never the given one itself."""
        return next(self._after(moment))

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next `count` moments after the given one, earliest first."""
        return list(islice(self._after(moment), count))

    def due_between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The moments after `after` and not after `until`, earliest first, at most `limit` of them.

        Two calls that share a border find every moment once.
        """
        # Two datetimes of one zone compare by their clocks, which autumn turns back: the end is compared as UTC.
        end = until.astimezone(UTC)
        return list(takewhile(lambda moment: moment <= end, islice(self._after(after), limit)))

    def local(self, moment: datetime) -> datetime:
        """The same instant as the clocks of the rule's time zone show it."""
        return moment.astimezone(self.zone)

    def _after(self, moment: datetime) -> Iterator[datetime]:
        from croniter import croniter  # noqa: PLC0415 -- a process without schedules does not wait for it

        return croniter(self.text, self.local(moment), second_at_beginning=True).all_next(datetime)


def parse_time_zone(name: str | None) -> tzinfo:
    """The time zone of that IANA name; UTC for None, as rows without a zone mean it.

    Raises UnknownTimeZoneError when there is none.
    """
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: the name of a folder of zones, as in "Europe"
        raise UnknownTimeZoneError(name, expected=EXPECTED_TIME_ZONE) from error


@lru_cache(maxsize=4096)
def _check_text(text: str) -> None:
    from croniter import croniter  # noqa: PLC0415 -- as above
    from croniter.croniter import CroniterError  # noqa: PLC0415 -- as above

    fields = text.split()
    if len(fields) not in {1, 5, 6} or (len(fields) == 1 and not fields[0].startswith("@")):
        raise InvalidCronError(text, expected="five fields (minute hour day month weekday) or six with seconds first")
    # A field drawn at random would give every worker, and every reading, another moment.
    if any(part[:1] in "RrHh" for field in fields for part in field.split(",")):
        raise InvalidCronError(text, expected="fixed times (no R or H field)")
    if not croniter.is_valid(text, second_at_beginning=True, strict=True):
        raise InvalidCronError(text, expected="a cron text whose values are in range and whose dates exist")
    try:
        croniter(text, _LONG_AGO, second_at_beginning=True).get_next()
    except CroniterError as error:
        raise InvalidCronError(text, expected="a cron text that comes true some day") from error
