"""A launched application whose time a test moves."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from dbos._error import DBOSException
from dbos._sys_db import WorkflowStatus
from dbos.api.app import DBOS
from dbos.api.runtime import process
from dbos.config.keys import DBOSConfig
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.clock import MACHINE, use_clock
from dbos.engine.engine import Engine
from dbos.store.moments import load_next_moment
from dbos.testing.clock import ManualClock
from dbos.testing.databases import sqlite_url

R_co = TypeVar("R_co", covariant=True)

REST_SECONDS = 30.0
"""How long workflows may take, in real time, to come to rest."""
LOOK_SECONDS = 0.002
TOLERANCE = 0.0005
"""Seconds that the sum of several times may be off."""
ENDING_SECONDS = 5.0
_ACTIVE = {WorkflowStatusString.ENQUEUED, WorkflowStatusString.DELAYED, WorkflowStatusString.PENDING}


class Handle(Protocol[R_co]):
    """A handle as DBOS.start_workflow and queues give it."""

    def get_status(self) -> WorkflowStatus:
        """The status now."""
        ...

    def get_result(self) -> R_co:
        """The result."""
        ...


class Named(Protocol):
    """Anything that knows the ID of a workflow."""

    @property
    def workflow_id(self) -> str:
        """The workflow's ID."""
        ...


class Environment:
    """A launched application. Its clock stands still until the test moves it; everything else is real.

    Durable sleeps, time limits of waiting, delays, deadlines and schedules go by this clock. The back-off of steps,
    `timeout_seconds` of steps, rate limits of queues and what user code does itself take real time.
    """

    def __init__(self, clock: ManualClock, url: str) -> None:
        self._clock = clock
        self.database_url = url
        """The URL of the system database."""

    @property
    def now(self) -> datetime:
        """What time it is for the application, in UTC."""
        return datetime.fromtimestamp(self._clock.seconds(), UTC)

    def advance(self, seconds: float | timedelta) -> None:
        """Let time pass: seconds, or a timedelta.

        The clock goes from one event to the next (the end of a sleep, a due schedule, a delay or deadline), and at
        each everything comes to rest before it goes on; so a workflow that sleeps twice wakes twice, and a schedule
        fires once for each of its moments. Raises ValueError for a negative time, and TimeoutError as `settle`.
        """
        passing = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
        if passing < 0:
            raise ValueError(f"advance: expected 0 seconds or more, got {passing}")
        target = self._clock.seconds() + passing
        while self._step(target):
            pass
        self._go_to(target)
        self.settle()

    async def advance_async(self, seconds: float | timedelta) -> None:
        """As advance, from a coroutine."""
        await asyncio.to_thread(self.advance, seconds)

    def result(self, handle: Handle[R_co]) -> R_co:
        """The result of a workflow, or what it raised: time passes as long as it waits for it.

        Raises DBOSException when it waits for something that time does not bring.
        """
        while True:
            self.settle()
            status = handle.get_status()
            if status.status not in _ACTIVE:
                return handle.get_result()
            if not self._step(None):
                raise DBOSException(
                    f"Workflow {status.workflow_id} is {status.status} and nothing is due: it waits for a message, an "
                    "event, a queue that is not served, or code that runs outside of workflows"
                )

    async def result_async(self, handle: Named) -> Any:
        """As result, from a coroutine, for handles of either kind."""
        workflow_id = handle.workflow_id
        return await asyncio.to_thread(lambda: self.result(DBOS.retrieve_workflow(workflow_id)))

    def settle(self) -> None:
        """Return when nothing can go on without news or time: each workflow has ended or waits.

        Raises TimeoutError when that takes more than 30 seconds of real time.
        """
        engine, until = self._engine, time.monotonic() + REST_SECONDS
        engine.scheduler.catch_up()
        engine.queues.refresh()
        while not self._rests(engine):
            if time.monotonic() > until:
                raise TimeoutError(f"Workflows did not come to rest within {REST_SECONDS:g} s: one of them still runs")
            time.sleep(LOOK_SECONDS)

    @property
    def _engine(self) -> Engine:
        application = process.application
        if application is None or application.engine is None:
            raise DBOSException("The application of this test was destroyed: it ends with the fixture or the block")
        return application.engine

    def _rests(self, engine: Engine) -> bool:
        # Twice: what is handed over between a queue, a thread and the writer is nowhere for an instant.
        return all(
            engine.queues.resting
            and not engine.queues.claiming
            and engine.executor.active <= self._clock.begun
            and self._clock.quiet
            for _ in range(2)
        )

    def _step(self, target: float | None) -> bool:
        """Go to the next event, at most until a time; whether there was one."""
        self.settle()
        moment = self._next_moment()
        if moment is None or (target is not None and moment > target + TOLERANCE):
            return False
        self._go_to(moment)
        return True

    def _next_moment(self) -> float | None:
        engine, now = self._engine, self._clock.seconds()
        application = engine.services.claimant.application
        after = self._clock.milliseconds()
        row = engine.services.database.run(lambda: load_next_moment(application, after_ms=after))
        due = engine.scheduler.seconds_until_next()
        moments = [self._clock.next_moment(), None if row is None else row / 1000, None if due is None else now + due]
        return min((moment for moment in moments if moment is not None), default=None)

    def _go_to(self, moment: float) -> None:
        self._clock.move(moment)
        self._engine.scheduler.catch_up()
        self._engine.queues.refresh()  # delays and deadlines


@contextmanager
def launched(
    config: DBOSConfig | None = None, *, database_url: str | None = None, now: datetime | None = None
) -> Iterator[Environment]:
    """Launch the application for the block, on a database of its own, with a clock that the block moves.

    What was decorated and declared stays registered; a configuration that the application made before is put
    aside, and what `config` leaves out is that of tests: the application's name, no servers. Without
    `database_url` the system database is a SQLite file that goes with the block. The clock begins at `now`
    (default: the present second).

    Raises DBOSException when an application is launched already.
    """
    before, instance = process.application, DBOS._instance
    if before is not None and before.engine is not None:
        raise DBOSException("DBOS is launched already: call DBOS.destroy() before a test launches it")
    threads = set(threading.enumerate())
    begin = datetime.now(UTC) if now is None else now.astimezone(UTC)
    clock = ManualClock(float(int(begin.timestamp())))
    with ExitStack() as stack:
        if database_url is None:
            database_url = sqlite_url(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dbos-"))))
        defaults = {
            "name": "tests" if before is None else before.settings.name,
            "application_version": "tests",
            "executor_id": "tests",
            "run_admin_server": False,
            "log_level": "WARNING",
            "system_database_url": database_url,
        }
        process.application, DBOS._instance = None, None
        use_clock(clock)
        try:
            DBOS(config=cast("DBOSConfig", {**defaults, **cast("dict[str, Any]", config or {})}))
            DBOS.launch()
            yield Environment(clock, database_url)
        finally:
            DBOS.destroy()
            use_clock(MACHINE)
            process.application, DBOS._instance = before, instance
            _join(threads)


def _join(before: set[threading.Thread]) -> None:
    """Wait for the threads of the application; say which of them go on."""
    until = time.monotonic() + ENDING_SECONDS
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("dbos-")]
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))
    alive = sorted(thread.name for thread in left if thread.is_alive())
    if alive:
        warnings.warn(f"The test left code of workflows running: {', '.join(alive)}", ResourceWarning, stacklevel=4)
