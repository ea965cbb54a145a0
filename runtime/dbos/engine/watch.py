"""Notices that waiting workflows were cancelled or taken over: one statement a second for all of them together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbos.core.ids import WorkflowId
from dbos.engine.context import Execution
from dbos.engine.waiting import Signals, Waiter
from dbos.store.database import SystemDatabase
from dbos.store.operation import DatabaseClosedError
from dbos.store.steps import load_owners

logger = logging.getLogger("dbos")

LOOK_SECONDS = 1.0
"""How often it looks while somebody waits; at once when something is told of a workflow that waits."""
MOST_IDS = 1000
"""How many workflows one statement asks for."""


class Guarded:
    """A workflow that waits.

    `taken`: it is no longer this execution's, and `status` is what became of it. `stopped`: the process stops.
    """

    __slots__ = ("_hurry", "_waiter", "execution", "since", "status", "stopped", "taken")

    def __init__(self, execution: Execution, waiter: Waiter, hurry: Callable[[], None]) -> None:
        self.execution = execution
        self.since = time.monotonic()
        self.taken = self.stopped = False
        self.status: str | None = None
        self._waiter = waiter
        self._hurry = hurry

    def ring(self) -> None:
        """Something is told of the workflow: perhaps it was cancelled."""
        self._hurry()

    def take(self, status: str | None) -> None:
        """Wake the workflow: it is no longer this execution's."""
        self.status, self.taken = status, True
        self._waiter.ring()

    def stop(self) -> None:
        """Wake the workflow: this process runs it no further."""
        self.stopped = True
        self._waiter.ring()


class OwnershipWatch:
    """Looks after the workflows of this process that wait. Its thread starts with the first."""

    def __init__(self, database: SystemDatabase, signals: Signals) -> None:
        self._database = database
        self._signals = signals
        self._guarded: set[Guarded] = set()
        self._wake = threading.Condition(threading.Lock())
        self._hurried = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def guard(self, execution: Execution, waiter: Waiter) -> Iterator[Guarded]:
        """Wake the waiter, while the block runs, when the execution no longer owns its workflow."""
        guarded = Guarded(execution, waiter, self._hurry)
        with self._wake:
            guarded.stopped = self._stopping
            self._guarded.add(guarded)
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="dbos-ownership-watch", daemon=True)
                self._thread.start()
            if len(self._guarded) == 1:
                self._wake.notify()
        try:
            with self._signals.hearing(guarded, execution.workflow_id):
                yield guarded
        finally:
            with self._wake:
                self._guarded.discard(guarded)

    def stop(self) -> None:
        """End every wait, and look no more; does not wait for the thread, which ends by itself."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
            guarded = list(self._guarded)
        for waiting in guarded:
            waiting.stop()

    def _hurry(self) -> None:
        with self._wake:
            self._hurried = True
            self._wake.notify()

    def _run(self) -> None:
        while (waiting := self._wait()) is not None:
            try:
                for start in range(0, len(waiting), MOST_IDS):
                    self._look(waiting[start : start + MOST_IDS])
            except DatabaseClosedError:
                return
            except Exception:  # the thread's boundary: it looks again in a second
                logger.warning("Whether waiting workflows were cancelled could not be read", exc_info=True)

    def _wait(self) -> list[Guarded] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._guarded or self._stopping)
            self._wake.wait_for(lambda: self._hurried or self._stopping, timeout=LOOK_SECONDS)
            if self._stopping:
                return None
            # Who has just begun to wait was looked at when its last step was recorded.
            latest = time.monotonic() - (0.0 if self._hurried else LOOK_SECONDS / 2)
            self._hurried = False
            return [guarded for guarded in self._guarded if guarded.since <= latest]

    def _look(self, waiting: list[Guarded]) -> None:
        ids = sorted({guarded.execution.workflow_id for guarded in waiting})
        owners = self._database.run(lambda: load_owners([WorkflowId(workflow_id) for workflow_id in ids]))
        for guarded in waiting:
            status, owner = owners.get(guarded.execution.workflow_id, (None, None))
            if owner != guarded.execution.owner:
                guarded.take(status)
