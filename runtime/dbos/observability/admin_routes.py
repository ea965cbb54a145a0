"""What the admin server answers: paths, bodies and shapes, as other releases of DBOS for Python have them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from dbos._error import DBOSException
from dbos._sys_db import WorkflowStatus
from dbos.store.rows import QueueRow


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: JSON text, or nothing."""

    status: HTTPStatus
    body: str = ""


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What a fork is asked to be."""

    start_step: int = 1
    new_workflow_id: str | None = None
    application_version: str | None = None


class Administration(Protocol):
    """What the routes ask of the application."""

    def deactivate(self) -> None:
        """Fire no more schedules."""
        ...

    def queues(self) -> Sequence[QueueRow]:
        """The queues that this application serves."""
        ...

    def recover(self, executor_ids: list[str]) -> Sequence[str]:
        """Make runnable again what these executors left; the IDs."""
        ...

    def collect_garbage(self, cutoff_ms: int | None, keep: int | None) -> None:
        """Delete what ended before a time, or is not among the newest."""
        ...

    def cancel_before(self, cutoff_ms: int) -> None:
        """Cancel what is active and was created before a time."""
        ...

    def workflows(self, filters: Mapping[str, Any], *, queued: bool) -> Sequence[WorkflowStatus]:
        """The workflows that match filters of list_workflows."""
        ...

    def workflow(self, workflow_id: str) -> WorkflowStatus | None:
        """One workflow."""
        ...

    def steps(self, workflow_id: str) -> Sequence[Mapping[str, Any]]:
        """The recorded steps of a workflow."""
        ...

    def cancel(self, workflow_id: str) -> None:
        """Cancel one."""
        ...

    def resume(self, workflow_id: str) -> None:
        """Resume one."""
        ...

    def fork(self, workflow_id: str, wanted: ForkRequest) -> str:
        """Fork one; the ID of the copy."""
        ...


class BadRequestError(ValueError):
    """The body of a request is not what the path expects."""


Handler = Callable[[Administration, bytes], Answer]
IdHandler = Callable[[Administration, bytes, str], Answer]


def answer(admin: Administration, method: str, path: str, body: bytes) -> Answer:
    """The answer to a request. What DBOS refuses is a 500 with its error, a wrong body a 400 that names it."""
    try:
        handler = _PLAIN.get((method, path))
        if handler is not None:
            return handler(admin, body)
        found = _OF_A_WORKFLOW.fullmatch(path)
        by_id = None if found is None else _BY_ID.get((method, found["act"] or ""))
        if found is not None and by_id is not None:
            return by_id(admin, body, found["id"])
    except (BadRequestError, TypeError, ValueError) as error:
        return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
    except DBOSException as error:
        return _json({"error": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)
    return _json({"error": f"there is no {method} {path}"}, HTTPStatus.NOT_FOUND)


_OF_A_WORKFLOW = re.compile(r"/workflows/(?P<id>.+?)(?:/(?P<act>steps|cancel|resume|restart|fork))?")


def _recover(admin: Administration, body: bytes) -> Answer:
    ids = _parse(body)
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise BadRequestError(f"expected an array of executor IDs, got {ids!r}")
    return _json(list(admin.recover(ids)))


def _collect(admin: Administration, body: bytes) -> Answer:
    wanted = _object(body)
    cutoff, keep = _whole(wanted, "cutoff_epoch_timestamp_ms"), _whole(wanted, "rows_threshold", least=1)
    admin.collect_garbage(cutoff, keep)
    return Answer(HTTPStatus.NO_CONTENT)


def _time_out(admin: Administration, body: bytes) -> Answer:
    cutoff = _whole(_object(body), "cutoff_epoch_timestamp_ms")
    if cutoff is None:
        raise BadRequestError("cutoff_epoch_timestamp_ms: expected epoch milliseconds, got nothing")
    admin.cancel_before(cutoff)
    return Answer(HTTPStatus.NO_CONTENT)


def _deactivate(admin: Administration, _body: bytes) -> Answer:
    admin.deactivate()
    return Answer(HTTPStatus.OK, "deactivated")


def _describe_queues(admin: Administration, _body: bytes) -> Answer:
    return _json([_queue(row) for row in admin.queues()])


def _list_workflows(admin: Administration, body: bytes) -> Answer:
    return _list(admin, body, queued=False)


def _list_queued(admin: Administration, body: bytes) -> Answer:
    return _list(admin, body, queued=True)


def _list(admin: Administration, body: bytes, *, queued: bool) -> Answer:
    filters = _filters(_object(body) if body.strip() else {})
    return _json([_workflow(status) for status in admin.workflows(filters, queued=queued)])


def _get(admin: Administration, _body: bytes, workflow_id: str) -> Answer:
    status = admin.workflow(workflow_id)
    if status is None:
        return _json({"error": f"there is no workflow {workflow_id!r}"}, HTTPStatus.NOT_FOUND)
    return _json(_workflow(status))


def _get_steps(admin: Administration, _body: bytes, workflow_id: str) -> Answer:
    as_they_are = {"function_id", "function_name", "child_workflow_id"}
    return _json(
        [
            {name: value if name in as_they_are else _text(value) for name, value in step.items()}
            for step in admin.steps(workflow_id)
        ]
    )


def _cancel(admin: Administration, _body: bytes, workflow_id: str) -> Answer:
    admin.cancel(workflow_id)
    return Answer(HTTPStatus.NO_CONTENT)


def _resume(admin: Administration, _body: bytes, workflow_id: str) -> Answer:
    admin.resume(workflow_id)
    return Answer(HTTPStatus.NO_CONTENT)


def _restart(admin: Administration, _body: bytes, workflow_id: str) -> Answer:
    return _json({"workflow_id": admin.fork(workflow_id, ForkRequest())})


def _fork(admin: Administration, body: bytes, workflow_id: str) -> Answer:
    given = _object(body) if body.strip() else {}
    step = _whole(given, "start_step")
    wanted = ForkRequest(
        start_step=1 if step is None else step,
        new_workflow_id=_name(given, "new_workflow_id"),
        application_version=_name(given, "application_version"),
    )
    return _json({"workflow_id": admin.fork(workflow_id, wanted)})


_PLAIN: Mapping[tuple[str, str], Handler] = {
    ("GET", "/dbos-healthz"): lambda _admin, _body: Answer(HTTPStatus.OK, "healthy"),
    ("GET", "/conductor"): lambda _admin, _body: _json({"status": True}),
    ("GET", "/deactivate"): _deactivate,
    ("GET", "/dbos-workflow-queues-metadata"): _describe_queues,
    ("POST", "/dbos-workflow-recovery"): _recover,
    ("POST", "/dbos-garbage-collect"): _collect,
    ("POST", "/dbos-global-timeout"): _time_out,
    ("POST", "/workflows"): _list_workflows,
    ("POST", "/queues"): _list_queued,
}
_BY_ID: Mapping[tuple[str, str], IdHandler] = {
    ("GET", ""): _get,
    ("GET", "steps"): _get_steps,
    ("POST", "cancel"): _cancel,
    ("POST", "resume"): _resume,
    ("POST", "restart"): _restart,
    ("POST", "fork"): _fork,
}

_FILTERS: Mapping[str, tuple[str, type]] = {
    "workflow_uuids": ("workflow_ids", list),
    "authenticated_user": ("user", str),
    "start_time": ("start_time", str),
    "end_time": ("end_time", str),
    "status": ("status", str),
    "application_version": ("app_version", str),
    "workflow_name": ("name", str),
    "limit": ("limit", int),
    "offset": ("offset", int),
    "sort_desc": ("sort_desc", bool),
    "workflow_id_prefix": ("workflow_id_prefix", str),
    "forked_from": ("forked_from", str),
    "parent_workflow_id": ("parent_workflow_id", str),
    "queue_name": ("queue_name", str),
    "load_input": ("load_input", bool),
    "load_output": ("load_output", bool),
}
"""Keys of a request, what list_workflows calls them, and their types; where text is expected a list of texts may be."""
_ONE_TEXT = {"start_time", "end_time"}


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of a request; keys that nobody knows are passed over, as other releases do."""
    filters: dict[str, Any] = {"load_input": False, "load_output": False}
    for key, (name, kind) in _FILTERS.items():
        value = given.get(key)
        if value is None:
            continue
        if kind is int:
            filters[name] = _whole(given, key)
        elif kind is bool:
            if not isinstance(value, bool):
                raise BadRequestError(f"{key}: expected true or false, got {value!r}")
            filters[name] = value
        else:
            listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
            if not (listed and key not in _ONE_TEXT) and not (isinstance(value, str) and kind is str):
                raise BadRequestError(f"{key}: expected {'a list of texts' if kind is list else 'text'}, got {value!r}")
            filters[name] = value
    return filters


