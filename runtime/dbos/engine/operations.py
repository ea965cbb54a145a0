"""Operations that change the database for a workflow: done once, together with their checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from dbos._error import DBOSStepNondeterminismError
from dbos.core.outcome import Outcome
from dbos.engine.context import Execution, StepScope, lost_ownership, recording_execution
from dbos.engine.plan import Plan, Transact
from dbos.engine.services import Services, epoch_ms
from dbos.engine.steps import new_step, record_checkpoint, recorded_outcome, replay
from dbos.serialization.encoding import encode_value
from dbos.serialization.failures import encode_failure
from dbos.store.operation import Operation
from dbos.store.rows import StepRecord
from dbos.store.steps import Done, NothingDoneError, OwnershipLostError, ensure_owner, perform_checkpointed

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
    step = new_step(services, execution, name, execution.next_function_id())
    return (yield from operate_as(services, execution, step, act, encode=encode))


def operate_as(
    services: Services,
    execution: Execution,
    step: StepRecord,
    act: Callable[[], Operation[T]],
    *,
    encode: Encode | None = None,
) -> Plan[T]:
    """As operate, for a step whose ID was drawn before; `step` tells its ID, its name and when it began.

    An `act` that raises NothingDoneError leaves no trace, and this raises it too.
    """
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
    except NothingDoneError:
        raise
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


def operate_in_step(execution: Execution, act: Callable[[], Operation[T]]) -> Plan[T]:
    """Perform an operation inside a step of a workflow: not recorded, so a step that is run again does it again.

    It is undone, and the step ends, when the execution no longer owns the workflow.
    """

    def owned() -> Operation[T]:
        yield from ensure_owner(execution.workflow_id, execution.owner)
        return (yield from act())

    try:
        done: T = yield Transact(owned)
    except OwnershipLostError as lost:
        raise lost_ownership(execution, lost.status) from None
    return done


def operate_here(
    services: Services,
    place: tuple[Execution, StepScope | None],
    name: str,
    prepare: Callable[[int], Callable[[], Operation[T]]],
) -> Plan[T | None]:
    """Perform an operation whose result is not recorded: by a workflow once, as a step of that name; by a step
    each time that it runs, under the step's own ID. None when a workflow did it before.

    `prepare` gets the ID of the step and gives the operation.
    """
    execution, scope = place
    if scope is not None:
        return (yield from operate_in_step(execution, prepare(scope.function_id)))
    step = new_step(services, execution, name, execution.next_function_id())
    replayed = replay(execution, step.function_id, name)
    if replayed is not None:
        replayed.unwrap()  # a refused one is refused again
        return None
    act = prepare(step.function_id)
    done: T | None = yield from operate_as(services, execution, step, act, encode=without_output)
    return done


def without_output(_value: object) -> tuple[None, None]:
    """How operations without a result are stored: no output and no format."""
    return None, None
