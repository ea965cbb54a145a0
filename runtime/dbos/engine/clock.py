"""The clock of this process. It is that of the machine; `dbos.testing` puts one in its place that a test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

_NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Somebody who waits: until a moment (in epoch seconds; None: for news alone), or until news are there."""

    who: object
    """The execution that waits; None outside of workflows."""
    moment: float | None
    news: Future[Any]
    """Done when there are news; then it is about to go on."""
    wake: Callable[[], None]


class Clock:
    """The clock of this machine."""

    runs = True
    """Whether time passes by itself."""

    def seconds(self) -> float:
        """The time in epoch seconds."""
        return time.time()

    def milliseconds(self) -> int:
        """The time in epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def running(self, _who: object, _caller: object) -> AbstractContextManager[None]:
        """For as long as an execution runs, called directly by another one or not."""
        return _NOTHING

    def waiting(self, _waiting: Waiting) -> AbstractContextManager[None]:
        """For as long as somebody waits."""
        return _NOTHING


MACHINE = Clock()
_clock: Clock = MACHINE


def clock() -> Clock:
    """The clock that everything in this process goes by."""
    return _clock


def use_clock(chosen: Clock) -> None:
    """Let everything go by another clock, from its next look on. Not while an application is launched."""
    global _clock  # noqa: PLW0603 -- a process has one time, as it has one application
    _clock = chosen


def epoch_seconds() -> float:
    """The time in epoch seconds."""
    return _clock.seconds()
