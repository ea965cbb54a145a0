"""One step: replay, run, retry, checkpoint."""

from __future__ import annotations

import inspect
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dbos._error import (
    DBOSException,
    DBOSMaxStepRetriesExceeded,
    DBOSStepNondeterminismError,
    DBOSUnexpectedStepError,
)
from dbos.core.outcome import Outcome
from dbos.engine.context import Execution, StepScope, current_step, lost_ownership
from dbos.engine.limited_steps import limited
from dbos.engine.plan import Invoke, Plan, Read, Wait, Write
from dbos.engine.registry import StepFunction
from dbos.engine.services import Services, epoch_ms
from dbos.engine.spans import step_span
from dbos.engine.tracing import Recording
from dbos.serialization.decoding import decode_error, decode_value
from dbos.serialization.encoding import encode_value
from dbos.serialization.failures import encode_failure
from dbos.store.operation import Operation, Statement
from dbos.store.records import StepAnswer
from dbos.store.rows import Checkpoint, StepRecord
from dbos.store.steps import load_step
from dbos.telemetry import StepEnded

STATUS_TTL_SECONDS = 0.1
"""How long the answer of the last checkpoint tells whether the workflow is still ours to run."""


def run_step(
    services: Services,
    execution: Execution,
    step: StepFunction,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    function_id: int | None = None,
) -> Plan[Outcome]:
    """Run a step until it succeeds or its retries are spent; its ID is the next one unless it was drawn before.

    A step with a checkpoint is replayed without calling user code. The outcome, success or failure, is
    checkpointed before the workflow sees it. At least once: a process that dies between the two runs it again.
    """
    function_id = function_id or execution.next_function_id()
    replayed = replay(execution, function_id, step.name)
    if replayed is not None:
        return replayed
    yield from ensure_owned(execution)
    function = limited(services, execution, step)
    started_ms, started = epoch_ms(), time.monotonic()
    with step_span(services, execution, step.name) as span:
        outcome, attempts = yield from _attempt(execution, step, function_id, Invoke(function, args, kwargs), span)
        span.ended(outcome.error)
    operated = Operated(function_id, step.name, started_ms)
    try:
        record = checkpoint_record(services, execution, operated, outcome)
    except Exception as failure:  # noqa: BLE001 -- user classes raise anything when pickled
        outcome = Outcome(error=failure)
        record = checkpoint_record(services, execution, operated, outcome)
    yield from record_checkpoint(execution, record)
    result = "success" if outcome.error is None else "error"
    services.telemetry.emit(StepEnded(step.name, result, time.monotonic() - started, attempts - 1))
    return outcome


def replay(execution: Execution, function_id: int, name: str) -> Outcome | None:
    """The recorded outcome of an operation; None when it has none yet.

    Raises DBOSUnexpectedStepError when another operation is recorded in its place.
    """
    checkpoint = execution.checkpoints.get(function_id)
    if checkpoint is None:
        return None
    if checkpoint.function_name != name:
        raise DBOSUnexpectedStepError(execution.workflow_id, function_id, name, checkpoint.function_name)
    return recorded_outcome(checkpoint)


def recorded_outcome(checkpoint: Checkpoint) -> Outcome:
    """What a checkpoint says."""
    if checkpoint.error is not None:
        error = decode_error(checkpoint.error, checkpoint.serialization)
        return Outcome(error=error if isinstance(error, Exception) else Exception(str(error)))
    if checkpoint.output is None:  # an operation without a result
        return Outcome()
    return Outcome(decode_value(checkpoint.output, checkpoint.serialization))


@dataclass(frozen=True, slots=True)
class Operated:
    """An operation of a workflow that is about to be recorded."""

    function_id: int
    name: str
    started_at_ms: int
    child_workflow_id: str | None = None


def checkpoint_record(services: Services, execution: Execution, operated: Operated, outcome: Outcome) -> StepRecord:
    """The row of an operation. An output that cannot be stored raises whatever encoding it raises."""
    serialization = services.serialization
    return StepRecord(
        workflow_id=execution.workflow_id,
        owner=execution.owner,
        function_id=operated.function_id,
        function_name=operated.name,
        output=None if outcome.error is not None else encode_value(outcome.value, serialization),
        error=None if outcome.error is None else encode_failure(outcome.error, serialization),
        serialization=serialization,
        started_at_ms=operated.started_at_ms,
        completed_at_ms=epoch_ms(),
        application_name=services.claimant.application,
        child_workflow_id=operated.child_workflow_id,
    )


