"""Wait for a workflow's result: its end is announced in the process and between processes; polling is the net."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from dbos._error import DBOSAwaitedWorkflowCancelledError, DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded
from dbos.core.outcome import Outcome
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.plan import Await, Plan, Read
from dbos.serialization.decoding import UndecodableError, decode_error, decode_value
from dbos.store.rows import RecordedResult
from dbos.store.workflows import load_result


class Waiter:
    """One who waits for news; `armed` is done once there is some."""

    def __init__(self) -> None:
        self.armed: Future[None] = Future()

    def ring(self) -> None:
        """Tell the news."""
        if not self.armed.done():
            self.armed.set_result(None)

    def rearm(self) -> None:
        """Wait for further news; call it before looking, so that none is missed.

        The future is new each time: whoever waited for the old one on a loop left something on it.
        """
        self.armed = Future()


class Signals:
    """Who waits for which workflow. Thread-safe."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[Waiter]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def waiter(self, workflow_id: str) -> Iterator[Waiter]:
        """A waiter for the end of a workflow, registered while the block runs."""
        waiter = Waiter()
        with self._lock:
            self._waiters.setdefault(workflow_id, []).append(waiter)
        try:
            yield waiter
        finally:
            with self._lock:
                waiters = self._waiters[workflow_id]
                waiters.remove(waiter)
                if not waiters:
                    del self._waiters[workflow_id]

    def ring(self, workflow_id: str) -> None:
        """Wake whoever waits for a workflow."""
        if workflow_id not in self._waiters:
            return
        with self._lock:
            for waiter in self._waiters.get(workflow_id, ()):
                waiter.ring()

    def ring_all(self) -> None:
        """Wake everybody: something was missed, or everything ends."""
        with self._lock:
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.ring()


def await_outcome(signals: Signals, workflow_id: str, *, poll_seconds: float) -> Plan[Outcome]:
    """Wait until a workflow ended; what it gave. A workflow that does not exist yet is waited for too."""
    with signals.waiter(workflow_id) as waiter:
        while True:
            waiter.rearm()
            result: RecordedResult | None = yield Read(lambda: load_result(workflow_id))
            if result is not None:
                outcome = recorded_outcome(workflow_id, result)
                if outcome is not None:
                    return outcome
            yield Await(waiter.armed, poll_seconds)


def recorded_outcome(workflow_id: str, result: RecordedResult) -> Outcome | None:
    """What a recorded result means to whoever awaits it; None while it is active, or in a state unknown here."""
    match result.status:
        case WorkflowStatusString.SUCCESS:
            return _value(workflow_id, result)
        case WorkflowStatusString.ERROR:
            return Outcome(error=_exception(workflow_id, result))
        case WorkflowStatusString.CANCELLED:
            return Outcome(error=DBOSAwaitedWorkflowCancelledError(workflow_id))
        case WorkflowStatusString.MAX_RECOVERY_ATTEMPTS_EXCEEDED:
            return Outcome(error=DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded(workflow_id))
        case _:
            return None


def _value(workflow_id: str, result: RecordedResult) -> Outcome:
    try:
        return Outcome(decode_value(result.output, result.serialization))
    except UndecodableError as error:
        return Outcome(error=UndecodableError(f"workflow {workflow_id} succeeded; its result cannot be read: {error}"))


def _exception(workflow_id: str, result: RecordedResult) -> Exception:
    try:
        error = decode_error(result.error or "", result.serialization)
    except UndecodableError as unread:
        return UndecodableError(f"workflow {workflow_id} failed with {result.error!r}, which cannot be read: {unread}")
    return error if isinstance(error, Exception) else Exception(f"{type(error).__name__}: {error}")
