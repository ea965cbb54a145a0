"""Registered functions as callables, and the calls that start or enqueue them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from dbos._error import DBOSException, DBOSWorkflowFunctionNotFoundError
from dbos._sys_db import WorkflowStatus
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.runtime import engine, registry
from dbos.api.statuses import existing, find_status
from dbos.core.ids import WorkflowId
from dbos.engine.commands import call_workflow, enqueue, introspect, start
from dbos.engine.context import current_step, recording_execution
from dbos.engine.engine import Engine
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.plan import Plan, side_by_side
from dbos.engine.registry import Call, StepFunction, WorkflowFunction
from dbos.engine.services import Services
from dbos.engine.steps import run_step
from dbos.engine.targets import WORKFLOW_ATTRIBUTE

T = TypeVar("T")


class EngineStatuses:
    """Reads the status of workflows through the running engine; in a workflow each read is a step."""

    def __init__(self, owner: Engine) -> None:
        self._services = owner.services

    def status_of(self, workflow_id: str) -> WorkflowStatus:
        """As StatusReader."""
        return existing(self.find(workflow_id), workflow_id)

    async def status_of_async(self, workflow_id: str) -> WorkflowStatus:
        """As StatusReader."""
        return existing(await self.find_async(workflow_id), workflow_id)

    def find(self, workflow_id: str) -> WorkflowStatus | None:
        """A status; None when there is no such workflow."""
        database, noted = self._services.database, recording_execution() is None
        return look(self._services, "DBOS.getStatus", lambda: find_status(database, workflow_id, noted=noted))

    async def find_async(self, workflow_id: str) -> WorkflowStatus | None:
        """As find."""
        database, noted = self._services.database, recording_execution() is None
        read = functools.partial(find_status, database, workflow_id, noted=noted)
        return await look_async(self._services, "DBOS.getStatus", read)


def look(services: Services, name: str, read: Callable[[], T]) -> T:
    """What a read of the database gives; in a workflow it is a step of that name."""
    seen: T = run_blocking(introspect(services, name, read), services)
    return seen


async def look_async(services: Services, name: str, read: Callable[[], T]) -> T:
    """As look, without blocking the loop."""

    async def read_in_background() -> T:
        return await services.database.in_background(read)

    seen: T = await run_on_loop(introspect(services, name, read_in_background), services)
    return seen


def wrap_workflow(workflow: WorkflowFunction) -> Callable[..., Any]:
    """The workflow as a callable: calling it runs it durably and gives its result."""
    if workflow.is_async:

        @functools.wraps(workflow.function)
        async def call_on_loop(*args: Any, **kwargs: Any) -> Any:
            refuse_in_step()
            services = engine().services
            plan = call_workflow(services, registry.call(workflow, args, kwargs))
            return (await run_on_loop(plan, services)).unwrap()

        wrapper: Callable[..., Any] = call_on_loop
    else:

        @functools.wraps(workflow.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            refuse_in_step()
            services = engine().services
            return run_blocking(call_workflow(services, registry.call(workflow, args, kwargs)), services).unwrap()

        wrapper = call
    setattr(wrapper, WORKFLOW_ATTRIBUTE, workflow)
    return wrapper


def wrap_step(step: StepFunction, as_workflow: WorkflowFunction) -> Callable[..., Any]:
    """The step as a callable: recorded in a workflow, a plain function elsewhere."""
    if step.is_async:

        @functools.wraps(step.function)
        async def call_on_loop(*args: Any, **kwargs: Any) -> Any:
            execution = recording_execution()
            if execution is None:
                return await step.function(*args, **kwargs)
            services = engine().services
            return (await run_on_loop(run_step(services, execution, step, args, kwargs), services)).unwrap()

        wrapper: Callable[..., Any] = call_on_loop
    else:

        @functools.wraps(step.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            execution = recording_execution()
            if execution is None:
                return step.function(*args, **kwargs)
            services = engine().services
            return run_blocking(run_step(services, execution, step, args, kwargs), services).unwrap()

        wrapper = call
    setattr(wrapper, WORKFLOW_ATTRIBUTE, as_workflow)
    return wrapper


def start_call(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> WorkflowHandle[Any]:
    """Start a workflow in the background."""
    running = engine()
    call = call_of(func, args, kwargs)
    started = run_blocking(start(running.services, call), running.services)
    future = None if started.execution is None else running.executor.start(call, started)
    return WorkflowHandle(started.workflow_id, running.services, EngineStatuses(running), future)


async def start_call_async(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> WorkflowHandleAsync[Any]:
    """Start a coroutine workflow as a task of the running loop, another one in a thread."""
    running = engine()
    call = call_of(func, args, kwargs)
    started = await run_on_loop(start(running.services, call), running.services)
    begin = running.executor.start_here if call.workflow.is_async else running.executor.start
    task = None if started.execution is None else begin(call, started)
    return WorkflowHandleAsync(started.workflow_id, running.services, EngineStatuses(running), task)


def enqueue_call(
    queue_name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> WorkflowHandle[Any]:
    """Put a workflow or step on a queue."""
    running = engine()
    call = call_of(func, args, kwargs)
    workflow_id = run_blocking(enqueue(running.services, queue_name, call), running.services)
    return WorkflowHandle(workflow_id, running.services, EngineStatuses(running))


async def enqueue_call_async(
    queue_name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> WorkflowHandleAsync[Any]:
    """Put a workflow or step on a queue, from a coroutine."""
    running = engine()
    call = call_of(func, args, kwargs)
    workflow_id = await run_on_loop(enqueue(running.services, queue_name, call), running.services)
    return WorkflowHandleAsync(workflow_id, running.services, EngineStatuses(running))


def enqueue_many_calls(
    queue_name: str, func: Callable[..., Any], calls: Iterable[Sequence[Any]]
) -> list[WorkflowHandle[Any]]:
    """Put many workflows or steps on a queue."""
    running = engine()
    plan = _enqueue_many(running.services, queue_name, func, calls)
    ids = run_blocking(plan, running.services)
    statuses = EngineStatuses(running)
    return [WorkflowHandle(workflow_id, running.services, statuses) for workflow_id in ids]


async def enqueue_many_calls_async(
    queue_name: str, func: Callable[..., Any], calls: Iterable[Sequence[Any]]
) -> list[WorkflowHandleAsync[Any]]:
    """Put many workflows or steps on a queue, from a coroutine."""
    running = engine()
    plan = _enqueue_many(running.services, queue_name, func, calls)
    ids = await run_on_loop(plan, running.services)
    statuses = EngineStatuses(running)
    return [WorkflowHandleAsync(workflow_id, running.services, statuses) for workflow_id in ids]


def _enqueue_many(
    services: Services, queue_name: str, func: Callable[..., Any], calls: Iterable[Sequence[Any]]
) -> Plan[list[WorkflowId]]:
    made = [call_of(func, check_arguments(args), {}) for args in calls]  # all are looked at before any is stored
    return side_by_side(enqueue(services, queue_name, call) for call in made)


def check_arguments(args: object) -> tuple[Any, ...]:
    """The arguments of one call of many. Raises TypeError for what is no list of them: a text would be many."""
    if not isinstance(args, Sequence) or isinstance(args, str | bytes):
        raise TypeError(f"expected the arguments of each call as a tuple or list, got {args!r}")
    return tuple(args)


def refuse_in_step() -> None:
    """Raise DBOSException in a step: it may run again, and would start what it starts again."""
    if current_step.get() is not None:
        raise DBOSException("Workflows are started by workflows, not by steps: return from the step first")


def call_of(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """A workflow, step or method of a class to be started or enqueued.

    Raises DBOSException for a function that is not registered, and inside of steps.
    """
    refuse_in_step()
    receiver = getattr(func, "__self__", None)
    return registry.call(_workflow_of(func), args if receiver is None else (receiver, *args), kwargs)


def _workflow_of(func: Callable[..., Any]) -> WorkflowFunction:
    workflow = getattr(func, WORKFLOW_ATTRIBUTE, None)
    if not isinstance(workflow, WorkflowFunction):
        name = getattr(func, "__qualname__", repr(func))
        raise DBOSWorkflowFunctionNotFoundError(
            "<none>", f"{name} is not registered: decorate it with @DBOS.workflow() or @DBOS.step()"
        )
    return workflow


def is_coroutine_function(func: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(func)
