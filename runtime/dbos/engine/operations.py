"""Operations that change the database for a workflow: done once, together with their checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from dbos._error import DBOSStepNondeterminismError
from dbos.core.outcome import Outcome
from dbos.engine.context import Execution, recording_execution
from dbos.engine.plan import Plan, Transact
from dbos.engine.services import Services, epoch_ms
from dbos.engine.steps import lost_ownership, record_checkpoint, recorded_outcome, replay
from dbos.serialization.encoding import encode_value
from dbos.serialization.failures import encode_failure
from dbos.store.operation import Operation
from dbos.store.rows import StepRecord
from dbos.store.steps import Done, OwnershipLostError, perform_checkpointed

T = TypeVar("T")

Encode = Callable[[Any], tuple[str | None, str | None]]
"""A result as the text and the format that its step row holds."""


def operate(services: Services, name: str, act: Callable[[], Operation[T]], *, encode: Encode | None = None) -> Plan[T]:
    """Perform an operation of the store in one transaction.

    In a workflow it is a step of that name: operation and checkpoint are committed together, so it happens
    once, and a replay gives what the checkpoint holds. What `act` raises undoes it and is recorded as the
    step's error. `encode` says how the result is stored (default: in the application's format).
    """
    execution = recording_execution() if services.records_steps else None
    if execution is None:
        unrecorded: T = yield Transact(act)
        return unrecorded
    step = StepRecord(
        workflow_id=execution.workflow_id,
        owner=execution.owner,
        function_id=execution.next_function_id(),
        function_name=name,
        output=None,
        error=None,
        serialization=None,
        started_at_ms=epoch_ms(),
        completed_at_ms=0,
        application_name=services.claimant.application,
    )
    return (yield from operate_as(services, execution, step, act, encode=encode))


def operate_as(
    services: Services,
    execution: Execution,
    step: StepRecord,
    act: Callable[[], Operation[T]],
    *,
    encode: Encode | None = None,
) -> Plan[T]:
    """As operate, for a step whose ID was drawn before; `step` tells its ID, its name and when it began."""
    replayed = replay(execution, step.function_id, step.function_name)
    if replayed is not None:
        return replayed.unwrap()  # type: ignore[no-any-return]
    stored = encode or (lambda value: (encode_value(value, services.serialization), services.serialization))
    completed_at_ms = epoch_ms()  # before the first try: a repeated one knows its own row by it

    def record(value: T) -> StepRecord:
        output, serialization = stored(value)
        return replace(step, completed_at_ms=completed_at_ms, output=output, serialization=serialization)

    try:
        done: Done[T] = yield Transact(lambda: perform_checkpointed(record, act, step=step))
    except OwnershipLostError as lost:
        raise lost_ownership(execution, lost.status) from None
    except Exception as error:
        failure = encode_failure(error, services.serialization)
        refused = replace(step, completed_at_ms=epoch_ms(), error=failure, serialization=services.serialization)
        yield from record_checkpoint(execution, refused)
        raise
    if done.recorded is None:
        return done.value  # type: ignore[return-value]
    if done.recorded.function_name != step.function_name or done.recorded.completed_at_ms != completed_at_ms:
        raise DBOSStepNondeterminismError(step.workflow_id, step.function_id)
    outcome: Outcome = recorded_outcome(done.recorded)
    return outcome.unwrap()  # type: ignore[no-any-return]


def without_output(_value: object) -> tuple[None, None]:
    """How operations without a result are stored: no output and no format."""
    return None, None
