"""Portable arguments: text becomes a time where the function asks for one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from dbos.serialization.arguments import restore_times

DAY, NOON = date(2026, 1, 31), datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def asks(
    day: date, when: datetime, text: str, perhaps: datetime | None = None, *more: datetime, at: date = DAY, **rest: date
) -> None:
    """One parameter of each kind."""


@pytest.mark.parametrize(
    ("args", "restored"),
    [
        (("2026-01-31", "2026-01-31T12:00:00.000Z"), (DAY, NOON)),
        (("2026-01-31T12:00:00Z", "2026-01-31"), (DAY, datetime(2026, 1, 31))),  # noqa: DTZ001 -- naive, as written
        (("20260131", "20260131T120000Z"), (DAY, NOON)),
        (
            ("2026-01-31", "2026-01-31T12:00:00+02:00"),
            (DAY, datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))),
        ),
        (("soon", "later"), ("soon", "later")),
        ((5, None), (5, None)),
        (("2026-01-31", "x", "2026-01-31", "2026-01-31"), (DAY, "x", "2026-01-31", "2026-01-31")),
        (("x", "x", "x", None, "2026-01-31T12:00:00Z", "x"), ("x", "x", "x", None, NOON, "x")),
    ],
)
def test_text_in_the_place_of_a_time_becomes_one(args: tuple[Any, ...], restored: tuple[Any, ...]) -> None:
    assert restore_times(asks, args, {}) == (restored, {})


def test_named_arguments_are_restored_by_their_parameter() -> None:
    named = {"at": "2026-01-31", "text": "2026-01-31", "when": "2026-01-31T12:00:00Z", "other": "2026-01-31"}
    assert restore_times(asks, (), named) == ((), {**named, "at": DAY, "when": NOON})


def unresolved(when: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """An annotation that names nothing."""


@pytest.mark.parametrize("function", [unresolved, lambda when: when, print, functools.partial(asks, DAY)])
def test_a_function_that_cannot_be_read_gets_its_arguments_as_they_are(function: Callable[..., Any]) -> None:
    assert restore_times(function, ("2026-01-31",), {"x": 1}) == (("2026-01-31",), {"x": 1})


def test_more_arguments_than_parameters_are_kept() -> None:
    def one(when: datetime) -> None:
        """One parameter."""

    assert restore_times(one, ("2026-01-31T12:00:00Z", "2026-01-31"), {}) == ((NOON, "2026-01-31"), {})
