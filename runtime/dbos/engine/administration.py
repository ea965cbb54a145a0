"""The plans behind the administration of an application: recover, delete what is old, end what takes too long."""

from __future__ import annotations

from collections.abc import Sequence

from dbos.core.ids import INTERNAL_QUEUE, ExecutorId, WorkflowId
from dbos.engine.management import cancel
from dbos.engine.plan import Plan, Read, Transact
from dbos.engine.services import Services
from dbos.store.dequeue import recover_workflows_of
from dbos.store.retention import BATCH, delete_ended, find_cutoff, list_active_before
from dbos.telemetry import WorkflowsRecovered


def recover_executors(services: Services, executor_ids: Sequence[str]) -> Plan[list[WorkflowId]]:
    """Make runnable again what other executors left PENDING, under this version; the IDs.

    They must be gone. This executor is passed over: it lives, and recovered its own at launch.
    """
    others = sorted({each for each in executor_ids if each != services.claimant.executor_id})
    if not others:
        return []
    executors = [ExecutorId(each) for each in others]
    recovered: list[tuple[WorkflowId, str]] = yield Transact(lambda: recover_workflows_of(executors, services.claimant))
    if recovered:
        services.telemetry.emit(WorkflowsRecovered(len(recovered)))
    for queue in sorted({queue or INTERNAL_QUEUE for _, queue in recovered}):
        services.wake_queue(queue)
    return [workflow_id for workflow_id, _ in recovered]


def collect_garbage(services: Services, *, cutoff_ms: int | None, keep: int | None) -> Plan[int]:
    """Delete workflows that ended, created before a time or not among the `keep` newest; how many went.

    A transaction for each batch. Nothing that may still run is deleted.
    """
    application = services.claimant.application
    cutoff: int | None = yield Read(lambda: find_cutoff(application, cutoff_ms=cutoff_ms, keep=keep))
    deleted = 0
    if cutoff is None:
        return deleted
    while True:
        gone: list[WorkflowId] = yield Transact(lambda: delete_ended(application, cutoff_ms=cutoff))
        deleted += len(gone)
        if len(gone) < BATCH:
            return deleted


def cancel_before(services: Services, *, cutoff_ms: int) -> Plan[int]:
    """Cancel what waits or runs and was created before a time; how many workflows were asked to stop."""
    application = services.claimant.application
    cancelled = 0
    while True:
        found: list[WorkflowId] = yield Read(lambda: list_active_before(application, cutoff_ms=cutoff_ms))
        if found:
            yield from cancel(services, found, cancel_children=False)
            cancelled += len(found)
        if len(found) < BATCH:
            return cancelled
