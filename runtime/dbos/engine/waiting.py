"""Wait for news of workflows: they are announced in the process and between processes; polling is the net."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from weakref import WeakValueDictionary

from dbos._error import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
    DBOSNonExistentWorkflowError,
)
from dbos.core.outcome import Outcome
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.plan import Await, Plan, Read
from dbos.serialization.decoding import UndecodableError, decode_error, decode_value
from dbos.store.rows import RecordedResult
from dbos.store.workflows import load_result

MAX_ANNOUNCED_BYTES = 8000


class Channel(StrEnum):
    """Where every SDK tells its news; a payload is `<workflow ID>::<topic or key>`."""

    MESSAGES = "dbos_notifications_channel"
    EVENTS = "dbos_workflow_events_channel"
    STREAMS = "dbos_streams_channel"


@dataclass(frozen=True, slots=True)
class Topic:
    """What one waits for: the messages of a topic, an event or a stream of a workflow."""

    channel: Channel
    workflow_id: str
    name: str

    @property
    def payload(self) -> str:
        """What is told between processes."""
        return f"{self.workflow_id}::{self.name}"

    @property
    def announced(self) -> bool:
        """Whether it can be told: PostgreSQL takes short notifications only."""
        return len(self.payload.encode()) < MAX_ANNOUNCED_BYTES

    @property
    def key(self) -> str:
        """What waiters register for."""
        return topic_key(self.channel, self.payload)


def topic_key(channel: str, payload: str) -> str:
    """What waiters for such news register for."""
    return f"{channel} {payload}"


class Hearer(Protocol):
    """Somebody who wants news; `ring` must not block."""

    def ring(self) -> None:
        """Tell the news."""
        ...


class Waiter:
    """One who waits for news; `armed` is done once there is some."""

    def __init__(self) -> None:
        self.armed: Future[None] = Future()

    def ring(self) -> None:
        """Tell the news."""
        with suppress(InvalidStateError):  # rung before, or nobody waits any more
            self.armed.set_result(None)

    def rearm(self) -> None:
        """Wait for further news; call it before looking, so that none is missed.

        The future is new each time: whoever waited for the old one on a loop left something on it.
        """
        self.armed = Future()


class Running(Protocol):
    """An execution that learns that there is news of its workflow."""

    def doubt(self) -> None:
        """Look up who owns the workflow before the next step."""
        ...


class Signals:
    """Who waits for what: the ID of a workflow stands for its end, the key of a Topic for its news. Thread-safe."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[Hearer]] = {}
        self._running: WeakValueDictionary[str, Running] = WeakValueDictionary()
        self._lock = threading.Lock()

    @contextmanager
    def waiter(self, *keys: str) -> Iterator[Waiter]:
        """A waiter for any of these news, registered while the block runs."""
        waiter = Waiter()
        with self.hearing(waiter, *keys):
            yield waiter

    @contextmanager
    def hearing(self, hearer: Hearer, *keys: str) -> Iterator[None]:
        """Let somebody hear these news while the block runs."""
        with self._lock:
            for key in keys:
                self._waiters.setdefault(key, []).append(hearer)
        try:
            yield
        finally:
            with self._lock:
                for key in keys:
                    waiters = self._waiters[key]
                    waiters.remove(hearer)
                    if not waiters:
                        del self._waiters[key]

    def watch(self, workflow_id: str, execution: Running) -> None:
        """Tell an execution about news of its workflow, for as long as it exists."""
        self._running[workflow_id] = execution

    def ring(self, key: str) -> None:
        """Wake whoever waits for this; who runs a workflow of this ID looks whether it still may."""
        execution = self._running.get(key)
        if execution is not None:
            execution.doubt()
        if key not in self._waiters:
            return
        with self._lock:
            for waiter in self._waiters.get(key, ()):
                waiter.ring()

    def ring_topic(self, channel: str, payload: str) -> None:
        """Wake whoever waits for news of a channel."""
        self.ring(topic_key(channel, payload))

    def ring_all(self) -> None:
        """Wake everybody: something was missed, or everything ends."""
        for execution in list(self._running.values()):
            execution.doubt()
        with self._lock:
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.ring()


def await_outcome(signals: Signals, workflow_id: str, *, poll_seconds: float, existed: bool = False) -> Plan[Outcome]:
    """Wait until a workflow ended; what it gave.

    A workflow that does not exist yet is waited for too. One that `existed` and is not there was deleted: its
    outcome is DBOSNonExistentWorkflowError.
    """
    with signals.waiter(workflow_id) as waiter:
        while True:
            waiter.rearm()
            outcome = yield from look_for_outcome(workflow_id, existed=existed)
            if outcome is not None:
                return outcome
            yield Await(waiter.armed, poll_seconds)


def look_for_outcome(workflow_id: str, *, existed: bool = False) -> Plan[Outcome | None]:
    """What a workflow gave; None while it has not ended. `existed` as for await_outcome."""
    result: RecordedResult | None = yield Read(lambda: load_result(workflow_id), polls=True)
    if result is None:
        return Outcome(error=DBOSNonExistentWorkflowError("awaited", workflow_id)) if existed else None
    return recorded_outcome(workflow_id, result)


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
