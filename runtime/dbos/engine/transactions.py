"""One transaction of a workflow: its changes and its checkpoint are committed together, so it happens once.

checkpoint there? -> its outcome, and no call
begin -> call -> write the checkpoint -> still ours? -> commit -> step row
      conflict -> roll back, pause, from the top
      error    -> roll back, checkpoint of the error
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from dbos._error import DBOSException
from dbos.core.outcome import Outcome
from dbos.core.retry import reconnect_delay
from dbos.engine.context import Execution, StepScope, current_step
from dbos.engine.plan import Invoke, Plan, Wait
from dbos.engine.services import Services, epoch_ms
from dbos.engine.spans import step_span
from dbos.engine.steps import ensure_owned, new_step, record_checkpoint, replay
from dbos.serialization.decoding import decode_error, decode_value
from dbos.serialization.encoding import encode_value
from dbos.serialization.failures import encode_failure
from dbos.store.checkpoints import (
    StepCheckpoint,
    StepKey,
    abandon,
    begin,
    close,
    commit,
    flush,
    is_conflict,
    is_lost,
    is_usable,
    kept_open,
)
from dbos.store.database import SystemDatabase
from dbos.store.dialects.sqlite import is_busy
from dbos.store.user_database import UserDatabase
from dbos.store.writer import GroupCommitWriter
from dbos.telemetry import StepEnded

T = TypeVar("T")

logger = logging.getLogger("dbos")

FIRST_PAUSE_SECONDS = 0.001
PAUSE_FACTOR = 1.5
LONGEST_PAUSE_SECONDS = 2.0
LONGEST_BUSY_SECONDS = 120.0
"""How long a SQLite file may be locked by somebody else until what waits for it fails."""


class Format(Protocol):
    """How values are stored beside the user's data."""

    def serialize(self, data: Any) -> str:
        """A value as text."""
        ...

    def deserialize(self, serialized_data: str) -> Any:
        """The value of a text."""
        ...

    def name(self) -> str:
        """What the column `serialization` holds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransactionFunction:
    """A function that runs as a transaction of a user's database."""

    name: str
    function: Callable[..., Any]
    database: UserDatabase
    isolation_level: str
    format: Format | None = None
    """None: the application's own."""


class _ConflictError(Exception):
    """The transaction is to be tried again; the cause tells why."""


