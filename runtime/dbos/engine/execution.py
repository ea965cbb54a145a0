"""One execution of one workflow, from its first line to its recorded outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from dbos._error import DBOSBaseException, DBOSNotAuthorizedError
from dbos.core.outcome import Outcome
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.authorization import authorize
from dbos.engine.clock import clock
from dbos.engine.context import (
    Execution,
    authenticated,
    current_execution,
    current_step,
    enqueue_settings,
    pending_id,
    request_user,
    workflow_attributes,
    workflow_timeout,
)
from dbos.engine.forgetting import forget_checkpoints
from dbos.engine.plan import Invoke, Plan, Read, Write
from dbos.engine.registry import Call
from dbos.engine.services import Services
from dbos.engine.spans import workflow_span
from dbos.engine.tracing import trace_carrier
from dbos.engine.waiting import await_outcome
from dbos.serialization.encoding import encode_value
from dbos.serialization.failures import encode_failure
from dbos.store.dialects.errors import is_conflict, is_connection_lost
from dbos.store.operation import DatabaseClosedError
from dbos.store.rows import OutcomeRecord
from dbos.store.steps import load_steps
from dbos.telemetry import WorkflowEnded, WorkflowLeft, WorkflowStarted

logger = logging.getLogger("dbos")

MAX_REFUSAL_CHARACTERS = 2000


def execute(services: Services, call: Call, execution: Execution, *, contain: bool = False) -> Plan[Outcome]:
    """Run a workflow and record how it ended; what it gave. `contain` as for Invoke.

    An execution that lost its workflow (cancelled, resumed or recovered meanwhile) records nothing: it
    waits for the outcome that whoever owns the workflow records. Of a workflow that was deleted meanwhile
    the outcome is DBOSNonExistentWorkflowError.
    """
    try:
        record, outcome = yield from run_function(services, call, execution, contain=contain)
        if record is not None:
            try:
                written = yield Write(record)
            except Exception as error:
                if not is_refused(error):
                    raise
                record, outcome = unstorable(execution, error)
                written = yield Write(record)
            if written:
                note_end(services, execution, record, outcome)
                return outcome
    finally:
        services.telemetry.emit(WorkflowLeft())
    return (yield from await_outcome(services.signals, execution.workflow_id, poll_seconds=1.0, existed=True))


def run_function(
    services: Services, call: Call, execution: Execution, *, contain: bool = False
) -> Plan[tuple[OutcomeRecord | None, Outcome]]:
    """Run a workflow's function; the record of how it ended, not yet written, and what it says.

    No record when the execution lost its workflow. A result that cannot be stored makes it an error.
    """
    try:
        role = authorize(call.workflow.name, call.required_roles, execution.authentication)
    except DBOSNotAuthorizedError as error:
        return outcome_record(execution, Outcome(error=error)), Outcome(error=error)
    user = execution.authentication
    with (
        clock().running(execution, current_execution.get()),
        _execution_scope(execution),
        authenticated(user if role is None else replace(user, assumed_role=role)),
    ):
        try:
            with workflow_span(services, execution) as span:
                outcome: Outcome = yield Invoke(call.workflow.function, call.received, call.kwargs, contain)
                span.ended(outcome.error)
        except DBOSBaseException as signal:
            logger.info("This execution of a workflow stops: %s", signal, extra={"workflow_id": execution.workflow_id})
            return None, Outcome()
    try:
        return outcome_record(execution, outcome), outcome
    except Exception as failure:  # noqa: BLE001 -- user classes raise anything when pickled
        outcome = Outcome(error=failure)
    return outcome_record(execution, outcome), outcome


def note_start(services: Services, execution: Execution, *, waited_seconds: float | None = None) -> None:
    """Tell observers that an execution begins; from now on it hears of news of its workflow."""
    services.signals.watch(execution.workflow_id, execution)
    services.telemetry.emit(WorkflowStarted(execution.name, execution.queue_name or "", waited_seconds))


def note_end(services: Services, execution: Execution, record: OutcomeRecord, outcome: Outcome) -> None:
    """Tell observers and whoever waits that an execution ended, after its record's commit."""
    error = None if outcome.error is None else type(outcome.error).__name__
    seconds = time.monotonic() - execution.started
    services.telemetry.emit(WorkflowEnded(execution.name, execution.queue_name or "", record.status, seconds, error))
    services.signals.ring(execution.workflow_id)
    services.writer.announce(workflow=execution.workflow_id)
    forget_checkpoints(execution)


def load_checkpoints(execution: Execution) -> Plan[None]:
    """Give an execution the steps that a former one recorded."""
    execution.checkpoints = yield Read(lambda: load_steps(execution.workflow_id))


def outcome_record(execution: Execution, outcome: Outcome) -> OutcomeRecord:
    """The record of an outcome. A value that cannot be stored raises whatever encoding it raises."""
    error = outcome.error
    return OutcomeRecord(
        workflow_id=execution.workflow_id,
        owner=execution.owner,
        status=WorkflowStatusString.SUCCESS if error is None else WorkflowStatusString.ERROR,
        output=encode_value(outcome.value, execution.serialization) if error is None else None,
        error=None if error is None else encode_failure(error, execution.serialization),
    )


def is_refused(error: BaseException) -> bool:
    """Whether the database refuses a record, and will each time: it is too large, or a rule forbids it."""
    return not isinstance(error, DatabaseClosedError) and not is_conflict(error) and not is_connection_lost(error)


def unstorable(execution: Execution, refusal: BaseException) -> tuple[OutcomeRecord, Outcome]:
    """The end of a workflow whose outcome the database refuses: an ERROR that says so, instead of no end."""
    logger.error(
        "The outcome of a workflow could not be stored", exc_info=refusal, extra={"workflow_id": execution.workflow_id}
    )
    text = f"The outcome could not be stored: {type(refusal).__name__}: {refusal}"
    outcome = Outcome(error=RuntimeError(text[:MAX_REFUSAL_CHARACTERS]))
    return outcome_record(execution, outcome), outcome


_CALLERS: Final[tuple[ContextVar[Any], ...]] = (
    current_step,
    pending_id,
    enqueue_settings,
    workflow_timeout,
    workflow_attributes,
    trace_carrier,
    request_user,
)
"""What the context of a call says, and its workflow does not hear."""


@contextmanager
def _execution_scope(execution: Execution) -> Generator[None]:
    outer_execution = current_execution.set(execution)
    # On a thread of ours none is set, and setting them all takes as long as the rest of a short workflow.
    outer = [(variable, variable.set(None)) for variable in _CALLERS if variable.get() is not None]
    try:
        yield
    finally:
        current_execution.reset(outer_execution)
        for variable, token in outer:
            variable.reset(token)
