"""Records of workflows, steps and outcomes, and a store to write them to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbos.core.ids import ExecutorId, OwnerToken, WorkflowId
from dbos.core.limits import QueueLimits
from dbos.serialization.encoding import encode_inputs, encode_value
from dbos.store.backend import DatabaseSettings
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import Claimant, ClaimRequest, claim_statement, claimed_workflow
from dbos.store.operation import Operation, Row, Statement
from dbos.store.rows import ClaimedWorkflow, NewWorkflow, OutcomeRecord, StepRecord
from dbos.store.writer import GroupCommitWriter

_numbers = itertools.count(1)


@contextmanager
def opened(url: str, **settings: Any) -> Iterator[SystemDatabase]:
    """The system database at a URL."""
    database = SystemDatabase(DatabaseSettings(url=url, **settings))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def writing(database: SystemDatabase, **options: Any) -> Iterator[GroupCommitWriter]:
    """A writer that runs for the length of the block."""
    writer = GroupCommitWriter(database.source, **options)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


def a_workflow(workflow_id: str | None = None, **fields: Any) -> NewWorkflow:
    """A workflow that waits on the queue `work`; keywords replace fields."""
    number = next(_numbers)
    given: dict[str, Any] = {
        "workflow_id": WorkflowId(workflow_id or f"workflow-{number}"),
        "status": "ENQUEUED",
        "name": "workflow",
        "creator": f"creator-{number}",
        "inputs": encode_inputs((), {}, None),
        "serialization": "py_pickle",
        "queue_name": "work",
        "application_name": "orders",
        "application_version": "v1",
    }
    return NewWorkflow(**{**given, **fields})


def a_running_workflow(workflow_id: str | None = None, **fields: Any) -> NewWorkflow:
    """A workflow that runs, owned by `owner`."""
    running = {"status": "PENDING", "queue_name": None, "owner": OwnerToken("owner"), "recovery_attempts": 1}
    return a_workflow(workflow_id, **{**running, **fields})


def a_step(workflow_id: str, function_id: int = 1, **fields: Any) -> StepRecord:
    """A step of a workflow that `owner` owns."""
    given: dict[str, Any] = {
        "workflow_id": WorkflowId(workflow_id),
        "owner": OwnerToken("owner"),
        "function_id": function_id,
        "function_name": "step",
        "output": encode_value(None, None),
        "error": None,
        "serialization": "py_pickle",
        "started_at_ms": 1,
        "completed_at_ms": 2,
        "application_name": "orders",
    }
    return StepRecord(**{**given, **fields})


def an_outcome(workflow_id: str, **fields: Any) -> OutcomeRecord:
    """The success of a workflow that `owner` owns."""
    given: dict[str, Any] = {
        "workflow_id": WorkflowId(workflow_id),
        "owner": OwnerToken("owner"),
        "status": "SUCCESS",
        "output": encode_value(None, None),
        "error": None,
    }
    return OutcomeRecord(**{**given, **fields})


def a_claimant(executor: str = "one", *, application: str = "orders", version: str = "v1") -> Claimant:
    """Who claims."""
    return Claimant(executor_id=ExecutorId(executor), application=application, version=version)


def claim(
    database: SystemDatabase,
    claimant: Claimant | None = None,
    *,
    limits: QueueLimits | None = None,
    limit: int = 100,
    skipped: tuple[str, ...] = (),
    now_ms: int = 0,
) -> list[ClaimedWorkflow]:
    """Claim from the queue `work` as the queue worker does; raises what says that another was faster."""
    limits = limits or QueueLimits()
    owner = OwnerToken(f"owner-{next(_numbers)}")
    request = ClaimRequest(queue="work", limits=limits, owner=owner, limit=limit, skipped=list(skipped))
    statement = claim_statement(request, claimant or a_claimant(), now_ms=now_ms)
    rows = database.take_turn(statement) if limits.shared else database.run(lambda: _single(statement))
    return [claimed_workflow(row, owner) for row in rows]


def _single(statement: Statement) -> Operation[list[Row]]:
    return (yield statement)