class _FailedError(Exception):
    """The function raised `error`, and is not called again. Rolls back; unlike a StopIteration it passes generators."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Nowhere:
    """For plans that read and write no system database: they may run without an application."""

    @property
    def writer(self) -> GroupCommitWriter:
        raise DBOSException("DBOS is not launched: call DBOS.launch() first")

    @property
    def database(self) -> SystemDatabase:
        raise DBOSException("DBOS is not launched: call DBOS.launch() first")


NOWHERE = _Nowhere()

_sessions: ContextVar[Mapping[UserDatabase, Any]] = ContextVar("dbos_sessions", default={})  # noqa: B039 -- never changed


def session_of(database: UserDatabase) -> Any:
    """The session of the transaction that runs here; None outside of transactions of this database."""
    return _sessions.get().get(database)


def run_transaction(
    services: Services,
    execution: Execution,
    transaction: TransactionFunction,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Plan[Outcome]:
    """Run a transaction as the next step of a workflow: its result, or its exception.

    Exactly once: what it changed and its checkpoint are one commit, and a replay that finds the checkpoint
    does not call the function, whether or not its step row was written. A conflict with another transaction
    is tried again. An execution that lost its workflow changes nothing.
    """
    function_id = execution.next_function_id()
    execution.databases.add(transaction.database)
    replayed = replay(execution, function_id, transaction.name)
    if replayed is not None:
        return replayed
    yield from ensure_owned(execution)
    step, started = new_step(services, execution, transaction.name, function_id), time.monotonic()
    key = StepKey(
        workflow_id=execution.workflow_id,
        step_id=function_id,
        name=transaction.name,
        executor_id=services.claimant.executor_id,
    )
    attempt = _Attempt(services, execution, transaction, key)

    def work() -> Plan[_Settled]:
        recorded = yield from attempt.load()
        return recorded if recorded is not None else (yield from attempt.perform(args, kwargs))

    with step_span(services, execution, transaction.name) as span:
        try:
            settled, retries = yield from _retried(work, lambda: _still_owned(execution))
        except _FailedError as failed:
            settled, retries = attempt.settle(Outcome(error=failed.error)), 0
        span.ended(settled.outcome.error)
    outcome, serialization = settled.outcome, services.serialization
    told = replace(step, output=settled.output, error=settled.error, serialization=serialization)
    yield from record_checkpoint(execution, replace(told, completed_at_ms=epoch_ms()))
    result = "success" if outcome.error is None else "error"
    services.telemetry.emit(StepEnded(transaction.name, result, time.monotonic() - started, retries))
    return outcome


def run_plainly(transaction: TransactionFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Plan[Outcome]:
    """Run a transaction that nobody records, outside of workflows, and in steps: its result, or its exception.

    Inside a transaction of the same database it is a part of that one. A conflict is tried again.
    """
    if session_of(transaction.database) is not None:
        outcome: Outcome = yield Invoke(transaction.function, args, kwargs)
        return outcome

    def work() -> Plan[Any]:
        def body(session: Any) -> Plan[Any]:
            value = yield from _call(transaction, session, args, kwargs)
            return value

        try:
            return (yield from _transact(transaction, body))
        except _ConflictError as conflict:
            if conflict.__cause__ is not None and is_lost(conflict.__cause__):
                raise conflict.__cause__ from None  # nobody could tell whether it was committed
            raise

    try:
        value, _ = yield from _retried(work, _nobody)
    except _FailedError as failed:
        return Outcome(error=failed.error)
    return Outcome(value)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a transaction gave, and the texts of its step row."""

    outcome: Outcome
    output: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Attempt:
    services: Services
    execution: Execution
    transaction: TransactionFunction
    key: StepKey

    def load(self) -> Plan[_Settled | None]:
        """What a former execution recorded beside the user's data."""
        database = self.transaction.database

        def body(session: Any) -> Plan[StepCheckpoint | None]:
            found: StepCheckpoint | None = yield from _act(database, session, database.table.load, self.key)
            return found

        recorded = yield from _with_session(database, body)
        return None if recorded is None else self.settle(self._outcome_of(recorded))

    def perform(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Plan[_Settled]:
        """Call the function and commit what it did together with its checkpoint."""
        scope = StepScope(self.key.step_id, self.transaction.name, 1, 1)

        def body(session: Any) -> Plan[_Settled]:
            with _in_step(scope):
                value = yield from _call(self.transaction, session, args, kwargs)
            settled = self.settle(Outcome(value))
            yield from self._keep(session, self._checkpoint_of(settled))
            return settled

        try:
            return (yield from _transact(self.transaction, body))
        except _ConflictError:
            raise
        except _FailedError as failed:
            settled = self.settle(Outcome(error=failed.error))
        except Exception as error:  # noqa: BLE001 -- user classes raise anything when pickled; it is the outcome
            settled = self.settle(Outcome(error=error))
        failure = self._checkpoint_of(settled)
        yield from _transact(self.transaction, lambda session: self._keep(session, failure))
        return settled

    def _keep(self, session: Any, checkpoint: StepCheckpoint) -> Plan[None]:
        database = self.transaction.database
        yield from _act(database, session, database.table.insert, self.key, checkpoint)
        yield from _still_owned(self.execution)

    def settle(self, outcome: Outcome) -> _Settled:
        """An outcome, and the texts of its step row. A value that cannot be stored raises what encoding it raises."""
        serialization = self.services.serialization
        if outcome.error is not None:
            return _Settled(outcome, error=encode_failure(outcome.error, serialization))
        return _Settled(outcome, output=encode_value(outcome.value, serialization))

    def _checkpoint_of(self, settled: _Settled) -> StepCheckpoint:
        chosen = self.transaction.format
        if chosen is None:
            return StepCheckpoint(output=settled.output, error=settled.error, serialization=self.services.serialization)
        error = settled.outcome.error
        if error is None:
            return StepCheckpoint(output=chosen.serialize(settled.outcome.value), serialization=chosen.name())
        try:
            text = chosen.serialize(error)
            chosen.deserialize(text)
        except Exception:  # noqa: BLE001 -- a serializer of the user raises anything
            text = chosen.serialize(f"{type(error).__name__}: {error}")
        return StepCheckpoint(error=text, serialization=chosen.name())

    def _outcome_of(self, checkpoint: StepCheckpoint) -> Outcome:
        chosen, stored = self.transaction.format, checkpoint.serialization or self.services.serialization
        if chosen is None or stored != chosen.name():
            if checkpoint.error is not None:
                return Outcome(error=_as_exception(decode_error(checkpoint.error, stored)))
            return Outcome(decode_value(checkpoint.output, stored))
        if checkpoint.error is not None:
            return Outcome(error=_as_exception(chosen.deserialize(checkpoint.error)))
        return Outcome(None if checkpoint.output is None else chosen.deserialize(checkpoint.output))


def _transact(transaction: TransactionFunction, body: Callable[[Any], Plan[T]]) -> Plan[T]:
    """Perform a plan on a session inside a transaction, which is rolled back when it raises."""
    database = transaction.database

    def whole(session: Any) -> Plan[T]:
        yield from _act(database, session, begin, transaction.isolation_level)
        value = yield from body(session)
        yield from _act(database, session, commit)
        return value

    return (yield from _with_session(database, whole))


def _with_session(database: UserDatabase, body: Callable[[Any], Plan[T]]) -> Plan[T]:
    opened: Outcome = yield Invoke(database.open)
    session = opened.unwrap()
    try:
        value = yield from body(session)
    except GeneratorExit:  # nobody performs this plan any more
        raise
    except BaseException:
        yield from _act(database, session, abandon)
        raise
    yield from _act(database, session, close)
    return value


def _call(
    transaction: TransactionFunction, session: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Plan[Any]:
    database = transaction.database
    token = _sessions.set({**_sessions.get(), database: session})
    try:
        with kept_open(session):
            outcome: Outcome = yield Invoke(transaction.function, args, kwargs)
    finally:
        _sessions.reset(token)
    error = outcome.error
    if error is not None and (
        is_conflict(error) or (is_lost(error) and not (yield from _is_usable(database, session)))
    ):
        raise _ConflictError from error
    if error is not None:
        raise _FailedError(error)
    yield from _act(database, session, flush)
    return outcome.value


def _is_usable(database: UserDatabase, session: Any) -> Plan[bool]:
    """Whether the transaction still can be committed; else its connection was lost, not one of another database."""
    answer: Outcome = yield Invoke(database.act, (session, is_usable))
    return answer.error is None and bool(answer.value)


def _act(database: UserDatabase, session: Any, function: Callable[..., Any], *args: Any) -> Plan[Any]:
    """What a function on the session gives. Raises _ConflictError for what is to be tried again."""
    outcome: Outcome = yield Invoke(database.act, (session, function, *args))
    error = outcome.error
    if error is not None and (is_conflict(error) or is_lost(error)):
        raise _ConflictError from error
    return outcome.unwrap()


def _retried(work: Callable[[], Plan[T]], confirm: Callable[[], Plan[None]]) -> Plan[tuple[T, int]]:
    """What a plan gives, and how often it was tried again: after a conflict soon, after a lost connection later.

    Raises _FailedError when a SQLite file was locked each time for LONGEST_BUSY_SECONDS.
    """
    retries, busy_since = 0, math.inf
    while True:
        try:
            return (yield from work()), retries
        except _ConflictError as conflict:
            retries += 1
            cause = conflict.__cause__
        if isinstance(cause, Exception) and is_busy(cause):
            busy_since = min(busy_since, time.monotonic())
            if time.monotonic() - busy_since >= LONGEST_BUSY_SECONDS:
                raise _FailedError(cause)
        else:
            busy_since = math.inf
        yield Wait(_pause(cause, retries))
        yield from confirm()


def _pause(cause: BaseException | None, retries: int) -> float:
    if cause is not None and is_lost(cause):
        return reconnect_delay(retries, random.uniform(0.5, 1.5)) if retries > 1 else 0.0  # noqa: S311 -- spreads load
    return min(FIRST_PAUSE_SECONDS * PAUSE_FACTOR ** min(retries - 1, 50), LONGEST_PAUSE_SECONDS)


def _as_exception(error: object) -> Exception:
    return error if isinstance(error, Exception) else Exception(str(error))


def _still_owned(execution: Execution) -> Plan[None]:
    """Raise, as ensure_owned does, when the workflow is not ours at this moment."""
    execution.doubt()
    yield from ensure_owned(execution)


def _nobody() -> Plan[None]:
    yield from ()


@contextmanager
def _in_step(scope: StepScope) -> Generator[None]:
    token = current_step.set(scope)
    try:
        yield
    finally:
        current_step.reset(token)


def refuse_level(level: str, levels: tuple[str, ...]) -> None:
    """Raise DBOSException for an isolation level that is none of these."""
    if level not in levels:
        raise DBOSException(f"isolation_level: expected one of {', '.join(levels)}, got {level!r}")
