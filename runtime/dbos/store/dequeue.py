"""Claims, and what gives workflows back: release, recovery, dead letters, sweeps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbos.core.executors import ProcessToken
from dbos.core.ids import INTERNAL_QUEUE, ExecutorId, OwnerToken, WorkflowId
from dbos.core.limits import QueueLimits
from dbos.store.operation import Operation, Row, Statement
from dbos.store.records import release_statement
from dbos.store.rows import ClaimedWorkflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Who claims: the executor, and the application and version that it runs."""

    executor_id: ExecutorId
    application: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """What to claim: at most `limit` workflows of a queue, but none of the functions whose keys are `skipped`."""

    queue: str
    limits: QueueLimits
    owner: OwnerToken
    limit: int
    skipped: list[str]
    lanes: Mapping[str, int] = field(default_factory=dict)
    """Of a partitioned queue: the partition keys to look at, in that order, and what this worker may take of each."""


def claim_statement(request: ClaimRequest, claimant: Claimant, *, now_ms: int) -> Statement:
    """The one statement that claims: bounded, and safe beside every other executor.

    Where executors share a limit it is one of the `…_shared`, to be performed in REPEATABLE READ.
    """
    limits = request.limits
    parameters: dict[str, Any] = {
        "queue": request.queue,
        "executor": claimant.executor_id,
        "application": claimant.application,
        "version": claimant.version,
        "owner": request.owner,
        "limit": request.limit,
        "now_ms": now_ms,
        "skipped": request.skipped,
        "rate_limited": limits.rate_limit is not None or limits.partition_rate_limit is not None,
    }
    name = "claim_partitions" if limits.partitioned else "claim_workflows"
    if limits.partitioned:
        parameters |= {"keys": list(request.lanes), "slots": list(request.lanes.values())}
    if not limits.shared:
        return Statement(name, parameters)
    parameters |= {
        "concurrency": limits.concurrency,
        "rate_limit": limits.rate_limit,
        "rate_period_ms": limits.rate_period_ms,
    }
    if limits.partitioned:
        parameters |= {
            "partition_concurrency": limits.partition_concurrency,
            "partition_rate_limit": limits.partition_rate_limit,
            "partition_rate_period_ms": limits.partition_rate_period_ms,
            "everybody": limits.counts_every_application,
        }
    return Statement(f"{name}_shared", parameters)


def list_partitions(queue: str, application: str, *, after: str, limit: int) -> Operation[list[str]]:
    """The next partition keys of a queue, in order, under which something of the application waits."""
    rows = yield Statement(
        "list_partitions", {"queue": queue, "application": application, "after": after, "limit": limit}
    )
    return [row["queue_partition_key"] for row in rows]


def claimed_workflow(row: Row, owner: OwnerToken) -> ClaimedWorkflow:
    """A row of a claim as a record."""
    return ClaimedWorkflow(
        workflow_id=WorkflowId(row["workflow_uuid"]),
        owner=owner,
        name=row["name"] or "",
        class_name=row["class_name"],
        config_name=row["config_name"],
        queue_name=row["queue_name"],
        inputs=row["inputs"],
        serialization=row["serialization"],
        recovery_attempts=row["recovery_attempts"],
        replayed=row["replayed"],
        deadline_ms=row["workflow_deadline_epoch_ms"],
        timeout_ms=row["workflow_timeout_ms"],
        created_at_ms=row["created_at"],
        enqueued_at_ms=max(row["created_at"], row["delay_until_epoch_ms"] or 0),
        started_at_ms=row["started_at_epoch_ms"],
        authenticated_user=row["authenticated_user"],
        authenticated_roles=row["authenticated_roles"],
        parent_workflow_id=row["parent_workflow_id"],
        previous_version=row["previous_version"],
        previous_application=row["previous_application"],
        previous_executor=row["previous_executor"],
        previous_deadline_ms=row["previous_deadline"],
        partition_key=row["queue_partition_key"],
        trace=row["trace"],
    )


def load_eligible(queue: str, limits: QueueLimits, claimant: Claimant, *, skipped: list[str]) -> Operation[bool]:
    """Whether something waits on a queue that this executor may run; limits that are used up do not matter.

    On a queue with lanes a row without a partition key is never run.
    """
    parameters = {
        "queue": queue,
        "version": claimant.version,
        "application": claimant.application,
        "skipped": skipped,
        "partitioned": limits.partitioned,
    }
    return bool((yield Statement("load_eligible", parameters)))


def release_workflows(claimed: Sequence[ClaimedWorkflow]) -> Operation[list[WorkflowId]]:
    """Put claimed workflows back, attempts and version as before the claim; the ones that were still ours."""
    rows = yield release_statement(claimed)
    return [WorkflowId(row["workflow_uuid"]) for row in rows]


def bury_workflow(claimed: ClaimedWorkflow) -> Operation[bool]:
    """Make a workflow that was started too often a dead letter; whether it still was ours."""
    rows = yield Statement(
        "bury_workflow",
        {"workflow_id": claimed.workflow_id, "attempts": claimed.recovery_attempts, "owner": claimed.owner},
    )
    return bool(rows)


def recover_workflows(claimant: Claimant, living: Sequence[ProcessToken] = ()) -> Operation[list[WorkflowId]]:
    """Make runnable again what former processes of this executor ID and version left PENDING.

    What one of the `living` runs stays its own, although its executor ID is the same.
    """
    recovered = yield from recover_workflows_of([claimant.executor_id], claimant, living)
    return [workflow_id for workflow_id, _ in recovered]


def recover_workflows_of(
    executors: Sequence[ExecutorId], claimant: Claimant, living: Sequence[ProcessToken] = ()
) -> Operation[list[tuple[WorkflowId, str]]]:
    """Make runnable again what these executors left PENDING of the claimant's version; the IDs and their queues.

    What one of the `living` processes runs is not touched.
    """
    rows = yield Statement(
        "recover_workflows",
        {
            "executors": list(executors),
            "living": list(living),
            "application": claimant.application,
            "version": claimant.version,
            "internal_queue": INTERNAL_QUEUE,
        },
    )
    return [(WorkflowId(row["workflow_uuid"]), row["queue_name"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: the queues that have new work, and the workflows whose time was over."""

    queues: list[str]
    cancelled: list[WorkflowId]


def sweep_due_rows(application: str, schema: str, *, now_ms: int) -> Operation[Swept]:
    """End delays and cancel what is past its deadline.

    Does nothing while another process of the application sweeps.
    """
    rows = yield Statement(
        "sweep_due_rows",
        {"lock_key": background_lock_key(schema, application), "application": application, "now_ms": now_ms},
    )
    return Swept(list(rows[0]["queues"]), [WorkflowId(workflow_id) for workflow_id in rows[0]["cancelled"]])


def background_lock_key(schema: str, application: str) -> int:
    """The advisory lock that every SDK takes for an application's background jobs."""
    digest = hashlib.sha256(f"dbos.background_job.{schema}.{application}.background_jobs".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
