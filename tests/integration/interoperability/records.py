"""Rows of a system database without what differs from run to run: times become relations, tokens become marks."""

from __future__ import annotations

import base64
import pickle
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from dbos import WorkflowStatus

Row = dict[str, Any]

_TOKEN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PICKLE = "gA"
"""How pickles of protocol 4 begin in base64."""
_APART_MS = 5000
"""How far a moment of a program's clock, taken before it writes, may lie before the database's."""
_UNEQUAL = {
    *("created_at", "updated_at", "dequeued_at", "completed_at", "delay_until_epoch_ms"),
    *("started_at_epoch_ms", "completed_at_epoch_ms"),
    *("shard_key", "parent_shard_key", "child_shard_key"),  # of an edition that is not published
}


def assert_equal_rows(ours: Mapping[str, Row], theirs: Mapping[str, Row]) -> None:
    """Fail naming each column that differs, of rows by their keys."""
    assert theirs, "nothing to compare with"
    assert set(ours) == set(theirs), f"only one has {sorted(set(ours) ^ set(theirs))}"
    differing = {
        key: {
            column: f"ours {ours[key].get(column, '<absent>')!r}, theirs {row.get(column, '<absent>')!r}"
            for column in sorted({*row, *ours[key]})
            if row.get(column, "<absent>") != ours[key].get(column, "<absent>")
        }
        for key, row in theirs.items()
        if ours[key] != row
    }
    assert not differing, differing


def comparable_workflow(row: Mapping[str, Any]) -> Row:
    """A row of workflow_status."""
    told = dict(row)
    created, updated, completed = told.pop("created_at"), told.pop("updated_at"), told.pop("completed_at")
    started, delay = told.pop("started_at_epoch_ms"), told.pop("delay_until_epoch_ms")
    deadline = told.pop("workflow_deadline_epoch_ms")
    bounce = told.pop("debounce_deadline_epoch_ms")
    owner, creator = told["owner_xid"], told["creator_xid"]
    told |= {
        "owner_xid": _mark(owner),
        "creator_xid": _mark(creator),
        "owner is creator": owner is not None and owner == creator,
        "updated is completed": completed is not None and updated == completed,
        "updated is started": completed is None and started is not None and updated == started,
        "completed": completed is not None,
        "started": started is not None,
        "in order": _in_order(created, started, completed),
        "delay": None if delay is None else _roughly((delay - created) / 1000),
        "put off in min": None if bounce is None else round((bounce - created) / 60_000),
        "deadline in min": None if deadline is None else round((deadline - (started or created)) / 60_000),
    }
    return told


def comparable_step(row: Mapping[str, Any]) -> Row:
    """A row of operation_outputs."""
    told = dict(row)
    started, completed = told.pop("started_at_epoch_ms"), told.pop("completed_at_epoch_ms")
    stored = told.pop("retention_timestamp")
    output = row["output"]
    if row["function_name"] == "DBOS.sleep":  # how long after its begin
        output = [_roughly(float(output) - started / 1000)]
    told |= {
        "in order": started <= completed and started <= stored + _APART_MS,
        "output": _value(output) if isinstance(output, str) else output,
        "error": _value(row["error"]),
    }
    return told


def comparable_payload(row: Mapping[str, Any]) -> Row:
    """A row of workflow_input or workflow_output."""
    told = {name: value for name, value in row.items() if name != "retention_timestamp"}
    return told | {name: _value(row[name]) for name in ("inputs", "output", "error") if name in row}


def comparable_message(row: Mapping[str, Any]) -> Row:
    """A row of notifications."""
    told = {name: value for name, value in row.items() if name != "created_at_epoch_ms"}
    return told | {"message_uuid": _mark(row["message_uuid"]), "message": _value(row["message"])}


def comparable_value(row: Mapping[str, Any]) -> Row:
    """A row of workflow_events, workflow_events_history or streams."""
    return {**row, "value": _value(row["value"])}


def comparable_queue(row: Mapping[str, Any]) -> Row:
    """A row of queues."""
    told = {name: value for name, value in row.items() if name not in {"created_at", "updated_at"}}
    return told | {"queue_id": _mark(row["queue_id"]), "touched": row["updated_at"] >= row["created_at"] - _APART_MS}


def comparable_version(row: Mapping[str, Any]) -> Row:
    """A row of application_versions."""
    told = {name: value for name, value in row.items() if name not in {"created_at", "version_timestamp"}}
    return told | {"version_id": _mark(row["version_id"]), "new": row["created_at"] == row["version_timestamp"]}


def comparable_schedule(row: Mapping[str, Any]) -> Row:
    """A row of workflow_schedules."""
    return {**row, "schedule_id": _mark(row["schedule_id"]), "context": _value(row["context"])}


def _value(text: str | None) -> Any:
    """A stored text; a pickle is opened, since equal values have several pickles."""
    if text is None or not text.startswith(_PICKLE):
        return text
    return ("pickle", _told(pickle.loads(base64.b64decode(text))))


def _told(value: Any) -> Any:
    if isinstance(value, BaseException):
        reduced: Any = value.__reduce__()
        return [f"{type(value).__module__}.{type(value).__qualname__}", *map(_told, reduced[1:])]
    if isinstance(value, WorkflowStatus):
        return {name: _told(member) for name, member in vars(value).items() if name not in _UNEQUAL}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(_told, value)]
    if isinstance(value, dict):
        told = {name: _told(member) for name, member in value.items() if name not in _UNEQUAL}
        return told | {"schedule_id": _mark(value["schedule_id"])} if "schedule_id" in value else told
    return value


def _roughly(seconds: float) -> str:
    """A time from one moment to another; a busy machine may have taken some seconds between the two."""
    if seconds < 3:
        return "soon"
    if seconds < 30:
        return "some seconds"
    return f"{round(seconds / 60)} min" if seconds < 86_400 else f"{round(seconds / 86_400)} d"


def _in_order(*moments: int | None) -> bool:
    """Whether they follow each other, as far as moments of different transactions can tell."""
    known = [moment for moment in moments if moment is not None]
    return all(later >= earlier - _APART_MS for earlier, later in pairwise(known))


def _mark(token: str | None) -> str | None:
    return token if token is None or _TOKEN.fullmatch(token) is None else "<token>"
