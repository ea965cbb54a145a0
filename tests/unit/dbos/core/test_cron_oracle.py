"""Cron rules beside an oracle that knows nothing of cron libraries: it looks at every minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbos.core.cron import CronRule, InvalidCronError

MINUTE = timedelta(minutes=1)
SHOWN = timedelta(days=1)
"""How long the oracle looks."""
MOST = 50
"""How many moments are compared: a library that steps from one to the next takes its time."""
_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Field:
    """A field of a cron text, and the values that it stands for."""

    text: str
    values: frozenset[int]


def either_suffices(day: Field, weekday: Field) -> bool:
    """Whether one of day and weekday is enough, as it is where both are restricted.

    Every SDK of the product takes `*/2` for a restriction, other than the cron of most systems, and a field that
    names every value for none, if the other one has a star.
    """

    def restricts(field: Field, other: Field, count: int) -> bool:
        return field.text != "*" and (len(field.values) < count or "*" not in other.text)

    return restricts(day, weekday, 31) and restricts(weekday, day, 7)


def fields(low: int, high: int) -> st.SearchStrategy[Field]:
    """Stars, steps, single values, ranges with and without steps, and lists of them."""
    numbers = st.integers(low, high)
    steps = st.integers(1, high - low)
    every = st.just(Field("*", frozenset(range(low, high + 1))))
    stepped = steps.map(lambda step: Field(f"*/{step}", frozenset(range(low, high + 1, step))))
    single = numbers.map(lambda value: Field(str(value), frozenset({value})))
    pairs = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1])  # `5-5` means every value to croniter
    ranged = st.tuples(pairs, st.none() | steps).map(_range)
    parts = st.lists(single | ranged, min_size=1, max_size=3)
    listed = parts.map(lambda part: Field(",".join(p.text for p in part), frozenset().union(*(p.values for p in part))))
    return every | stepped | single | ranged | listed


def _range(drawn: tuple[tuple[int, int], int | None]) -> Field:
    (first, last), step = sorted(drawn[0]), drawn[1]
    text = f"{first}-{last}" if step is None else f"{first}-{last}/{step}"
    return Field(text, frozenset(range(first, last + 1, step or 1)))


WEEKDAYS = fields(0, 6) | st.integers(0, 6).map(lambda day: Field(_NAMES[day], frozenset({day})))
RULES = st.tuples(fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), WEEKDAYS)
MOMENTS = st.integers(0, 2 * 366 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
ZONES = st.sampled_from(
    [None, "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]
)


def names(rule: tuple[Field, ...], local: datetime) -> bool:
    """Whether the rule names this minute of the clock."""
    minute, hour, day, month, weekday = rule
    if local.minute not in minute.values or local.hour not in hour.values or local.month not in month.values:
        return False
    in_month, in_week = local.day in day.values, local.isoweekday() % 7 in weekday.values
    return in_month or in_week if either_suffices(day, weekday) else in_month and in_week


def expected(rule: tuple[Field, ...], zone: str | None, after: datetime, until: datetime) -> list[str]:
    """Every moment that the rule names, by looking at every minute."""
    place = UTC if zone is None else ZoneInfo(zone)
    moment = after.replace(second=0, microsecond=0) + MINUTE
    found = []
    while moment <= until and len(found) < MOST:
        local = moment.astimezone(place)
        if names(rule, local):
            found.append(local.isoformat())
        moment += MINUTE
    return found


def keeps_its_offset(zone: str | None, after: datetime, until: datetime) -> bool:
    """Whether no clock is changed from a day before to a day after: what fires then is a table elsewhere."""
    if zone is None:
        return True
    day = timedelta(days=1)
    place, moment = ZoneInfo(zone), after - day
    offsets = set()
    while moment <= until + day:
        offsets.add(moment.astimezone(place).utcoffset())
        moment += timedelta(hours=6)
    return len(offsets) == 1


def text_of(rule: tuple[Field, ...]) -> str:
    """The rule as it is written."""
    return " ".join(field.text for field in rule)


@pytest.mark.timeout(300)
@settings(max_examples=1500, deadline=None)
@given(rule=RULES, zone=ZONES, start=MOMENTS)
def test_a_rule_names_the_moments_that_looking_at_every_minute_finds(
    rule: tuple[Field, ...], zone: str | None, start: datetime
) -> None:
    until = start + SHOWN
    while not keeps_its_offset(zone, start, until):
        start, until = start + SHOWN, until + SHOWN
    wanted = expected(rule, zone, start, until)
    found = _due(text_of(rule), zone, start, until)
    assert found == wanted


@settings(max_examples=30, deadline=None)
@given(seconds=fields(0, 59), rule=RULES, start=MOMENTS)
def test_a_rule_with_seconds_names_them_within_the_minutes_of_the_rule(
    seconds: Field, rule: tuple[Field, ...], start: datetime
) -> None:
    until = start + timedelta(minutes=30)
    minutes = [datetime.fromisoformat(text) for text in expected(rule, None, start - MINUTE, until)]
    moments = [minute + timedelta(seconds=second) for minute in minutes for second in sorted(seconds.values)]
    wanted = [moment.isoformat() for moment in moments if start < moment <= until]
    assert _due(f"{seconds.text} {text_of(rule)}", None, start, until) == wanted[:MOST]


def _due(text: str, zone: str | None, after: datetime, until: datetime) -> list[str]:
    """What the rule says; nothing for a date that never comes, which is refused."""
    try:
        rule = CronRule.parse(text, zone)
    except InvalidCronError:
        return []
    return [moment.isoformat() for moment in rule.due_between(after, until, MOST)]
