"""DBOS: the application's face, one for a process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from dbos._sys_db import WorkflowStatus
from dbos.api.administration import Administration
from dbos.api.asgi import join_asgi
from dbos.api.awaiting import Awaiting
from dbos.api.calling import one_class
from dbos.api.calls import (
    EngineStatuses,
    enqueue_call,
    enqueue_call_async,
    look,
    look_async,
    start_call,
    start_call_async,
)
from dbos.api.classes import Classes
from dbos.api.communication import Communication
from dbos.api.decorators import Decorators
from dbos.api.draining import Draining
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.kafka import Kafka
from dbos.api.managing import Managing
from dbos.api.queueing import Queueing
from dbos.api.runtime import Application, configure, engine, process, refuse_event_loop, registry
from dbos.api.schedules import Schedules
from dbos.api.statuses import ListOptions, list_queued_statuses, list_statuses
from dbos.api.stepping import Stepping, StepStatus
from dbos.api.tracing import current_span, current_tracer
from dbos.api.transactions import Transactions
from dbos.api.versions import Versions
from dbos.api.wsgi import join_wsgi
from dbos.config.keys import DBOSConfig
from dbos.config.vendor import note_vendor_keys
from dbos.core.ids import check_topic
from dbos.engine.context import current_execution, current_step, current_user, recording_execution
from dbos.engine.places import check_patience
from dbos.engine.services import Services

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

P = ParamSpec("P")
R = TypeVar("R")


class _ContextAttributes(type):
    """The class attributes of DBOS that depend on where they are read."""

    @property
    def logger(cls) -> logging.Logger:
        """A logger for workflows and steps."""
        return logging.getLogger("dbos")

    @property
    def span(cls) -> Any:
        """The OpenTelemetry span of what runs here: a step, a workflow, a request, or one that the code opened inside.

        Everything can be said to it anywhere; where nothing is traced it is forgotten.
        """
        return current_span()

    @property
    def tracer(cls) -> Any:
        """The OpenTelemetry tracer of this application, for spans of your own; they are forgotten where none is."""
        return current_tracer()

    @property
    def shard_key(cls) -> None:
        """None: sharded system databases are not supported."""
        return

    @property
    def workflow_id(cls) -> str | None:
        """The ID of the workflow that runs here; None outside of workflows."""
        execution = current_execution.get()
        return None if execution is None else execution.workflow_id

    @property
    def step_id(cls) -> int | None:
        """The ID of the step that runs here, counted from 1 within its workflow; None outside of steps."""
        step = current_step.get()
        return None if step is None else step.function_id

    @property
    def authenticated_user(cls) -> str | None:
        """The user that the code here runs for; None when nobody was authenticated."""
        return current_user().user

    @property
    def authenticated_roles(cls) -> list[str] | None:
        """The roles of that user; None when nobody was authenticated."""
        roles = current_user().roles
        return None if roles is None else list(roles)

    @property
    def assumed_role(cls) -> str | None:
        """The required role by which the workflow runs; None when it requires none."""
        return current_user().assumed_role

    @property
    def step_status(cls) -> StepStatus | None:
        """The ID of the step that runs here and which attempt it is; None outside of steps."""
        step = current_step.get()
        if step is None:
            return None
        if not step.retried:
            return StepStatus(step.function_id)
        return StepStatus(step.function_id, step.attempt - 1, step.max_attempts)

    @property
    def sql_session(cls) -> Session:
        """The session of the transaction that runs here. Raises DBOSException outside of @DBOS.transaction."""
        from dbos.api.transaction_calls import current_session  # noqa: PLC0415 -- as in DBOS.transaction

        return current_session()

    @property
    def application_version(cls) -> str:
        """The version that this process runs. Raises DBOSException before launch."""
        return engine().services.claimant.version

    @property
    def executor_id(cls) -> str:
        """The ID of this process. Raises DBOSException before launch."""
        return engine().services.claimant.executor_id


@one_class
class DBOS(
    Administration,
    Communication,
    Decorators,
    Draining,
    Classes,
    Kafka,
    Managing,
    Awaiting,
    Stepping,
    Queueing,
    Schedules,
    Transactions,
    Versions,
    metaclass=_ContextAttributes,
):
    """Durable workflows. `DBOS(config=…)`, then `DBOS.launch()`; everything else is called on the class.

    A process has one: another `DBOS(…)` is the same until `DBOS.destroy()`.
    """

    _instance: DBOS | None = None
    _application: Application

    def __new__(
        cls,
        *,
        config: DBOSConfig | None = None,
        fastapi: Any = None,
        flask: Any = None,
        conductor_url: str | None = None,
        conductor_key: str | None = None,
    ) -> DBOS:
        """Configure the process's application; what the configuration leaves out may stand in `dbos-config.yaml`.

        A FastAPI application that is given launches DBOS when it has started and destroys it before it stops; a
        Flask application launches it with its first request. A request's header `dbos-idempotency-key` is the ID of
        the first workflow that it starts, who authenticates does so for that request, and a missing role is
        answered with 403. `conductor_url` and `conductor_key` do nothing here, and a warning says so.

        Raises DBOSInitializationError naming a setting that cannot be, and TypeError for what is no such application.
        """
        note_vendor_keys({"conductor_url": conductor_url, "conductor_key": conductor_key})
        application = configure({} if config is None else config)
        if fastapi is not None:
            join_asgi(fastapi, launch=cls.launch, destroy=cls.destroy)
        if flask is not None:
            join_wsgi(flask, launch=cls.launch)
        if cls._instance is None or cls._instance._application is not application:
            cls._instance = super().__new__(cls)
            cls._instance._application = application
        return cls._instance

    @classmethod
    def launch(cls) -> None:
        """Open the system database (creating it when absent), recover, and serve queues.

        Raises DBOSInitializationError when the database cannot be used; then nothing was started. A
        second launch is a warning.
        """
        if process.application is None:
            engine()  # raises: not configured
        assert process.application is not None
        process.application.launch()

    @classmethod
    def destroy(cls, *, destroy_registry: bool = False, workflow_completion_timeout_sec: float = 0) -> None:
        """Stop serving, wait for running workflows at most that long, and close. Idempotent.

        What still runs then is recovered by the next process with this executor's ID. What DBOS.listen_queues
        said is forgotten; with `destroy_registry` so is all that was declared.
        """
        seconds = check_patience(workflow_completion_timeout_sec, subject="workflow_completion_timeout_sec")
        application = process.application
        if application is not None:
            application.stop(completion_seconds=seconds)
        process.application = cls._instance = None
        registry.listened = None  # it is said of one launch
        if destroy_registry:
            registry.clear()

    @classmethod
    def start_workflow(cls, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Start a workflow (or a step) in the background; a handle to it. It is stored when this returns."""
        return start_call(func, args, kwargs)

    @classmethod
    async def start_workflow_async(
        cls, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]:
        """Start a coroutine workflow as a task of the running loop, or any other in a thread; a handle to it."""
        return await start_call_async(func, args, kwargs)

    @classmethod
    def enqueue_workflow(
        cls, queue_name: str, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]:
        """Put a workflow or step on a queue by its name; a handle to it. It is stored when this returns."""
        return enqueue_call(queue_name, func, args, kwargs)

    @classmethod
    async def enqueue_workflow_async(
        cls, queue_name: str, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]:
        """As enqueue_workflow, for coroutine workflows and from coroutines."""
        return await enqueue_call_async(queue_name, func, args, kwargs)

    @classmethod
    def retrieve_workflow(cls, workflow_id: str, existing_workflow: bool = True) -> WorkflowHandle[Any]:
        """A handle to any workflow by its ID.

        Raises DBOSNonExistentWorkflowError unless `existing_workflow` is False: then the handle waits for
        the workflow to appear.
        """
        refuse_event_loop("DBOS.retrieve_workflow")
        running = engine()
        statuses = EngineStatuses(running)
        check_topic(workflow_id, subject="workflow ID")
        if existing_workflow:
            statuses.status_of(workflow_id)
        return WorkflowHandle(workflow_id, running.services, statuses)

    @classmethod
    async def retrieve_workflow_async(
        cls,
        workflow_id: str,
        existing_workflow: bool = True,
    ) -> WorkflowHandleAsync[Any]:
        """As retrieve_workflow."""
        running = engine()
        statuses = EngineStatuses(running)
        check_topic(workflow_id, subject="workflow ID")
        if existing_workflow:
            await statuses.status_of_async(workflow_id)
        return WorkflowHandleAsync(workflow_id, running.services, statuses)

    @classmethod
    def get_workflow_status(cls, workflow_id: str) -> WorkflowStatus | None:
        """The status of a workflow; None when there is no such workflow."""
        refuse_event_loop("DBOS.get_workflow_status")
        return EngineStatuses(engine()).find(workflow_id)

    @classmethod
    async def get_workflow_status_async(cls, workflow_id: str) -> WorkflowStatus | None:
        """As get_workflow_status."""
        return await EngineStatuses(engine()).find_async(workflow_id)

    @classmethod
    def list_workflows(cls, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """The workflows of this application that match, oldest first; ListOptions tells the filters."""
        refuse_event_loop("DBOS.list_workflows")
        services = engine().services
        return look(
            services,
            "DBOS.listWorkflows",
            _listing(list_statuses, services, options),
        )

    @classmethod
    async def list_workflows_async(cls, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """As list_workflows."""
        services = engine().services
        return await look_async(
            services,
            "DBOS.listWorkflows",
            _listing(list_statuses, services, options),
        )

    @classmethod
    def list_queued_workflows(cls, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """The workflows on this application's queues that wait or run, oldest first; ListOptions tells the filters."""
        refuse_event_loop("DBOS.list_queued_workflows")
        services = engine().services
        return look(
            services,
            "DBOS.listQueuedWorkflows",
            _listing(list_queued_statuses, services, options),
        )

    @classmethod
    async def list_queued_workflows_async(cls, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """As list_queued_workflows."""
        services = engine().services
        return await look_async(
            services,
            "DBOS.listQueuedWorkflows",
            _listing(list_queued_statuses, services, options),
        )


def _listing(
    find: Callable[..., list[WorkflowStatus]], services: Services, options: ListOptions
) -> Callable[[], list[WorkflowStatus]]:
    """A look at the workflows of the application; in a workflow it becomes a step."""
    noted = recording_execution() is None
    return partial(find, services.database, services.claimant.application, options, noted=noted)
