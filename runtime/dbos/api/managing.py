"""Cancel, resume, fork, rewind, delete, delay and label workflows from the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbos.api.calls import EngineStatuses
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.management_options import (
    check_ids,
    check_queue,
    delay_until,
    fork_of,
    rewind_of,
)
from dbos.api.options import check_attributes
from dbos.api.runtime import engine, refuse_event_loop
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.management import cancel, delay, delete, fork, label, resume, rewind


class Managing:
    """The class methods of DBOS that manage workflows. In a workflow each is a step of it."""

    @classmethod
    def cancel_workflow(cls, workflow_id: str, *, cancel_children: bool = False) -> None:
        """Cancel a workflow, with `cancel_children` all that it started too.

        It leaves its queue, and an execution stops at its next step or wait; a preemptible step is
        interrupted. One that ended in a result or an error keeps it; an unknown ID is passed over.
        """
        refuse_event_loop("DBOS.cancel_workflow")
        cls.cancel_workflows([workflow_id], cancel_children=cancel_children)

    @classmethod
    async def cancel_workflow_async(cls, workflow_id: str, *, cancel_children: bool = False) -> None:
        """As cancel_workflow."""
        await cls.cancel_workflows_async([workflow_id], cancel_children=cancel_children)

    @classmethod
    def cancel_workflows(cls, workflow_ids: list[str], *, cancel_children: bool = False) -> None:
        """Cancel several workflows at once, as cancel_workflow."""
        refuse_event_loop("DBOS.cancel_workflows")
        services, ids = engine().services, check_ids(workflow_ids)
        run_blocking(cancel(services, ids, cancel_children=cancel_children), services)

    @classmethod
    async def cancel_workflows_async(cls, workflow_ids: list[str], *, cancel_children: bool = False) -> None:
        """As cancel_workflows."""
        services, ids = engine().services, check_ids(workflow_ids)
        await run_on_loop(cancel(services, ids, cancel_children=cancel_children), services)

    @classmethod
    def resume_workflow(cls, workflow_id: str, *, queue_name: str | None = None) -> WorkflowHandle[Any]:
        """Run a workflow on from its last step, at once or on a queue; a handle to it.

        For one that was cancelled or is a dead letter, and for one that waits: it leaves its queue. One that
        ended in a result or an error stays as it is. Raises DBOSNonExistentWorkflowError.
        """
        refuse_event_loop("DBOS.resume_workflow")
        return cls.resume_workflows([workflow_id], queue_name=queue_name)[0]

    @classmethod
    async def resume_workflow_async(
        cls, workflow_id: str, *, queue_name: str | None = None
    ) -> WorkflowHandleAsync[Any]:
        """As resume_workflow."""
        return (await cls.resume_workflows_async([workflow_id], queue_name=queue_name))[0]

    @classmethod
    def resume_workflows(cls, workflow_ids: list[str], *, queue_name: str | None = None) -> list[WorkflowHandle[Any]]:
        """Resume several workflows at once, as resume_workflow; all of them or, with an unknown ID, none."""
        refuse_event_loop("DBOS.resume_workflows")
        running, ids = engine(), check_ids(workflow_ids)
        run_blocking(resume(running.services, ids, queue=check_queue(queue_name)), running.services)
        return [WorkflowHandle(each, running.services, EngineStatuses(running)) for each in ids]

    @classmethod
    async def resume_workflows_async(
        cls, workflow_ids: list[str], *, queue_name: str | None = None
    ) -> list[WorkflowHandleAsync[Any]]:
        """As resume_workflows."""
        running, ids = engine(), check_ids(workflow_ids)
        await run_on_loop(resume(running.services, ids, queue=check_queue(queue_name)), running.services)
        return [WorkflowHandleAsync(each, running.services, EngineStatuses(running)) for each in ids]

    @classmethod
    def fork_workflow(
        cls,
        workflow_id: str,
        start_step: int,
        *,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
        replacement_children: dict[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> WorkflowHandle[Any]:
        """Start a copy of a workflow that has the results of the steps before `start_step`; a handle to it.

        `start_step` is a `function_id` of list_workflow_steps. The copy's ID is new, or that of SetWorkflowID; it
        runs on `application_version` (default: the latest), at once or on a queue. `replacement_children`
        names the children that the copy is to take for those of the original.
        Raises DBOSNonExistentWorkflowError, and DBOSConflictingWorkflowError for an ID that is taken.
        """
        refuse_event_loop("DBOS.fork_workflow")
        running = engine()
        wanted = fork_of(
            workflow_id,
            start_step,
            application_version=application_version,
            queue_name=queue_name,
            queue_partition_key=queue_partition_key,
            replacement_children=replacement_children,
            timeout_seconds=timeout_seconds,
        )
        fork_id = run_blocking(fork(running.services, wanted), running.services)
        statuses = EngineStatuses(running)
        statuses.find(fork_id)  # in a workflow the second step of a fork, as everywhere
        return WorkflowHandle(fork_id, running.services, statuses)

    @classmethod
    async def fork_workflow_async(
        cls,
        workflow_id: str,
        start_step: int,
        *,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
        replacement_children: dict[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> WorkflowHandleAsync[Any]:
        """As fork_workflow."""
        running = engine()
        wanted = fork_of(
            workflow_id,
            start_step,
            application_version=application_version,
            queue_name=queue_name,
            queue_partition_key=queue_partition_key,
            replacement_children=replacement_children,
            timeout_seconds=timeout_seconds,
        )
        fork_id = await run_on_loop(fork(running.services, wanted), running.services)
        statuses = EngineStatuses(running)
        await statuses.find_async(fork_id)  # in a workflow the second step of a fork, as everywhere
        return WorkflowHandleAsync(fork_id, running.services, statuses)

    @classmethod
    def rewind_workflow(
        cls,
        workflow_id: str,
        *,
        start_step: int | None = None,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
    ) -> WorkflowHandle[Any]:
        """Run a workflow that ended again from `start_step` (default: its first), under its ID; a handle to it.

        What it recorded from that step on is forgotten: steps, events, its outcome, and messages that
        it received there or not at all. Raises DBOSNonExistentWorkflowError, and DBOSException for a
        workflow that has not ended.
        """
        refuse_event_loop("DBOS.rewind_workflow")
        running = engine()
        wanted = rewind_of(workflow_id, start_step, application_version, queue_name, queue_partition_key)
        run_blocking(rewind(running.services, wanted), running.services)
        return WorkflowHandle(workflow_id, running.services, EngineStatuses(running))

    @classmethod
    async def rewind_workflow_async(
        cls,
        workflow_id: str,
        *,
        start_step: int | None = None,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
    ) -> WorkflowHandleAsync[Any]:
        """As rewind_workflow."""
        running = engine()
        wanted = rewind_of(workflow_id, start_step, application_version, queue_name, queue_partition_key)
        await run_on_loop(rewind(running.services, wanted), running.services)
        return WorkflowHandleAsync(workflow_id, running.services, EngineStatuses(running))

    @classmethod
    def delete_workflow(cls, workflow_id: str, *, delete_children: bool = False) -> None:
        """Delete a workflow with all that belongs to it, with `delete_children` all that it started too.

        Cancel a workflow that runs first: its execution stops only at its next step. An unknown ID is passed over.
        """
        refuse_event_loop("DBOS.delete_workflow")
        cls.delete_workflows([workflow_id], delete_children=delete_children)

    @classmethod
    async def delete_workflow_async(cls, workflow_id: str, *, delete_children: bool = False) -> None:
        """As delete_workflow."""
        await cls.delete_workflows_async([workflow_id], delete_children=delete_children)

    @classmethod
    def delete_workflows(cls, workflow_ids: list[str], *, delete_children: bool = False) -> None:
        """Delete several workflows at once, as delete_workflow."""
        refuse_event_loop("DBOS.delete_workflows")
        services, ids = engine().services, check_ids(workflow_ids)
        run_blocking(delete(services, ids, delete_children=delete_children), services)

    @classmethod
    async def delete_workflows_async(cls, workflow_ids: list[str], *, delete_children: bool = False) -> None:
        """As delete_workflows."""
        services, ids = engine().services, check_ids(workflow_ids)
        await run_on_loop(delete(services, ids, delete_children=delete_children), services)

    @classmethod
    def set_workflow_delay(
        cls, workflow_id: str, *, delay_seconds: float | None = None, delay_until_epoch_ms: int | None = None
    ) -> None:
        """Let a workflow that is DELAYED start `delay_seconds` from now, or at that time; others stay as they are.

        Raises DBOSException unless exactly one of the two is given.
        """
        refuse_event_loop("DBOS.set_workflow_delay")
        services, (only,) = engine().services, check_ids([workflow_id])
        run_blocking(delay(services, only, delay_until(delay_seconds, delay_until_epoch_ms)), services)

    @classmethod
    async def set_workflow_delay_async(
        cls, workflow_id: str, *, delay_seconds: float | None = None, delay_until_epoch_ms: int | None = None
    ) -> None:
        """As set_workflow_delay."""
        services, (only,) = engine().services, check_ids([workflow_id])
        await run_on_loop(delay(services, only, delay_until(delay_seconds, delay_until_epoch_ms)), services)

    @classmethod
    def update_workflow_attributes(
        cls, workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool = False
    ) -> None:
        """Replace the attributes of a workflow (None: by none), or with `merge` set those keys and keep the others.

        Raises DBOSException for attributes that are no JSON object.
        """
        refuse_event_loop("DBOS.update_workflow_attributes")
        services, (only,) = engine().services, check_ids([workflow_id])
        run_blocking(label(services, only, check_attributes(attributes, merge=merge), merge=merge), services)

    @classmethod
    async def update_workflow_attributes_async(
        cls, workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool = False
    ) -> None:
        """As update_workflow_attributes."""
        services, (only,) = engine().services, check_ids([workflow_id])
        await run_on_loop(label(services, only, check_attributes(attributes, merge=merge), merge=merge), services)
