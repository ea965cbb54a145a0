"""Which moments a cron rule names. The moments of changing clocks were observed with the published package."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbos.core.cron import CronRule, InvalidCronError, UnknownTimeZoneError, parse_time_zone
from dbos.core.schedule_ids import schedule_workflow_id

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def due(text: str, zone: str | None, after: str, until: str, limit: int = 100) -> list[str]:
    rule = CronRule.parse(text, zone)
    return [moment.isoformat() for moment in rule.due_between(at(after), at(until), limit)]


def test_five_fields_start_with_minutes_and_six_with_seconds() -> None:
    start = at("2026-11-21T07:00:00+00:00")
    assert CronRule.parse("*/5 * * * *").next_after(start).isoformat() == "2026-11-21T07:05:00+00:00"
    assert CronRule.parse("*/5 * * * * *").next_after(start).isoformat() == "2026-11-21T07:00:05+00:00"


def test_a_rule_without_a_time_zone_means_utc() -> None:
    rule = CronRule.parse("0 2 * * *")
    assert rule.zone is UTC
    assert rule.next_after(at("2026-11-21T07:00:00+05:00")).isoformat() == "2026-11-22T02:00:00+00:00"


def test_moments_carry_the_offset_of_the_rules_zone() -> None:
    rule = CronRule.parse("0 2 * * *", "America/New_York")
    assert rule.next_after(at("2026-11-21T07:16:00+00:00")).isoformat() == "2026-11-22T02:00:00-05:00"
    assert rule.local(at("2026-11-21T07:16:00+00:00")).isoformat() == "2026-11-21T02:16:00-05:00"


@pytest.mark.parametrize(
    ("text", "zone", "after", "until", "expected"),
    [
        # Spring: 02:30 does not exist, so the run comes when the clocks land.
        (
            "30 2 * * *",
            BERLIN,
            "2026-03-28T00:00:00+00:00",
            "2026-03-30T03:00:00+00:00",
            ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        # Autumn: 02:30 comes twice and so does the run.
        (
            "30 2 * * *",
            BERLIN,
            "2026-10-24T12:00:00+00:00",
            "2026-10-26T03:00:00+00:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"],
        ),
        (
            "*/20 * * * *",
            BERLIN,
            "2026-10-25T00:30:00+00:00",
            "2026-10-25T02:10:00+00:00",
            [
                "2026-10-25T02:40:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:20:00+01:00",
                "2026-10-25T02:40:00+01:00",
                "2026-10-25T03:00:00+01:00",
            ],
        ),
        # A clock that moves by half an hour.
        (
            "0 */2 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00+00:00",
            "2026-04-04T18:00:00+00:00",
            ["2026-04-05T00:00:00+11:00", "2026-04-05T02:00:00+10:30", "2026-04-05T04:00:00+10:30"],
        ),
    ],
)
def test_changing_clocks_give_the_moments_that_workers_compute(
    text: str, zone: str, after: str, until: str, expected: list[str]
) -> None:
    assert due(text, zone, after, until) == expected


def test_the_beginning_is_left_out_and_the_end_is_taken_in() -> None:
    assert due("0 * * * *", None, "2026-01-01T00:00:00+00:00", "2026-01-01T02:00:00+00:00") == [
        "2026-01-01T01:00:00+00:00",
        "2026-01-01T02:00:00+00:00",
    ]


def test_an_end_in_the_repeated_hour_is_an_instant_and_not_a_clock_time() -> None:
    rule = CronRule.parse("*/20 * * * *", BERLIN)
    end = datetime(2026, 10, 25, 2, 20, tzinfo=ZoneInfo(BERLIN), fold=1)
    moments = rule.due_between(at("2026-10-25T00:30:00+00:00"), end, 100)
    assert [moment.isoformat()[11:] for moment in moments] == ["02:40:00+02:00", "02:00:00+01:00", "02:20:00+01:00"]


def test_a_limit_keeps_the_earliest_moments() -> None:
    assert due("* * * * * *", None, "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00", limit=2) == [
        "2026-01-01T00:00:01+00:00",
        "2026-01-01T00:00:02+00:00",
    ]
    assert due("* * * * * *", None, "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00", limit=0) == []


def test_nothing_is_due_in_a_stretch_that_runs_backwards() -> None:
    assert due("* * * * *", None, "2026-01-01T01:00:00+00:00", "2026-01-01T00:00:00+00:00") == []


def test_upcoming_moments_follow_each_other() -> None:
    rule = CronRule.parse("0 0 29 2 *")
    years = [moment.year for moment in rule.upcoming(at("2026-01-01T00:00:00+00:00"), 3)]
    assert years == [2028, 2032, 2036]


@pytest.mark.parametrize("text", ["@daily", "@hourly", "0 0 L * *", "0 0 * * 5#3", "0 9 * * mon-fri", "0 0 1 jan *"])
def test_the_spellings_that_workers_accept_are_accepted(text: str) -> None:
    rule = CronRule.parse(text)
    assert rule.next_after(at("2026-01-01T00:00:00+00:00")) > at("2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize("text", ["", "   ", "daily", "* * * *", "* * * * * * *", "* * * * * * * *"])
def test_another_number_of_fields_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(InvalidCronError, match=r"five fields .* or six with seconds first"):
        CronRule.parse(text)


@pytest.mark.parametrize(
    "text", ["60 * * * *", "0 24 * * *", "0 0 32 * *", "*/0 * * * *", "a b c d e", "@soon", "0 0 * * 5#9"]
)
def test_values_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InvalidCronError):
        CronRule.parse(text)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 0 31 11 *"])
def test_dates_that_never_come_are_refused(text: str) -> None:
    with pytest.raises(InvalidCronError, match="dates exist"):
        CronRule.parse(text)


@pytest.mark.parametrize("text", ["R * * * *", "r(0-5) * * * *", "H H * * *", "0,R * * * *"])
def test_random_fields_are_refused_because_everybody_would_compute_another_moment(text: str) -> None:
    with pytest.raises(InvalidCronError, match="fixed times"):
        CronRule.parse(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Europe", "../etc/passwd", "/etc/localtime", "Local", "a\0b"])
def test_an_unknown_time_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownTimeZoneError) as caught:
        parse_time_zone(name)
    assert repr(name) in str(caught.value)


def test_a_wrong_zone_and_a_wrong_text_are_told_apart() -> None:
    with pytest.raises(UnknownTimeZoneError):
        CronRule.parse("0 2 * * *", "Mars/Olympus")
    with pytest.raises(InvalidCronError):
        CronRule.parse("nonsense", BERLIN)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 20, 20, 42, 52, tzinfo=timezone(timedelta(hours=-5))), "sched-s-2026-11-20T20:42:52-05:00"),
        (datetime(2026, 11, 21, 7, 19, 6, tzinfo=UTC), "sched-s-2026-11-21T07:19:06+00:00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo(BERLIN), fold=1), "sched-s-2026-10-25T02:30:00+01:00"),
    ],
)
def test_a_run_is_named_after_its_schedule_and_its_moment(moment: datetime, expected: str) -> None:
    assert schedule_workflow_id("s", moment) == expected


TEXTS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 0 * * 0",
        "15 */3 * * *",
        "0 */2 * * *",
        "5,35 1-3 * * *",
        "*/20 * * * * *",
    ]
)
ZONES = st.sampled_from([None, "UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Beirut"])
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=60, deadline=None)
@given(TEXTS, ZONES, MOMENTS)
def test_the_next_moment_is_always_later(text: str, zone: str | None, moment: datetime) -> None:
    following = CronRule.parse(text, zone).next_after(moment)
    assert following > moment
    assert following.microsecond == 0
    assert following.utcoffset() == following.astimezone(parse_time_zone(zone)).utcoffset()


@settings(max_examples=40, deadline=None)
@given(TEXTS, ZONES, MOMENTS, st.integers(0, 6 * 3600), st.integers(0, 6 * 3600))
def test_stretches_that_share_a_border_find_every_moment_once(
    text: str, zone: str | None, start: datetime, first: int, second: int
) -> None:
    rule = CronRule.parse(text, zone)
    border, end = start + timedelta(seconds=first), start + timedelta(seconds=first + second)
    whole = rule.due_between(start, end, 10_000)
    assert rule.due_between(start, border, 10_000) + rule.due_between(border, end, 10_000) == whole
    assert all(start < moment <= end for moment in whole)
    assert all(earlier.astimezone(UTC) < later.astimezone(UTC) for earlier, later in pairwise(whole))


@settings(max_examples=40, deadline=None)
@given(TEXTS, ZONES, MOMENTS)
def test_asking_step_by_step_gives_what_asking_at_once_gives(text: str, zone: str | None, start: datetime) -> None:
    rule = CronRule.parse(text, zone)
    steps, moment = [], start
    for _ in range(8):
        moment = rule.next_after(moment)
        steps.append(moment.isoformat())
    assert [moment.isoformat() for moment in rule.upcoming(start, 8)] == steps
