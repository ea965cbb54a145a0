"""Debouncers: a workflow runs once its calls have stopped for a while, with the arguments of the last one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, ParamSpec, TypeVar, cast

from dbos._error import DBOSException, DBOSWorkflowFunctionNotFoundError
from dbos.api.calls import EngineStatuses, refuse_in_step
from dbos.api.client import DBOSClient
from dbos.api.enqueueing import check_enqueue
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.options import EnqueueOptions, check_seconds
from dbos.api.queues import Queue
from dbos.api.runtime import engine, registry
from dbos.core.ids import INTERNAL_QUEUE, WorkflowId, check_text, check_topic
from dbos.engine.debouncing import Debounce, debounce, debounce_record, refuse_options
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.plan import Plan
from dbos.engine.registry import Call, WorkflowFunction
from dbos.engine.services import Services
from dbos.engine.targets import WORKFLOW_ATTRIBUTE, MethodKind

P = ParamSpec("P")
R = TypeVar("R")
NOT_METHODS = "Only workflow functions may be debounced, not methods"


class Debouncer(Generic[P, R]):
    """Delays a workflow until its calls have stopped for a while, and runs it with the last arguments.

    `Debouncer.create(workflow)`, or by name. With `debounce_timeout_sec` it runs at the latest that long
    after the first call. It runs on `queue`, or without limits. `application_name`: another application of
    the database runs it.
    """

    def __init__(
        self,
        workflow_name: str,
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> None:
        """The workflow must be registered when `debounce` is called. Raises TypeError or ValueError."""
        self._workflow_name = check_text(workflow_name, subject="workflow_name")
        self._timeout = check_seconds(debounce_timeout_sec, subject="debounce_timeout_sec")
        self._queue = queue_name_of(queue) or INTERNAL_QUEUE
        self._application = application_name

    @classmethod
    def create(
        cls,
        workflow: Callable[P, R],
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> Debouncer[P, R]:
        """A debouncer of a workflow, before launch too.

        Raises DBOSWorkflowFunctionNotFoundError for a function that is no workflow, TypeError for methods.
        """
        return cls(
            _function_name(workflow),
            debounce_timeout_sec=debounce_timeout_sec,
            queue=queue,
            application_name=application_name,
        )

    @classmethod
    def create_async(
        cls,
        workflow: Callable[P, Coroutine[Any, Any, R]],
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> Debouncer[P, R]:
        """As create, for a coroutine workflow."""
        return cls(
            _function_name(workflow),
            debounce_timeout_sec=debounce_timeout_sec,
            queue=queue,
            application_name=application_name,
        )

    def debounce(
        self, debounce_key: str, debounce_period_sec: float, *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]:
        """Run the workflow after a period in which nobody called this with the same key; a handle to it.

        Calls with the same key share one run, which gets the last arguments. Once it has begun, the next
        call begins a new one. In a workflow it happens once. Raises DBOSQueueDeduplicatedError when the key
        is held as a deduplication ID by something else, and DBOSException for a workflow or queue that is
        not there.
        """
        running = engine()
        plan = self._plan(running.services, debounce_key, debounce_period_sec, args, kwargs)
        workflow_id = run_blocking(plan, running.services)
        return WorkflowHandle(workflow_id, running.services, EngineStatuses(running))

    async def debounce_async(
        self, debounce_key: str, debounce_period_sec: float, *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]:
        """As debounce."""
        running = engine()
        plan = self._plan(running.services, debounce_key, debounce_period_sec, args, kwargs)
        workflow_id = await run_on_loop(plan, running.services)
        return WorkflowHandleAsync(workflow_id, running.services, EngineStatuses(running))

    def _plan(
        self, services: Services, key: str, period: float, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Plan[WorkflowId]:
        asked = Debounce(
            key=check_key(key),
            period_seconds=check_period(period),
            timeout_seconds=self._timeout,
            queue=self._queue,
            application=self._application,
        )
        return debounce(services, self._call(args, kwargs), asked)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        refuse_in_step()
        workflow = registry.workflows.get(self._workflow_name)
        if workflow is None:
            raise DBOSException(f"No workflow is registered as {self._workflow_name!r}, which is to be debounced")
        _refuse_method(workflow)
        return registry.call(workflow, args, kwargs)


class DebouncerClient:
    """A debouncer outside of the application: `workflow_options` tell what is enqueued, and where.

    The options may not set what a debouncer sets itself: deduplication, delay, priority, partition key.
    """

    def __init__(
        self,
        client: DBOSClient,
        workflow_options: EnqueueOptions,
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> None:
        """`queue` and `application_name` go before those of the options. Raises TypeError or ValueError."""
        self._client = client
        self._options = cast("EnqueueOptions", dict(workflow_options))
        name = queue_name_of(queue)
        if name is not None:
            self._options["queue_name"] = name
        check_enqueue(self._options)
        self._timeout = check_seconds(debounce_timeout_sec, subject="debounce_timeout_sec")
        self._application = application_name

    def debounce(self, debounce_key: str, debounce_period_sec: float, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """As Debouncer.debounce; whether workflow and queue exist is not looked at."""
        services = self._client.services
        plan = self._plan(debounce_key, debounce_period_sec, args, kwargs)
        return WorkflowHandle(run_blocking(plan, services), services, self._client)

    async def debounce_async(
        self, debounce_key: str, debounce_period_sec: float, *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As debounce."""
        services = self._client.services
        plan = self._plan(debounce_key, debounce_period_sec, args, kwargs)
        return WorkflowHandleAsync(await run_on_loop(plan, services), services, self._client)

    def _plan(self, key: str, period: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan[WorkflowId]:
        options = cast("dict[str, Any]", self._options)
        refuse_options(**options)
        record = self._client.new_record(self._options, args, kwargs)
        if self._application is not None:
            record = replace(record, application_name=self._application)
        asked = Debounce(
            key=check_key(key),
            period_seconds=check_period(period),
            timeout_seconds=self._timeout,
            queue=self._options["queue_name"],
        )
        return debounce_record(record, asked)


def queue_name_of(queue: Queue | str | None) -> str | None:
    """The name of a queue. Raises TypeError for something else."""
    if queue is None or isinstance(queue, str):
        return queue
    if isinstance(queue, Queue):
        return queue.name
    raise TypeError(f"queue: expected a Queue or its name, got {type(queue).__name__}")


def check_key(key: object) -> str:
    """The key of a debouncer; a number stands for its digits, as user IDs do. Raises TypeError or ValueError."""
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    return check_topic(key, subject="debounce_key")


def check_period(period: float) -> float:
    """The period of a debouncer. Raises TypeError or ValueError."""
    seconds = check_seconds(period, subject="debounce_period_sec")
    if seconds is None:
        raise TypeError("debounce_period_sec: expected seconds, got None")
    return seconds


def _function_name(function: Callable[..., Any]) -> str:
    workflow = getattr(function, WORKFLOW_ATTRIBUTE, None)
    if not isinstance(workflow, WorkflowFunction):
        name = getattr(function, "__qualname__", repr(function))
        raise DBOSWorkflowFunctionNotFoundError(
            "<NONE>", f"{name} is not registered: decorate it with @DBOS.workflow()"
        )
    if getattr(function, "__self__", None) is not None:
        raise TypeError(NOT_METHODS)
    _refuse_method(workflow)
    return workflow.name


def _refuse_method(workflow: WorkflowFunction) -> None:
    if registry.targets.kind_of(workflow.name) in {MethodKind.INSTANCE, MethodKind.CLASS}:
        raise TypeError(NOT_METHODS)
