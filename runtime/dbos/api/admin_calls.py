"""What the admin server asks, answered by the engine of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from dbos._sys_db import WorkflowStatus
from dbos.api.management_options import check_ids, fork_of
from dbos.api.options import SetWorkflowID
from dbos.api.statuses import ListOptions, find_status, list_queued_statuses, list_statuses, list_step_infos
from dbos.core.ids import INTERNAL_QUEUE
from dbos.engine.administration import cancel_before, collect_garbage, recover_executors
from dbos.engine.engine import STOP_SECONDS, Engine
from dbos.engine.interpreters import run_blocking
from dbos.engine.management import cancel, fork, resume
from dbos.observability.admin_routes import ForkRequest
from dbos.store.filters import StepFilter
from dbos.store.queues import load_queues
from dbos.store.rows import QueueRow


class AdminCalls:
    """The Administration of observability.admin_routes, for one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._services = engine.services

    def deactivate(self) -> None:
        """Fire no more schedules and take no more Kafka messages in this process; queues are served on."""
        self._engine.scheduler.stop(within=STOP_SECONDS)
        self._engine.kafka.stop(within=STOP_SECONDS)

    def queues(self) -> list[QueueRow]:
        """The queues that this application serves."""
        return self._services.database.run(lambda: load_queues(self._services.claimant.application))

    def recover(self, executor_ids: list[str]) -> Sequence[str]:
        """Make runnable again what these executors left; the IDs."""
        return run_blocking(recover_executors(self._services, executor_ids), self._services)

    def collect_garbage(self, cutoff_ms: int | None, keep: int | None) -> None:
        """Delete what ended before a time, or is not among the newest."""
        run_blocking(collect_garbage(self._services, cutoff_ms=cutoff_ms, keep=keep), self._services)

    def cancel_before(self, cutoff_ms: int) -> None:
        """Cancel what is active and was created before a time."""
        run_blocking(cancel_before(self._services, cutoff_ms=cutoff_ms), self._services)

    def workflows(self, filters: Mapping[str, Any], *, queued: bool) -> list[WorkflowStatus]:
        """The workflows of this application that match."""
        listing = list_queued_statuses if queued else list_statuses
        application = self._services.claimant.application
        return listing(self._services.database, application, cast("ListOptions", dict(filters)))

    def workflow(self, workflow_id: str) -> WorkflowStatus | None:
        """One workflow."""
        return find_status(self._services.database, workflow_id)

    def steps(self, workflow_id: str) -> list[dict[str, Any]]:
        """The recorded steps of a workflow."""
        return list_step_infos(self._services.database, StepFilter(workflow_id=workflow_id))

    def cancel(self, workflow_id: str) -> None:
        """Cancel one."""
        run_blocking(cancel(self._services, check_ids([workflow_id]), cancel_children=False), self._services)

    def resume(self, workflow_id: str) -> None:
        """Resume one. Raises DBOSNonExistentWorkflowError."""
        run_blocking(resume(self._services, check_ids([workflow_id]), queue=INTERNAL_QUEUE), self._services)

    def fork(self, workflow_id: str, wanted: ForkRequest) -> str:
        """Fork one; the ID of the copy. Raises DBOSException for an ID that is unknown or taken."""
        if wanted.new_workflow_id is None:
            return self._fork(workflow_id, wanted)
        with SetWorkflowID(wanted.new_workflow_id):
            return self._fork(workflow_id, wanted)

    def _fork(self, workflow_id: str, wanted: ForkRequest) -> str:
        record = fork_of(
            workflow_id,
            wanted.start_step,
            application_version=wanted.application_version,
            queue_name=None,
            queue_partition_key=None,
            replacement_children=None,
            timeout_seconds=None,
        )
        return run_blocking(fork(self._services, record), self._services)
