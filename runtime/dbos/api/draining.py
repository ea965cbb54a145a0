"""Work until nothing is left, for jobs and batch processes."""

from __future__ import annotations

import asyncio
import time

from dbos.api.runtime import engine, refuse_event_loop
from dbos.engine.places import check_patience

LOOK_SECONDS = 0.1


class Draining:
    """The part of DBOS that waits until the work is done."""

    @classmethod
    def run_until_drained(cls, *, timeout_seconds: float | None = None) -> bool:
        """Serve queues until nothing runs here and nothing waits that this process may run; whether that came in time.

        Work that workflows enqueue meanwhile is done too. Not waited for: delays that are not over, other
        versions, functions that are not here, and what other processes run. DBOS goes on serving afterwards;
        call DBOS.destroy() to end. Raises DBOSException before launch.
        """
        refuse_event_loop("DBOS.run_until_drained")
        running = engine()
        until = _end(timeout_seconds)
        while not running.drained():
            if until is not None and time.monotonic() >= until:
                return False
            running.executor.drain(LOOK_SECONDS)
            time.sleep(0 if running.executor.active else LOOK_SECONDS)
        return True

    @classmethod
    async def run_until_drained_async(cls, *, timeout_seconds: float | None = None) -> bool:
        """As run_until_drained."""
        running = engine()
        until = _end(timeout_seconds)
        while not await running.services.database.in_background(running.drained):
            if until is not None and time.monotonic() >= until:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True


def _end(timeout_seconds: float | None) -> float | None:
    if timeout_seconds is None:
        return None
    return time.monotonic() + check_patience(timeout_seconds, subject="timeout_seconds")
