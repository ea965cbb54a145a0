"""A clock that stands still until it is moved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dbos.engine.clock import Clock, Waiting


class ManualClock(Clock):
    """Knows who runs and who waits until when, so that it can be moved from one moment to the next."""

    runs = False

    def __init__(self, start: float) -> None:
        """It begins at `start`, in epoch seconds."""
        self._now = start
        self._lock = threading.Lock()
        self._running: dict[object, object] = {}
        """What runs, and the execution that called it directly, which waits for its return."""
        self._waiting: set[Waiting] = set()

    def seconds(self) -> float:
        """As Clock."""
        return self._now

    def milliseconds(self) -> int:
        """As Clock."""
        return round(self._now * 1000)

    @contextmanager
    def running(self, who: object, caller: object) -> Iterator[None]:
        """As Clock."""
        with self._lock:
            self._running[who] = caller
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(who, None)

    @contextmanager
    def waiting(self, waiting: Waiting) -> Iterator[None]:
        """As Clock."""
        with self._lock:
            self._waiting.add(waiting)
            over = self._is_over(waiting)
        if over:
            waiting.wake()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.discard(waiting)

    def move(self, moment: float) -> None:
        """Let it be that time, and wake whoever waits until then. It never goes back."""
        with self._lock:
            self._now = max(self._now, moment)
            over = [waiting for waiting in self._waiting if self._is_over(waiting)]
        for waiting in over:
            waiting.wake()

    def next_moment(self) -> float | None:
        """Until when somebody waits, the first of them; None when nobody waits for a time."""
        with self._lock:
            return min((waiting.moment for waiting in self._waiting if waiting.moment is not None), default=None)

    @property
    def quiet(self) -> bool:
        """Whether every execution waits, and none is about to go on."""
        with self._lock:
            if any(waiting.news.done() for waiting in self._waiting):
                return False
            at_rest = {waiting.who for waiting in self._waiting} | set(self._running.values())
            return self._running.keys() <= at_rest

    @property
    def begun(self) -> int:
        """How many executions run that no other one called."""
        with self._lock:
            return sum(1 for caller in self._running.values() if caller is None)

    def _is_over(self, waiting: Waiting) -> bool:
        return waiting.moment is not None and waiting.moment <= self._now
