"""The plans behind cancel, resume, fork, rewind, delete, delay and attributes. In a workflow each is one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dbos._error import DBOSException
from dbos.core.ids import WorkflowId
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.context import recording_execution
from dbos.engine.forgetting import forget_from
from dbos.engine.operations import operate
from dbos.engine.plan import Plan, Read
from dbos.engine.services import Services
from dbos.serialization.encoding import encode_value
from dbos.store.forks import Fork, Rewind, fork_workflow, rewind_workflow
from dbos.store.management import (
    Cancelled,
    cancel_workflows,
    delete_workflows,
    resume_workflows,
    set_attributes,
    set_delay,
)
from dbos.store.operation import Operation, Statement


def cancel(services: Services, workflow_ids: Sequence[str], *, cancel_children: bool) -> Plan[None]:
    """Cancel workflows; whoever runs them or waits for them is told at once."""
    done: Cancelled | None = yield from operate(
        services,
        "DBOS.cancelWorkflow",
        lambda: cancel_workflows(workflow_ids, cancel_children=cancel_children),
        encode=_as_nothing(services),
    )
    if done is not None:
        _tell_ended(services, done.workflow_ids)
        for queue in done.queues:
            services.wake_queue(queue)


def resume(services: Services, workflow_ids: Sequence[str], *, queue: str) -> Plan[None]:
    """Enqueue workflows again; an execution that still runs learns that it lost its workflow."""
    resumed: list[WorkflowId] | None = yield from operate(
        services,
        "DBOS.resumeWorkflow",
        lambda: resume_workflows(workflow_ids, queue=queue),
        encode=_as_nothing(services),
    )
    if resumed:
        _tell_ended(services, resumed)
        services.wake_queue(queue)


def fork(services: Services, wanted: Fork) -> Plan[WorkflowId]:
    """Copy a workflow and enqueue the copy; its ID."""
    wanted = replace(wanted, application=services.claimant.application or None)
    forked: WorkflowId = yield from operate(services, "DBOS.forkWorkflow", lambda: fork_workflow(wanted))
    services.wake_queue(wanted.queue)
    return forked


def rewind(services: Services, wanted: Rewind) -> Plan[None]:
    """Undo a workflow's records from a step on and enqueue it again.

    Checkpoints of its transactions go first, or a step would find its former outcome there.
    """
    execution = recording_execution()
    if execution is None or execution.function_id + 1 not in execution.checkpoints:
        yield Read(lambda: _forget_transactions(wanted))
    yield from operate(
        services, "DBOS.rewindWorkflow", _once(lambda: rewind_workflow(wanted)), encode=_as_nothing(services)
    )
    services.wake_queue(wanted.queue)


def delete(services: Services, workflow_ids: Sequence[str], *, delete_children: bool) -> Plan[None]:
    """Delete workflows; an execution that still runs learns that it lost its workflow."""
    deleted: list[WorkflowId] | None = yield from operate(
        services,
        "DBOS.deleteWorkflow",
        lambda: delete_workflows(workflow_ids, delete_children=delete_children),
        encode=_as_nothing(services),
    )
    _tell_ended(services, deleted or [])


def delay(services: Services, workflow_id: str, delay_until_ms: Callable[[], int]) -> Plan[None]:
    """Move the end of a delay. `delay_until_ms` may raise what is wrong with it; that is recorded too."""

    def act() -> Operation[bool]:
        until = delay_until_ms()
        return (yield from set_delay(workflow_id, delay_until_ms=until))

    yield from operate(services, "DBOS.setWorkflowDelay", act, encode=_as_nothing(services))


def label(services: Services, workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool) -> Plan[None]:
    """Replace or merge the attributes of a workflow."""
    yield from operate(
        services,
        "DBOS.updateWorkflowAttributes",
        lambda: set_attributes(workflow_id, attributes, merge=merge),
        encode=_as_nothing(services),
    )


def _forget_transactions(wanted: Rewind) -> Operation[None]:
    rows = yield Statement("load_status", {"workflow_id": wanted.workflow_id})
    if rows and not WorkflowStatusString(rows[0]["status"]).active:  # else the rewind is refused
        forget_from(wanted.workflow_id, wanted.start_step)


def _tell_ended(services: Services, workflow_ids: Sequence[str]) -> None:
    for workflow_id in workflow_ids:
        services.signals.ring(workflow_id)
        services.writer.announce(workflow=workflow_id)


def _as_nothing(services: Services) -> Callable[[object], tuple[str, str]]:
    """What these steps record, whatever the operation tells the plan."""
    return lambda _done: (encode_value(None, services.serialization), services.serialization)


def _once(act: Callable[[], Operation[None]]) -> Callable[[], Operation[None]]:
    """An operation that refuses what it has done itself: after a commit whose answer was lost that is success."""
    done: list[bool] = []

    def attempt() -> Operation[None]:
        try:
            yield from act()
        except DBOSException:
            if not done:
                raise
        done.append(True)

    return attempt
