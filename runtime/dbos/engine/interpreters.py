"""Perform a plan: in the calling thread, or on the running event loop."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import wait
from typing import Any, Protocol, TypeVar

from dbos.core.outcome import Outcome
from dbos.engine.context import ExecutionStoppedError, current_execution
from dbos.engine.plan import Await, Effect, Invoke, Plan, Read, Transact, Wait, Write, WriteAll
from dbos.store.database import SystemDatabase
from dbos.store.operation import DatabaseClosedError
from dbos.store.writer import GroupCommitWriter

T = TypeVar("T")


class Storage(Protocol):
    """What the interpreters write to and read from."""

    @property
    def writer(self) -> GroupCommitWriter:
        """Where records go."""
        ...

    @property
    def database(self) -> SystemDatabase:
        """Where operations run."""
        ...


def run_blocking(plan: Plan[T], storage: Storage) -> T:
    """Perform a plan in this thread; errors of effects are raised inside the plan first."""
    try:
        effect = next(plan)
        while True:
            try:
                answer = _perform(effect, storage)
            except BaseException as error:  # noqa: BLE001 -- the plan decides about every error
                effect = plan.throw(_told(error))
            else:
                effect = plan.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


async def run_on_loop(plan: Plan[T], storage: Storage) -> T:
    """Perform a plan on the running loop without blocking it; errors as in run_blocking."""
    try:
        effect = next(plan)
        while True:
            try:
                answer = await _perform_on_loop(effect, storage)
            except BaseException as error:  # noqa: BLE001 -- the plan decides about every error
                effect = plan.throw(_told(error))
            else:
                effect = plan.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


def _perform(effect: Effect, storage: Storage) -> Any:  # noqa: PLR0911 -- one for each effect
    match effect:
        case Write(record):
            return storage.writer.write(record)
        case WriteAll(records):
            return storage.writer.submit_all(records).result()
        case Invoke(function, args, kwargs, contain):
            try:
                return Outcome(function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 -- user code raises anything; it is the outcome
                return Outcome(error=error)
            except SystemExit as error:
                if not contain:
                    raise
                return _broken_off(error)
        case Read(operation, polls):
            return storage.database.poll(operation) if polls else storage.database.run(operation)
        case Transact(operation):
            return storage.database.transact(operation)
        case Await(future, seconds):
            wait([future], timeout=seconds)
        case Wait(seconds):
            time.sleep(seconds)
    return None


async def _perform_on_loop(effect: Effect, storage: Storage) -> Any:  # noqa: PLR0911 -- one for each effect
    match effect:
        case Write(record):
            return await asyncio.wrap_future(storage.writer.submit(record))
        case WriteAll(records):
            return await asyncio.wrap_future(storage.writer.submit_all(records))
        case Invoke(function, args, kwargs, contain):
            try:
                return Outcome(await function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 -- user code raises anything; it is the outcome
                return Outcome(error=error)
            except (SystemExit, asyncio.CancelledError) as error:
                if not contain and isinstance(error, SystemExit):
                    raise
                if _is_cancelled() and not isinstance(error, SystemExit):
                    raise  # whoever runs the task wants it to end; the workflow is recovered
                return _broken_off(error)
        case Read(operation, polls):
            return await asyncio.wrap_future(storage.database.submit(operation, polls=polls))
        case Transact(operation):
            return await asyncio.wrap_future(storage.database.submit(operation, together=True))
        case Await(future, seconds):
            waiting = asyncio.wrap_future(future)
            await asyncio.wait([waiting], timeout=seconds)
            waiting.cancel()
        case Wait(seconds):
            await asyncio.sleep(seconds)
    return None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _broken_off(error: BaseException) -> Outcome:
    """The outcome of user code that raised what is no ordinary exception."""
    return Outcome(error=RuntimeError(f"Broken off by {type(error).__name__}: {error}"))


def _told(error: BaseException) -> BaseException:
    """The error as the plan sees it: user code must not take the end of the process for a failed step."""
    if isinstance(error, DatabaseClosedError) and current_execution.get() is not None:
        return ExecutionStoppedError()
    return error
