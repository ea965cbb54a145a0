"""From where a call is made: a workflow, a step of one, or anywhere else; and what follows for what it stores."""

from __future__ import annotations

from typing import Any

from dbos._error import DBOSException
from dbos._serialization import WorkflowSerializationFormat
from dbos.core.limits import MAX_SECONDS
from dbos.engine.context import Execution, StepScope, current_execution, current_step
from dbos.engine.services import Services
from dbos.serialization.encoding import PORTABLE_JSON, PY_PICKLE, encode_value
from dbos.store.values import Stored

MIN_POLLING_SECONDS = 0.001


def caller(services: Services) -> tuple[Execution | None, StepScope | None]:
    """The workflow and the step that the calling code runs in; a client's calls are made from nowhere."""
    if not services.records_steps:
        return None, None
    return current_execution.get(), current_step.get()


def calling_workflow(services: Services, call: str) -> Execution:
    """The workflow that makes a call. Raises DBOSException elsewhere, in its steps too."""
    execution, step = caller(services)
    if execution is None or step is not None:
        raise DBOSException(f"{call}() must be called from within a workflow")
    return execution


def calling_workflow_or_step(services: Services, call: str) -> tuple[Execution, StepScope | None]:
    """The workflow that makes a call, and its step if the step does. Raises DBOSException elsewhere."""
    execution, step = caller(services)
    if execution is None:
        raise DBOSException(f"{call}() must be called from within a workflow or step")
    return execution, step


def check_format(serialization_type: object) -> WorkflowSerializationFormat:
    """The format that was asked for; None is the default. Raises TypeError for other types."""
    if serialization_type is None:
        return WorkflowSerializationFormat.DEFAULT
    if not isinstance(serialization_type, WorkflowSerializationFormat):
        raise TypeError(
            f"serialization_type: expected a member of WorkflowSerializationFormat, got {serialization_type!r}"
        )
    return serialization_type


def encoded(services: Services, value: Any, serialization_type: WorkflowSerializationFormat) -> Stored:
    """A value to store: as asked for, else in the format of the calling workflow, else in the application's.

    Raises what encode_value raises.
    """
    execution, _ = caller(services)
    match serialization_type:
        case WorkflowSerializationFormat.PORTABLE:
            serialization: str | None = PORTABLE_JSON
        case WorkflowSerializationFormat.NATIVE:
            serialization = PY_PICKLE
        case WorkflowSerializationFormat.DEFAULT:
            serialization = services.serialization if execution is None else execution.serialization
    serialization = serialization or services.serialization
    return Stored(encode_value(value, serialization), serialization)


def check_duration(seconds: object, *, subject: str) -> float:
    """A number of seconds; what is not positive is over at once. Raises TypeError or ValueError naming the subject."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"{subject}: expected a number of seconds, got {seconds!r}")
    if not -MAX_SECONDS <= seconds <= MAX_SECONDS:
        raise ValueError(f"{subject}: expected at most {MAX_SECONDS} seconds, got {seconds}")
    return float(seconds)


def check_patience(seconds: object, *, subject: str) -> float:
    """How long somebody waits at most, in seconds: as check_duration, and a hundred years for whatever is longer."""
    return check_duration(min(seconds, MAX_SECONDS) if isinstance(seconds, float | int) else seconds, subject=subject)


def check_polling(seconds: object) -> float:
    """How long somebody waits until looking again. Raises TypeError or ValueError naming `polling_interval_sec`."""
    return max(check_patience(seconds, subject="polling_interval_sec"), MIN_POLLING_SECONDS)
