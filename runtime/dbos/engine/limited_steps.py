"""Coroutine steps that end before they are done: interrupted with their workflow, or after a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from dbos._error import DBOSStepTimeoutError
from dbos.engine.context import Execution, lost_ownership
from dbos.engine.registry import StepFunction
from dbos.engine.services import Services
from dbos.engine.waiting import Waiter

Function = Callable[..., Coroutine[Any, Any, Any]]


def limited(services: Services, execution: Execution, step: StepFunction) -> Callable[..., Any]:
    """The step's function, within the limits that the step has."""
    function = step.function
    if step.timeout_seconds is not None:
        function = _timed(step.name, step.timeout_seconds, function)
    if step.preemptible:
        function = _preemptible(services, execution, function)
    return function


def _timed(name: str, seconds: float, function: Function) -> Function:
    async def run(*args: Any, **kwargs: Any) -> Any:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                value = await function(*args, **kwargs)
        except Exception as error:
            if limit.expired():
                raise DBOSStepTimeoutError(name, seconds) from error
            raise
        if limit.expired():  # whatever the function made of its cancellation
            raise DBOSStepTimeoutError(name, seconds)
        return value

    return run


def _preemptible(services: Services, execution: Execution, function: Function) -> Function:
    """A function that is cancelled, as a task, once the execution no longer owns its workflow."""

    async def run(*args: Any, **kwargs: Any) -> Any:
        waiter = Waiter()
        with services.watch.guard(execution, waiter) as guarded:
            task = asyncio.ensure_future(function(*args, **kwargs))
            taken = asyncio.wrap_future(waiter.armed)
            try:
                await asyncio.wait({task, taken}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                taken.cancel()
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task})  # its cleanup is part of the step
            if guarded.taken:
                task.cancelled() or task.exception()  # seen, and of no use any more
                raise lost_ownership(execution, guarded.status)
            return task.result()

    return run
