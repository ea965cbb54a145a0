"""Wait for what another process does, up to a deadline, and say what was there instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

_PAUSE_SECONDS = 0.1


def eventually(
    read: Callable[[], Value],
    holds: Callable[[Value], object],
    *,
    within: float = 30.0,
    what: str = "the expected state",
    explain: Callable[[], str] = lambda: "",
) -> Value:
    """The first value that holds. At the deadline an AssertionError tells the last one, and what `explain` adds."""
    deadline = time.monotonic() + within
    while True:
        value = read()
        if holds(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {within:g} s; the last was {value!r}\n{explain()}")
        time.sleep(_PAUSE_SECONDS)