def _workflow(status: WorkflowStatus) -> dict[str, Any]:
    return {
        "WorkflowUUID": status.workflow_id,
        "Status": status.status,
        "WorkflowName": status.name,
        "WorkflowClassName": status.class_name,
        "WorkflowConfigName": status.config_name,
        "AuthenticatedUser": status.authenticated_user,
        "AssumedRole": status.assumed_role,
        "AuthenticatedRoles": _text(status.authenticated_roles),
        "Input": _text(status.input),
        "Output": _text(status.output),
        "Error": _text(status.error),
        "CreatedAt": _text(status.created_at),
        "UpdatedAt": _text(status.updated_at),
        "QueueName": status.queue_name,
        "ApplicationVersion": status.app_version,
        "ExecutorID": status.executor_id,
        "WorkflowTimeoutMS": _text(status.workflow_timeout_ms),
        "WorkflowDeadlineEpochMS": _text(status.workflow_deadline_epoch_ms),
        "DeduplicationID": status.deduplication_id,
        "Priority": _text(status.priority),
        "QueuePartitionKey": status.queue_partition_key,
        "ForkedFrom": status.forked_from,
        "WasForkedFrom": status.was_forked_from,
        "ParentWorkflowID": status.parent_workflow_id,
        "DequeuedAt": _text(status.dequeued_at),
        "DelayUntilEpochMS": _text(status.delay_until_epoch_ms),
        "CompletedAt": _text(status.completed_at),
        "Attributes": None if status.attributes is None else json.dumps(status.attributes),
        "ScheduleName": status.schedule_name,
        "ApplicationName": status.application_name,
    }


def _queue(row: QueueRow) -> dict[str, Any]:
    limits = row.limits
    told: dict[str, Any] = {"name": row.name}
    if limits.concurrency is not None:
        told["concurrency"] = limits.concurrency
    if limits.worker_concurrency is not None:
        told["workerConcurrency"] = limits.worker_concurrency
    if limits.rate_limit is not None:
        told["rateLimit"] = {"limit": limits.rate_limit, "period": limits.rate_period_seconds}
    return told


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"Invalid JSON input: {error}") from error


def _object(body: bytes) -> dict[str, Any]:
    value = _parse(body)
    if not isinstance(value, dict):
        raise BadRequestError(f"expected a JSON object, got {value!r}")
    return value


def _whole(given: Mapping[str, Any], key: str, *, least: int = 0) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise BadRequestError(f"{key}: expected a whole number, at least {least}, got {value!r}")
    return value


def _name(given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f"{key}: expected text, got {value!r}")
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, json.dumps(value))
