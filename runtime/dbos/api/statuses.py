"""Rows of workflow_status as WorkflowStatus, and the filters of the listings."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from dbos._error import DBOSNonExistentWorkflowError
from dbos._sys_db import WorkflowInputs, WorkflowStatus
from dbos.api.management_options import check_count
from dbos.api.obstacles import note_obstacles
from dbos.api.options import check_attributes
from dbos.core.applications import listed_applications
from dbos.core.ids import check_topic
from dbos.core.statuses import WorkflowStatusString
from dbos.serialization.decoding import UndecodableError, decode_error, decode_inputs, decode_value
from dbos.store.database import SystemDatabase
from dbos.store.filters import WAITING, StepFilter, WorkflowFilter
from dbos.store.operation import Row

logger = logging.getLogger("dbos")


class ListOptions(TypedDict, total=False):
    """The filters of list_workflows, by keyword. A list matches any of its values; times are ISO 8601."""

    workflow_ids: list[str] | None
    """These IDs."""
    status: str | list[str] | None
    """These statuses."""
    start_time: str | None
    """Created at or after this time."""
    end_time: str | None
    """Created at or before it."""
    completed_after: str | None
    """Ended at or after it."""
    completed_before: str | None
    """Ended at or before it."""
    dequeued_after: str | None
    """Taken from a queue at or after it."""
    dequeued_before: str | None
    """Taken from a queue at or before it."""
    name: str | list[str] | None
    """Workflows of these names."""
    app_version: str | list[str] | None
    """Of these application versions."""
    forked_from: str | list[str] | None
    """Forks of these workflows."""
    parent_workflow_id: str | list[str] | None
    """Children of these workflows."""
    user: str | list[str] | None
    """Run for these users."""
    queue_name: str | list[str] | None
    """On these queues."""
    executor_id: str | list[str] | None
    """Run by these processes."""
    schedule_name: str | list[str] | None
    """Started by these schedules."""
    workflow_id_prefix: str | list[str] | None
    """IDs that begin with one of these."""
    limit: int | None
    """At most so many. Default: all."""
    offset: int | None
    """Without the first so many. Default: 0."""
    sort_desc: bool
    """The newest first. Default: False."""
    load_input: bool
    """Whether arguments are read. Default: True."""
    load_output: bool
    """Whether results and errors are read. Default: True."""
    queues_only: bool
    """Only what is on a queue: without `status` what waits or runs there. Default: False."""
    was_forked_from: bool | None
    """Whether it was forked."""
    is_fork: bool | None
    """Whether it is a fork."""
    has_parent: bool | None
    """Whether a workflow started it."""
    attributes: dict[str, Any] | None
    """With these attributes, among others."""
    undispatchable: bool | None
    """Whether it waits and nobody can take it: `WorkflowStatus.undispatchable` says why."""
    application_name: str | list[str] | None
    """Of these applications, and of nobody; an empty list: of all. Default: of this one, and of nobody."""


_KNOWN = frozenset(ListOptions.__annotations__)
_ACTIVE = tuple(status for status in WorkflowStatusString if status.active)


def list_statuses(
    database: SystemDatabase,
    application: str | None,
    options: ListOptions,
    *,
    noted: bool = True,
    call: str = "list_workflows",
) -> list[WorkflowStatus]:
    """The workflows that match, oldest first unless `sort_desc`. Errors name the `call`.

    With `noted` those that wait say why nobody takes them. What a workflow records does not: it is what every
    SDK would have recorded.

    Raises TypeError for an unknown filter and for what is no text or list of it, ValueError for a time that is not
    ISO 8601, and DBOSQueryTimeoutError when it takes too long.
    """
    unknown = sorted(set(options) - _KNOWN)
    if unknown:
        raise TypeError(f"{call}: unknown filters {', '.join(unknown)}; known are {', '.join(sorted(_KNOWN))}")
    stuck = options.get("undispatchable")
    wanted = WorkflowFilter(
        workflow_ids=_values(options, "workflow_ids"),
        status=_statuses(options),
        undispatchable=stuck,
        refused=frozenset() if stuck is None else database.load_facts([]).refused,
        name=_values(options, "name"),
        app_version=_values(options, "app_version"),
        forked_from=_values(options, "forked_from"),
        parent_workflow_id=_values(options, "parent_workflow_id"),
        user=_values(options, "user"),
        queue_name=_values(options, "queue_name"),
        executor_id=_values(options, "executor_id"),
        schedule_name=_values(options, "schedule_name"),
        workflow_id_prefix=_values(options, "workflow_id_prefix"),
        created_from_ms=_epoch_ms("start_time", options.get("start_time")),
        created_to_ms=_epoch_ms("end_time", options.get("end_time")),
        completed_from_ms=_epoch_ms("completed_after", options.get("completed_after")),
        completed_to_ms=_epoch_ms("completed_before", options.get("completed_before")),
        dequeued_from_ms=_epoch_ms("dequeued_after", options.get("dequeued_after")),
        dequeued_to_ms=_epoch_ms("dequeued_before", options.get("dequeued_before")),
        queued_only=options.get("queues_only", False),
        was_forked_from=options.get("was_forked_from"),
        is_fork=options.get("is_fork"),
        has_parent=options.get("has_parent"),
        attributes=check_attributes(options.get("attributes")),
        # Whoever names IDs means these, whosever they are.
        applications=listed_applications(
            _values(options, "application_name"), None if options.get("workflow_ids") is not None else application
        ),
        limit=check_count("limit", options.get("limit")),
        offset=check_count("offset", options.get("offset")),
        newest_first=options.get("sort_desc", False),
    )
    rows = database.list_workflows(
        wanted, load_input=options.get("load_input", True), load_output=options.get("load_output", True)
    )
    statuses = [workflow_status(row) for row in rows]
    if noted:
        note_obstacles(database, statuses)
    return statuses


def list_queued_statuses(
    database: SystemDatabase, application: str | None, options: ListOptions, *, noted: bool = True
) -> list[WorkflowStatus]:
    """The workflows on queues that match; without `status`, those that wait or run."""
    on_queues: ListOptions = {**options, "queues_only": True}
    return list_statuses(database, application, on_queues, noted=noted, call="list_queued_workflows")


def find_status(database: SystemDatabase, workflow_id: str, *, noted: bool = True) -> WorkflowStatus | None:
    """One workflow; None when there is none. Raises TypeError or ValueError for what cannot be an ID."""
    known = check_topic(workflow_id, subject="workflow ID")
    found = list_statuses(database, None, {"workflow_ids": [known]}, noted=noted)
    return found[0] if found else None


def load_status(database: SystemDatabase, workflow_id: str) -> WorkflowStatus:
    """One workflow. Raises DBOSNonExistentWorkflowError when there is none."""
    return existing(find_status(database, workflow_id), workflow_id)


def existing(status: WorkflowStatus | None, workflow_id: str) -> WorkflowStatus:
    """The status that was found. Raises DBOSNonExistentWorkflowError when there was none."""
    if status is None:
        raise DBOSNonExistentWorkflowError("target", workflow_id)
    return status


def list_step_infos(database: SystemDatabase, wanted: StepFilter) -> list[dict[str, Any]]:
    """The recorded steps of a workflow in order, as dictionaries. Raises DBOSQueryTimeoutError."""
    return [_step(row) for row in database.list_steps(wanted)]


def workflow_status(row: Row) -> WorkflowStatus:
    """A row as a status. A value that this process cannot decode is given as its stored text."""
    status = WorkflowStatus()
    serialization = row["serialization"]
    status.workflow_id = row["workflow_uuid"]
    status.status = row["status"]
    status.name = row["name"]
    status.class_name = row["class_name"]
    status.config_name = row["config_name"]
    status.authenticated_user = row["authenticated_user"]
    status.assumed_role = row["assumed_role"]
    status.authenticated_roles = _decoded(row, "authenticated_roles", _roles)
    status.input = _input(row)
    status.output = _decoded(row, "output", lambda text: decode_value(text, serialization))
    status.error = _decoded(row, "error", lambda text: decode_error(text, serialization))
    status.created_at = row["created_at"]
    status.updated_at = row["updated_at"]
    status.queue_name = row["queue_name"]
    status.executor_id = row["executor_id"]
    status.app_version = row["application_version"]
    status.workflow_timeout_ms = row["workflow_timeout_ms"]
    status.workflow_deadline_epoch_ms = row["workflow_deadline_epoch_ms"]
    status.deduplication_id = row["deduplication_id"]
    status.priority = row["priority"]
    status.queue_partition_key = row["queue_partition_key"]
    status.forked_from = row["forked_from"]
    status.was_forked_from = bool(row["was_forked_from"])
    status.parent_workflow_id = row["parent_workflow_id"]
    status.dequeued_at = row["started_at_epoch_ms"]
    status.delay_until_epoch_ms = row["delay_until_epoch_ms"]
    status.completed_at = row["completed_at"]
    status.attributes = _attributes(row)
    status.schedule_name = row["schedule_name"]
    status.application_name = row["application_name"]
    status.app_id = row["application_id"]
    status.recovery_attempts = row["recovery_attempts"]
    return status


def _step(row: Row) -> dict[str, Any]:
    serialization = row["serialization"]
    return {
        "function_id": row["function_id"],
        "function_name": row["function_name"],
        "output": _decoded(row, "output", lambda text: decode_value(text, serialization)),
        "error": _decoded(row, "error", lambda text: decode_error(text, serialization)),
        "child_workflow_id": row["child_workflow_id"],
        "started_at_epoch_ms": row["started_at_epoch_ms"],
        "completed_at_epoch_ms": row["completed_at_epoch_ms"],
    }


def _input(row: Row) -> WorkflowInputs | None:
    def decode(text: str) -> WorkflowInputs:
        args, kwargs = decode_inputs(text, row["serialization"])
        return {"args": args, "kwargs": kwargs}

    inputs: WorkflowInputs | None = _decoded(row, "inputs", decode)
    return inputs


def _attributes(row: Row) -> dict[str, Any] | None:
    if row["attributes"] in {None, "null"}:
        return None
    attributes: dict[str, Any] = _decoded(row, "attributes", json.loads)
    return attributes


def _roles(text: str) -> list[str]:
    try:
        roles = json.loads(text)
    except ValueError as error:
        raise UndecodableError(f"not JSON: {error}") from error
    if not isinstance(roles, list):
        raise UndecodableError(f"expected an array of roles, got {type(roles).__name__}")
    return roles


def _decoded(row: Row, column: str, decode: Any) -> Any:
    text = row.get(column)
    if text is None:
        return None
    try:
        return decode(text)
    except ValueError as error:
        logger.warning("The %s of workflow %s cannot be read: %s", column, row["workflow_uuid"], error)
        return text


def _statuses(options: ListOptions) -> Sequence[str] | None:
    """The statuses to list; None for all. On queues that is what waits or runs, unless the caller says otherwise."""
    chosen = _values(options, "status")
    if chosen is not None:
        return chosen
    if options.get("undispatchable"):
        return WAITING  # their indexes are small
    return _ACTIVE if options.get("queues_only") else None


def _values(options: ListOptions, name: str) -> Sequence[str] | None:
    choice: Any = options.get(name)
    if choice is None:
        return None
    values = [choice] if isinstance(choice, str) or not isinstance(choice, Iterable) else list(choice)
    if isinstance(choice, Mapping) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name}: expected text or a list of it, got {choice!r}")
    return values


def _epoch_ms(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (TypeError, ValueError):
        raise ValueError(f"{option}: expected ISO 8601 text such as 2026-01-31T12:00:00+00:00, got {text!r}") from None
