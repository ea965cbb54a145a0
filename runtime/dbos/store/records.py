"""Records as statements: many records of one kind become one JSON parameter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dbos.store.operation import Row, Statement
from dbos.store.rows import ClaimedWorkflow, NewWorkflow, OutcomeRecord, StepRecord


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """What became of a step's record.

    `owned`: the execution still owned its workflow. `written`: the row is new; when owned and not
    written, a row was there already. `status` is the workflow's, None when it no longer exists.
    """

    owned: bool
    written: bool
    status: str | None


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """What became of a start's record.

    `allowed`: it has no parent, or the parent's execution still owned the parent. `created`: the row is
    new; when allowed and not created, something holds its ID or deduplication ID.
    """

    allowed: bool
    created: bool


def insert_statement(records: Sequence[NewWorkflow]) -> Statement:
    """`insert_workflows` for records without a parent step (`insert_workflow` for one), else `insert_children`."""
    if len(records) == 1 and records[0].parent_step is None:
        row = _new_workflow(records[0])
        row["attributes"] = None if records[0].attributes is None else json.dumps(records[0].attributes)
        return Statement("insert_workflow", row)
    rows = _as_json([_new_workflow(record) for record in records])
    parents = sorted({record.parent_step.workflow_id for record in records if record.parent_step is not None})
    if not parents:
        return Statement("insert_workflows", {"records": rows})
    return Statement("insert_children", {"records": rows, "parents": parents})


def step_statement(records: Sequence[StepRecord]) -> Statement:
    """One `record_steps` for all records."""
    rows = [
        {
            "workflow_uuid": record.workflow_id,
            "owner_xid": record.owner,
            "function_id": record.function_id,
            "function_name": record.function_name,
            "output": record.output,
            "error": record.error,
            "serialization": record.serialization,
            "child_workflow_id": record.child_workflow_id,
            "started_at_epoch_ms": record.started_at_ms,
            "completed_at_epoch_ms": record.completed_at_ms,
            "application_name": record.application_name,
        }
        for record in records
    ]
    ids = sorted({record.workflow_id for record in records})
    return Statement("record_steps", {"records": _as_json(rows), "ids": ids})


def outcome_statement(records: Sequence[OutcomeRecord]) -> Statement:
    """One `record_outcomes` for all records."""
    rows = [
        {
            "workflow_uuid": record.workflow_id,
            "owner_xid": record.owner,
            "status": record.status,
            "output": record.output,
            "error": record.error,
        }
        for record in records
    ]
    ids = sorted({record.workflow_id for record in records})
    return Statement("record_outcomes", {"records": _as_json(rows), "ids": ids})


def release_statement(claimed: Sequence[ClaimedWorkflow]) -> Statement:
    """One `release_workflows` that puts claimed workflows back as they were."""
    rows = [
        {
            "workflow_uuid": workflow.workflow_id,
            "owner_xid": workflow.owner,
            "application_version": workflow.previous_version,
            "application_name": workflow.previous_application,
            "executor_id": workflow.previous_executor,
            "workflow_deadline_epoch_ms": workflow.previous_deadline_ms,
        }
        for workflow in claimed
    ]
    ids = sorted(workflow.workflow_id for workflow in claimed)
    return Statement("release_workflows", {"records": json.dumps(rows), "ids": ids})


def answer_steps(rows: Sequence[Row]) -> dict[tuple[str, int], StepAnswer]:
    """The answers of `record_steps`, by workflow and function ID."""
    return {
        (row["workflow_uuid"], row["function_id"]): StepAnswer(row["owned"], row["written"], row["status"])
        for row in rows
    }


def answer_starts(records: Sequence[NewWorkflow], rows: Sequence[Row]) -> list[StartAnswer]:
    """The answers of an insert, in the order of the records. A row tells of each that was allowed or went in."""
    known = {row["creator_xid"]: StartAnswer(allowed=True, created=row["created"]) for row in rows}
    return [
        known.get(record.creator) or StartAnswer(allowed=record.parent_step is None, created=False)
        for record in records
    ]


def _as_json(rows: Sequence[dict[str, Any]]) -> str:
    """Rows for json_to_recordset, to which a key that is missing is NULL: most are, and each is read twice."""
    return json.dumps([{key: value for key, value in row.items() if value is not None} for row in rows])


def _new_workflow(record: NewWorkflow) -> dict[str, object]:
    row: dict[str, object] = {
        "workflow_uuid": record.workflow_id,
        "status": record.status,
        "name": record.name,
        "creator_xid": record.creator,
        "inputs": record.inputs,
        "serialization": record.serialization,
        "owner_xid": record.owner,
        "class_name": record.class_name,
        "config_name": record.config_name,
        "queue_name": record.queue_name,
        "executor_id": record.executor_id,
        "application_name": record.application_name,
        "application_version": record.application_version,
        "application_id": record.application_id,
        "recovery_attempts": record.recovery_attempts,
        "workflow_timeout_ms": record.timeout_ms,
        "workflow_deadline_epoch_ms": record.deadline_ms,
        "delay_until_epoch_ms": record.delay_until_ms,
        "deduplication_id": record.deduplication_id,
        "priority": record.priority,
        "queue_partition_key": record.partition_key,
        "authenticated_user": record.authenticated_user,
        "assumed_role": record.assumed_role,
        "authenticated_roles": record.authenticated_roles,
        "attributes": record.attributes,
        "is_debounced": record.debounced,
        "debounce_deadline_epoch_ms": record.debounce_deadline_ms,
        "parent_workflow_id": record.parent_workflow_id,
    }
    if record.parent_step is not None:
        row["parent_owner"] = record.parent_step.owner
        row["parent_function_id"] = record.parent_step.function_id
        row["parent_started_ms"] = record.parent_step.started_at_ms
        row["parent_completed_ms"] = record.parent_step.started_at_ms
    return row
