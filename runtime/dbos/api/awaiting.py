"""Wait for workflows by their IDs, and look at what they recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from dbos._sys_db import StepInfo
from dbos.api.calls import look, look_async
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.management_options import check_ids, check_page, ids_of
from dbos.api.runtime import engine, refuse_event_loop
from dbos.api.statuses import list_step_infos
from dbos.engine.commands import get_result
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.places import check_polling
from dbos.engine.results import wait_first, wait_for_tasks

LIST_STEPS = "DBOS.listWorkflowSteps"


class Awaiting:
    """The class methods of DBOS that wait, and those that read steps. In a workflow each is a step of it."""

    @classmethod
    def get_result(cls, workflow_id: str) -> Any:
        """Wait for a workflow to end and return its result, or raise what it raised.

        An unknown ID is waited for. Raises DBOSAwaitedWorkflowCancelledError, or
        DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded.
        """
        refuse_event_loop("DBOS.get_result")
        services, (only,) = engine().services, check_ids([workflow_id])
        return run_blocking(get_result(services, only, poll_seconds=1.0, as_child=False), services).unwrap()

    @classmethod
    async def get_result_async(cls, workflow_id: str) -> Any:
        """As get_result."""
        services, (only,) = engine().services, check_ids([workflow_id])
        plan = get_result(services, only, poll_seconds=1.0, as_child=False)
        return (await run_on_loop(plan, services)).unwrap()

    @classmethod
    def wait_first(
        cls, handles: list[WorkflowHandle[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandle[Any]:
        """Wait until one of some workflows ended, however it did; the handle of the one that was first.

        Raises TypeError for what is no list of handles, ValueError for none, and for two of one workflow.
        """
        refuse_event_loop("DBOS.wait_first")
        services, by_id = engine().services, ids_of(handles)
        plan = wait_first(services, list(by_id), poll_seconds=check_polling(polling_interval_sec))
        first = run_blocking(plan, services)
        return by_id[first]

    @classmethod
    async def wait_first_async(
        cls, handles: list[WorkflowHandleAsync[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandleAsync[Any]:
        """As wait_first."""
        services, by_id = engine().services, ids_of(handles)
        plan = wait_first(services, list(by_id), poll_seconds=check_polling(polling_interval_sec))
        first = await run_on_loop(plan, services)
        return by_id[first]

    @classmethod
    async def asyncio_wait(
        cls,
        fs: Sequence[Awaitable[Any]],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- as asyncio.wait
        return_when: str = asyncio.ALL_COMPLETED,
    ) -> tuple[set[asyncio.Task[Any]], set[asyncio.Task[Any]]]:
        """As asyncio.wait; in a workflow which were done is recorded, so that a replay finds the same done."""
        services, tasks = engine().services, [_as_task(each) for each in fs]
        places = await run_on_loop(wait_for_tasks(services, tasks, timeout=timeout, return_when=return_when), services)
        done = {task for place, task in enumerate(tasks) if place in places}
        return done, set(tasks) - done

    @classmethod
    def list_workflow_steps(
        cls, workflow_id: str, *, load_output: bool = True, limit: int | None = None, offset: int | None = None
    ) -> list[StepInfo]:
        """What a workflow recorded, in order: a StepInfo answers keys and attributes.

        With `load_output=False` outputs and errors stay in the database. Raises DBOSQueryTimeoutError.
        """
        refuse_event_loop("DBOS.list_workflow_steps")
        services, wanted = (
            engine().services,
            check_page(workflow_id, load_output=load_output, limit=limit, offset=offset),
        )
        steps = look(services, LIST_STEPS, lambda: list_step_infos(services.database, wanted))
        return [StepInfo(step) for step in steps]

    @classmethod
    async def list_workflow_steps_async(
        cls, workflow_id: str, *, load_output: bool = True, limit: int | None = None, offset: int | None = None
    ) -> list[StepInfo]:
        """As list_workflow_steps."""
        services, wanted = (
            engine().services,
            check_page(workflow_id, load_output=load_output, limit=limit, offset=offset),
        )
        steps = await look_async(services, LIST_STEPS, lambda: list_step_infos(services.database, wanted))
        return [StepInfo(step) for step in steps]


def _as_task(awaitable: Awaitable[Any]) -> asyncio.Task[Any]:
    if isinstance(awaitable, asyncio.Task):
        return awaitable
    return asyncio.ensure_future(awaitable)
