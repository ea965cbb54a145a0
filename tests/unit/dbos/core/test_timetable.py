"""Which runs of a rule were missed, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbos.core.cron import CronRule
from dbos.core.timetable import Agenda, as_utc, just_after, just_before, latest_moment, missed_moments

EVERY_SECOND = CronRule.parse("* * * * * *")
DAILY = CronRule.parse("30 2 * * *", "Europe/Berlin")
LEAP_DAYS = CronRule.parse("0 0 29 2 *")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Item:
    """Something planned."""

    name: str
    next_due: datetime
    current: bool = True


def test_what_is_due_comes_out_in_order_and_once() -> None:
    agenda: Agenda[Item] = Agenda()
    late, early, later = Item("late", NOON), Item("early", NOON - timedelta(1)), Item("later", NOON + timedelta(1))
    for item in (late, later, early, early):
        agenda.put(item)
    assert [item.name for item in agenda.take_due(NOON)] == ["early", "late"]
    assert agenda.take_due(NOON) == []
    assert agenda.seconds_until_next(NOON) == 86400


def test_what_was_moved_counts_at_its_new_moment() -> None:
    agenda: Agenda[Item] = Agenda()
    item = Item("moved", NOON)
    agenda.put(item)
    item.next_due = NOON + timedelta(hours=1)
    agenda.put(item)
    assert agenda.take_due(NOON) == []
    assert agenda.take_due(NOON + timedelta(hours=1)) == [item]


def test_what_was_dropped_is_never_due() -> None:
    agenda: Agenda[Item] = Agenda()
    item = Item("dropped", NOON)
    agenda.put(item)
    item.current = False
    assert agenda.take_due(NOON) == []
    assert agenda.seconds_until_next(NOON) is None


@pytest.mark.parametrize(
    ("rule", "after", "until", "latest"),
    [
        (EVERY_SECOND, NOON - timedelta(hours=9), NOON, NOON),
        (EVERY_SECOND, NOON - timedelta(microseconds=1), NOON, NOON),
        (EVERY_SECOND, NOON, NOON + timedelta(milliseconds=999), None),
        (DAILY, NOON - timedelta(days=9), NOON, datetime(2026, 11, 21, 1, 30, tzinfo=UTC)),
        (DAILY, NOON - timedelta(hours=1), NOON, None),
        (LEAP_DAYS, NOON - timedelta(days=4000), NOON, datetime(2024, 2, 29, tzinfo=UTC)),
        (LEAP_DAYS, NOON - timedelta(days=300), NOON, None),
    ],
)
def test_the_last_missed_moment_is_found(
    rule: CronRule, after: datetime, until: datetime, latest: datetime | None
) -> None:
    assert latest_moment(rule, after, until) == latest


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(["7 * * * * *", "*/5 * * * *", "0 3 * * *", "15 10 * * MON", "0 0 1 * *"]),
    zone=st.sampled_from([None, "Europe/Berlin", "America/New_York"]),
    start=st.integers(0, 365 * 86400),
    hours=st.floats(0, 30),
)
def test_the_last_missed_moment_is_the_last_of_all_missed_ones(
    text: str, zone: str | None, start: int, hours: float
) -> None:
    rule = CronRule.parse(text, zone)
    after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    until = after + timedelta(hours=hours)
    every = rule.due_between(after, until, 1_000_000)
    assert latest_moment(rule, after, until) == (every[-1] if every else None)
    assert list(missed_moments(rule, after, just_after(until))) == every


def test_missed_moments_lie_strictly_between_two() -> None:
    found = list(missed_moments(EVERY_SECOND, NOON, NOON + timedelta(seconds=3)))
    assert found == [NOON + timedelta(seconds=1), NOON + timedelta(seconds=2)]
    assert list(missed_moments(EVERY_SECOND, NOON, NOON)) == []
    assert list(missed_moments(EVERY_SECOND, NOON, NOON - timedelta(seconds=3))) == []


def test_many_missed_moments_come_one_after_the_other() -> None:
    found = missed_moments(EVERY_SECOND, NOON, NOON + timedelta(seconds=2501))
    assert sum(1 for _ in found) == 2500


def test_a_time_without_a_zone_is_utc() -> None:
    assert as_utc(NOON.replace(tzinfo=None)) == NOON
    assert as_utc(datetime(2026, 11, 21, 13, tzinfo=timezone(timedelta(hours=1)))) == NOON


def test_nothing_is_due_between_a_moment_and_its_neighbours() -> None:
    assert EVERY_SECOND.next_after(just_before(NOON)) == NOON
    assert EVERY_SECOND.next_after(just_after(NOON)) == NOON + timedelta(seconds=1)
