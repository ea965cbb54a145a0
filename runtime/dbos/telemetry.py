"""Typed events of the engine. Observers subscribe; the engine does not know who listens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

logger = logging.getLogger("dbos")


@dataclass(frozen=True, slots=True)
class WorkflowStarted:
    """An execution began. `waited_seconds` is None for one that was not on a queue."""

    workflow: str
    queue: str
    waited_seconds: float | None


@dataclass(frozen=True, slots=True)
class WorkflowLeft:
    """An execution that was not on a queue (its WorkflowStarted has no `waited_seconds`) no longer runs here."""


@dataclass(frozen=True, slots=True)
class WorkflowEnded:
    """An execution of this process ended; `error` names the class of the exception that failed it."""

    workflow: str
    queue: str
    status: str
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step ended, whatever the number of its attempts."""

    step: str
    outcome: str
    seconds: float
    retries: int


@dataclass(frozen=True, slots=True)
class WorkflowsRecovered:
    """Workflows that a former process of this executor ID left PENDING are runnable again."""

    count: int


@dataclass(frozen=True, slots=True)
class WorkflowsDeleted:
    """Workflows that ended were deleted, as the retention settings say."""

    count: int


@dataclass(frozen=True, slots=True)
class WorkflowUndispatchable:
    """A claimed workflow could not begin here and was put back or ended in ERROR."""

    workflow: str
    queue: str
    cause: str


@dataclass(frozen=True, slots=True)
class ScheduleFired:
    """This process enqueued a run of a schedule; `late_seconds` after it was due."""

    schedule: str
    late_seconds: float


Event: TypeAlias = (
    WorkflowStarted
    | WorkflowLeft
    | WorkflowEnded
    | StepEnded
    | WorkflowsRecovered
    | WorkflowsDeleted
    | WorkflowUndispatchable
    | ScheduleFired
)
Observer: TypeAlias = Callable[[Event], None]


class Telemetry:
    """Hands each event to every observer."""

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()

    def subscribe(self, observer: Observer) -> None:
        """Have `observer` called with each event, on the thread where it happens."""
        self._observers = (*self._observers, observer)

    def emit(self, event: Event) -> None:
        """Tell the observers. One that fails is logged and harms nobody."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # an observer's fault must not fail a workflow
                logger.exception("A telemetry observer failed")