def new_step(
    services: Services, execution: Execution, name: str, function_id: int, *, completed_at_ms: int = 0
) -> StepRecord:
    """The row of an operation that begins now, without a result."""
    return StepRecord(
        workflow_id=execution.workflow_id,
        owner=execution.owner,
        function_id=function_id,
        function_name=name,
        output=None,
        error=None,
        serialization=None,
        started_at_ms=epoch_ms(),
        completed_at_ms=completed_at_ms,
        application_name=services.claimant.application,
    )


def record_checkpoint(execution: Execution, record: StepRecord) -> Plan[None]:
    """Write a checkpoint, once.

    Raises DBOSWorkflowCancelledError or DBOSWorkflowConflictIDError when the execution no longer owns its
    workflow, and DBOSStepNondeterminismError when another outcome is recorded there.
    """
    answer: StepAnswer = yield Write(record)
    if not answer.owned:
        raise lost_ownership(execution, answer.status)
    execution.checked_at = time.monotonic()
    if answer.written:
        return
    existing: Checkpoint | None = yield Read(lambda: load_step(record.workflow_id, record.function_id))
    if existing is None or existing.completed_at_ms != record.completed_at_ms:
        raise DBOSStepNondeterminismError(record.workflow_id, record.function_id)


def ensure_owned(execution: Execution) -> Plan[None]:
    """Raise, as record_checkpoint does, when the workflow was cancelled or taken over.

    The row is read only when the last checkpoint's answer is old: short steps in a row cost no read.
    """
    if time.monotonic() - execution.checked_at < STATUS_TTL_SECONDS:
        return
    status, owner = yield Read(lambda: _load_ownership(execution))
    if owner != execution.owner:
        raise lost_ownership(execution, status)
    execution.checked_at = time.monotonic()


def _attempt(
    execution: Execution, step: StepFunction, function_id: int, call: Invoke, span: Recording
) -> Plan[tuple[Outcome, int]]:
    errors: list[Exception] = []
    attempt = 1
    while True:
        scope = StepScope(function_id, step.name, attempt, step.retry.attempts, retried=step.retry.allowed)
        with _step_scope(scope):
            outcome: Outcome = yield call
        if outcome.error is None:
            return outcome, attempt
        errors.append(outcome.error)
        delay = step.retry.delay_after(attempt)
        if delay is None:
            break
        try:
            if not (yield from _wanted(step, outcome.error)):
                break
        except Exception as failure:  # noqa: BLE001 -- user code raises anything; it is the outcome of the step
            return Outcome(error=failure), attempt
        span.retried(attempt, outcome.error, delay)
        yield Wait(delay)
        yield from ensure_owned(execution)  # a cancelled workflow tries no further
        attempt += 1
    if step.retry.allowed and attempt >= step.retry.attempts:
        return Outcome(error=DBOSMaxStepRetriesExceeded(step.name, step.retry.attempts, errors)), attempt
    return outcome, attempt


def _wanted(step: StepFunction, error: Exception) -> Plan[bool]:
    if step.should_retry is None:
        return True
    answer = step.should_retry(error)
    if not inspect.isawaitable(answer):
        return bool(answer)
    if not step.is_async:
        if inspect.iscoroutine(answer):
            answer.close()
        raise DBOSException(
            f"Step {step.name}: should_retry gave an awaitable, which only coroutine functions can await"
        )
    awaited: Outcome = yield Invoke(lambda: answer)
    return bool(awaited.unwrap())


@contextmanager
def _step_scope(scope: StepScope) -> Generator[None]:
    token = current_step.set(scope)
    try:
        yield
    finally:
        current_step.reset(token)


def _load_ownership(execution: Execution) -> Operation[tuple[str | None, str | None]]:
    rows = yield Statement("load_status", {"workflow_id": execution.workflow_id})
    return (rows[0]["status"], rows[0]["owner_xid"]) if rows else (None, None)
