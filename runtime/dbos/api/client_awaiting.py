"""Wait for workflows from outside of the application, and look at what they recorded."""

from __future__ import annotations

from typing import Any

from dbos._sys_db import StepInfo
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.management_options import check_page, ids_of
from dbos.api.runtime import note_event_loop
from dbos.api.statuses import list_step_infos
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.places import check_polling
from dbos.engine.results import wait_first
from dbos.engine.services import Services


class ClientAwaiting:
    """The methods of DBOSClient that wait, and those that read steps."""

    _services: Services

    def wait_first(
        self, handles: list[WorkflowHandle[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandle[Any]:
        """Wait until one of some workflows ended, however it did; the handle of the one that was first.

        Raises TypeError for what is no list of handles, ValueError for none, and for two of one workflow.
        """
        note_event_loop("DBOSClient.wait_first")
        services, by_id = self._services, ids_of(handles)
        plan = wait_first(services, list(by_id), poll_seconds=check_polling(polling_interval_sec))
        first = run_blocking(plan, services)
        return by_id[first]

    async def wait_first_async(
        self, handles: list[WorkflowHandleAsync[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandleAsync[Any]:
        """As wait_first."""
        services, by_id = self._services, ids_of(handles)
        plan = wait_first(services, list(by_id), poll_seconds=check_polling(polling_interval_sec))
        first = await run_on_loop(plan, services)
        return by_id[first]

    def list_workflow_steps(
        self, workflow_id: str, *, load_output: bool = True, limit: int | None = None, offset: int | None = None
    ) -> list[StepInfo]:
        """What a workflow recorded, in order: a StepInfo answers keys and attributes.

        With `load_output=False` outputs and errors stay in the database. Raises DBOSQueryTimeoutError.
        """
        note_event_loop("DBOSClient.list_workflow_steps")
        services, wanted = self._services, check_page(workflow_id, load_output=load_output, limit=limit, offset=offset)
        steps = list_step_infos(services.database, wanted)
        return [StepInfo(step) for step in steps]

    async def list_workflow_steps_async(
        self, workflow_id: str, *, load_output: bool = True, limit: int | None = None, offset: int | None = None
    ) -> list[StepInfo]:
        """As list_workflow_steps."""
        services, wanted = self._services, check_page(workflow_id, load_output=load_output, limit=limit, offset=offset)
        steps = await services.database.in_background(lambda: list_step_infos(services.database, wanted))
        return [StepInfo(step) for step in steps]
