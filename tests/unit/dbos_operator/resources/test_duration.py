"""Durations in resources."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbos_operator.resources.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("720h", timedelta(days=30)),
        ("90m", timedelta(hours=1, minutes=30)),
        ("1h2m3s4ms", timedelta(hours=1, minutes=2, seconds=3, milliseconds=4)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_read_by_its_units(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        "1.5h",
        "1d",
        "5 s",
        " 5s",
        "5s\n",
        "30s1m",
        "1m1m",
        "1H",
        "\u0661s",
        "1us",
        "1234567h",
    ],
)
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="500ms, 30s or 1h30m") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=1), "24h"),
        (timedelta(microseconds=1500), "1ms"),
        (timedelta(hours=1, milliseconds=1), "1h1ms"),
    ],
)
def test_a_duration_is_written_as_shortly_as_it_can_be_read(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_as_the_same_time(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration
