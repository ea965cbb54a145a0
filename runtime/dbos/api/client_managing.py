"""Cancel, resume, fork, rewind, delete, delay and label workflows from outside of the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbos.api.handles import StatusReader, WorkflowHandle, WorkflowHandleAsync
from dbos.api.management_options import (
    check_ids,
    check_queue,
    delay_until,
    fork_of,
    rewind_of,
)
from dbos.api.options import check_attributes
from dbos.api.runtime import note_event_loop
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.management import cancel, delay, delete, fork, label, resume, rewind
from dbos.engine.services import Services


class ClientManaging(StatusReader):
    """The methods of DBOSClient that manage workflows."""

    _services: Services

    def cancel_workflow(self, workflow_id: str, *, cancel_children: bool = False) -> None:
        """Cancel a workflow, with `cancel_children` all that it started too.

        It leaves its queue, and an execution stops at its next step or wait; a preemptible step is
        interrupted. One that ended in a result or an error keeps it; an unknown ID is passed over.
        """
        note_event_loop("DBOSClient.cancel_workflow")
        self.cancel_workflows([workflow_id], cancel_children=cancel_children)

    async def cancel_workflow_async(self, workflow_id: str, *, cancel_children: bool = False) -> None:
        """As cancel_workflow."""
        await self.cancel_workflows_async([workflow_id], cancel_children=cancel_children)

    def cancel_workflows(self, workflow_ids: list[str], *, cancel_children: bool = False) -> None:
        """Cancel several workflows at once, as cancel_workflow."""
        note_event_loop("DBOSClient.cancel_workflows")
        services, ids = self._services, check_ids(workflow_ids)
        run_blocking(cancel(services, ids, cancel_children=cancel_children), services)

    async def cancel_workflows_async(self, workflow_ids: list[str], *, cancel_children: bool = False) -> None:
        """As cancel_workflows."""
        services, ids = self._services, check_ids(workflow_ids)
        await run_on_loop(cancel(services, ids, cancel_children=cancel_children), services)

    def resume_workflow(self, workflow_id: str, *, queue_name: str | None = None) -> WorkflowHandle[Any]:
        """Run a workflow on from its last step, at once or on a queue; a handle to it.

        For one that was cancelled or is a dead letter, and for one that waits: it leaves its queue. One that
        ended in a result or an error stays as it is. Raises DBOSNonExistentWorkflowError.
        """
        note_event_loop("DBOSClient.resume_workflow")
        return self.resume_workflows([workflow_id], queue_name=queue_name)[0]

    async def resume_workflow_async(
        self, workflow_id: str, *, queue_name: str | None = None
    ) -> WorkflowHandleAsync[Any]:
        """As resume_workflow."""
        return (await self.resume_workflows_async([workflow_id], queue_name=queue_name))[0]

    def resume_workflows(self, workflow_ids: list[str], *, queue_name: str | None = None) -> list[WorkflowHandle[Any]]:
        """Resume several workflows at once, as resume_workflow; all of them or, with an unknown ID, none."""
        note_event_loop("DBOSClient.resume_workflows")
        ids = check_ids(workflow_ids)
        run_blocking(resume(self._services, ids, queue=check_queue(queue_name)), self._services)
        return [WorkflowHandle(each, self._services, self) for each in ids]

    async def resume_workflows_async(
        self, workflow_ids: list[str], *, queue_name: str | None = None
    ) -> list[WorkflowHandleAsync[Any]]:
        """As resume_workflows."""
        ids = check_ids(workflow_ids)
        await run_on_loop(resume(self._services, ids, queue=check_queue(queue_name)), self._services)
        return [WorkflowHandleAsync(each, self._services, self) for each in ids]

    def fork_workflow(
        self,
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
        note_event_loop("DBOSClient.fork_workflow")
        wanted = fork_of(
            workflow_id,
            start_step,
            application_version=application_version,
            queue_name=queue_name,
            queue_partition_key=queue_partition_key,
            replacement_children=replacement_children,
            timeout_seconds=timeout_seconds,
        )
        fork_id = run_blocking(fork(self._services, wanted), self._services)
        return WorkflowHandle(fork_id, self._services, self)

    async def fork_workflow_async(
        self,
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
        wanted = fork_of(
            workflow_id,
            start_step,
            application_version=application_version,
            queue_name=queue_name,
            queue_partition_key=queue_partition_key,
            replacement_children=replacement_children,
            timeout_seconds=timeout_seconds,
        )
        fork_id = await run_on_loop(fork(self._services, wanted), self._services)
        return WorkflowHandleAsync(fork_id, self._services, self)

    def rewind_workflow(
        self,
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
        note_event_loop("DBOSClient.rewind_workflow")
        wanted = rewind_of(workflow_id, start_step, application_version, queue_name, queue_partition_key)
        run_blocking(rewind(self._services, wanted), self._services)
        return WorkflowHandle(workflow_id, self._services, self)

    async def rewind_workflow_async(
        self,
        workflow_id: str,
        *,
        start_step: int | None = None,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
    ) -> WorkflowHandleAsync[Any]:
        """As rewind_workflow."""
        wanted = rewind_of(workflow_id, start_step, application_version, queue_name, queue_partition_key)
        await run_on_loop(rewind(self._services, wanted), self._services)
        return WorkflowHandleAsync(workflow_id, self._services, self)

    def delete_workflow(self, workflow_id: str, *, delete_children: bool = False) -> None:
        """Delete a workflow with all that belongs to it, with `delete_children` all that it started too.

        Cancel a workflow that runs first: its execution stops only at its next step. An unknown ID is passed over.
        """
        note_event_loop("DBOSClient.delete_workflow")
        self.delete_workflows([workflow_id], delete_children=delete_children)

    async def delete_workflow_async(self, workflow_id: str, *, delete_children: bool = False) -> None:
        """As delete_workflow."""
        await self.delete_workflows_async([workflow_id], delete_children=delete_children)

    def delete_workflows(self, workflow_ids: list[str], *, delete_children: bool = False) -> None:
        """Delete several workflows at once, as delete_workflow."""
        note_event_loop("DBOSClient.delete_workflows")
        services, ids = self._services, check_ids(workflow_ids)
        run_blocking(delete(services, ids, delete_children=delete_children), services)

    async def delete_workflows_async(self, workflow_ids: list[str], *, delete_children: bool = False) -> None:
        """As delete_workflows."""
        services, ids = self._services, check_ids(workflow_ids)
        await run_on_loop(delete(services, ids, delete_children=delete_children), services)

    def set_workflow_delay(
        self, workflow_id: str, *, delay_seconds: float | None = None, delay_until_epoch_ms: int | None = None
    ) -> None:
        """Let a workflow that is DELAYED start `delay_seconds` from now, or at that time; others stay as they are.

        Raises DBOSException unless exactly one of the two is given.
        """
        note_event_loop("DBOSClient.set_workflow_delay")
        services, (only,) = self._services, check_ids([workflow_id])
        run_blocking(delay(services, only, delay_until(delay_seconds, delay_until_epoch_ms)), services)

    async def set_workflow_delay_async(
        self, workflow_id: str, *, delay_seconds: float | None = None, delay_until_epoch_ms: int | None = None
    ) -> None:
        """As set_workflow_delay."""
        services, (only,) = self._services, check_ids([workflow_id])
        await run_on_loop(delay(services, only, delay_until(delay_seconds, delay_until_epoch_ms)), services)

    def update_workflow_attributes(
        self, workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool = False
    ) -> None:
        """Replace the attributes of a workflow (None: by none), or with `merge` set those keys and keep the others.

        Raises DBOSException for attributes that are no JSON object.
        """
        note_event_loop("DBOSClient.update_workflow_attributes")
        services, (only,) = self._services, check_ids([workflow_id])
        run_blocking(label(services, only, check_attributes(attributes, merge=merge), merge=merge), services)

    async def update_workflow_attributes_async(
        self, workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool = False
    ) -> None:
        """As update_workflow_attributes."""
        services, (only,) = self._services, check_ids([workflow_id])
        await run_on_loop(label(services, only, check_attributes(attributes, merge=merge), merge=merge), services)
