"""Handles of workflows: their ID, their status, their result."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from dbos._sys_db import WorkflowStatus
from dbos.core.outcome import Outcome
from dbos.engine.commands import get_result
from dbos.engine.context import recording_execution
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.places import check_polling
from dbos.engine.services import Services

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class StatusReader(Protocol):
    """Reads the status of one workflow."""

    def status_of(self, workflow_id: str) -> WorkflowStatus:
        """Raises DBOSNonExistentWorkflowError for an unknown ID."""
        ...

    async def status_of_async(self, workflow_id: str) -> WorkflowStatus:
        """As status_of."""
        ...


class WorkflowHandle(Generic[R_co]):
    """A workflow that was started, enqueued or retrieved. Its attribute `workflow_id` is the workflow's ID."""

    workflow_id: str
    """The workflow's ID."""

    def __init__(
        self, workflow_id: str, services: Services, reader: StatusReader, running: Future[Outcome] | None = None
    ) -> None:
        self.workflow_id = workflow_id
        self._services = services
        self._reader = reader
        self._running = running

    def get_workflow_id(self) -> str:
        """The workflow's ID."""
        return self.workflow_id

    def get_result(self, *, polling_interval_sec: float = 1.0) -> R_co:
        """Wait for the workflow to end and return its result, or raise what it raised.

        The end is announced at once where notifications work; `polling_interval_sec` is the net.
        Raises DBOSAwaitedWorkflowCancelledError, or DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded.
        """
        seconds = check_polling(polling_interval_sec)
        if self._running is not None and recording_execution() is None:
            return self._running.result().unwrap()  # type: ignore[no-any-return]
        plan = get_result(self._services, self.workflow_id, poll_seconds=seconds)
        return run_blocking(plan, self._services).unwrap()  # type: ignore[no-any-return]

    def get_status(self) -> WorkflowStatus:
        """The workflow's status now. Raises DBOSNonExistentWorkflowError when there is no such workflow."""
        return self._reader.status_of(self.workflow_id)


class WorkflowHandleAsync(Generic[R_co]):
    """The handle that coroutines use: as WorkflowHandle, to be awaited."""

    workflow_id: str
    """The workflow's ID."""

    def __init__(
        self,
        workflow_id: str,
        services: Services,
        reader: StatusReader,
        running: asyncio.Task[Outcome] | Future[Outcome] | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self._services = services
        self._reader = reader
        self._running = running

    def get_workflow_id(self) -> str:
        """The workflow's ID."""
        return self.workflow_id

    async def get_result(self, *, polling_interval_sec: float = 1.0) -> R_co:
        """Wait for the workflow to end and return its result, or raise what it raised; as WorkflowHandle.get_result.

        Cancelling the wait does not cancel the workflow.
        """
        seconds = check_polling(polling_interval_sec)
        if self._running is not None and recording_execution() is None:
            running = self._running
            outcome = await asyncio.shield(asyncio.wrap_future(running) if isinstance(running, Future) else running)
            return outcome.unwrap()  # type: ignore[no-any-return]
        plan = get_result(self._services, self.workflow_id, poll_seconds=seconds)
        return (await run_on_loop(plan, self._services)).unwrap()  # type: ignore[no-any-return]

    async def get_status(self) -> WorkflowStatus:
        """The workflow's status now. Raises DBOSNonExistentWorkflowError when there is no such workflow."""
        return await self._reader.status_of_async(self.workflow_id)
