"""What a status says, and whether it is worth writing.

A status has two classes of content. The contract (observedGeneration, conditions, what the object is bound
to) is written as soon as it changes. Telemetry (depths, replicas, next runs) is rounded to what a person
can use and written now and then. A number that is not known leaves what was shown: unknown is never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dbos_operator.resources.conditions import Condition, merge_conditions
from dbos_operator.resources.timestamps import format_moment, round_down

OLDEST_STEP = timedelta(seconds=10)
MOST_NEXT_RUNS = 5

_TELEMETRY = frozenset(
    {
        *("queues", "schedules"),
        *("enqueued", "delayed", "running", "oldestEnqueued", "scaling"),
        *("nextRuns", "lastFired", "lastRun"),
    }
)


class FiredBy(StrEnum):
    """Who starts the runs of a schedule."""

    OPERATOR = "Operator"
    WORKERS = "Workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """What a DBOSDatabase shows. None: not known."""

    generation: int
    conditions: Sequence[Condition]
    schema_version: int | None = None
    application_version: str | None = None
    queues: int | None = None
    schedules: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingStatus:
    """Why a target has the replicas that it has."""

    replicas: int
    wanted: int
    demand: int | None = None
    useful: int | None = None
    limited_by: str = ""
    message: str = ""
    hold_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """How much work a queue holds."""

    enqueued: int
    delayed: int
    running: int
    oldest_enqueued: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """What a DBOSQueue shows. A depth of None is not known; scaling of None is not asked for."""

    generation: int
    conditions: Sequence[Condition]
    queue_name: str | None = None
    depth: QueueDepth | None = None
    scaling: ScalingStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """What a DBOSSchedule shows. None: not known."""

    generation: int
    conditions: Sequence[Condition]
    schedule_name: str | None = None
    next_runs: Sequence[datetime] | None = None
    last_fired: datetime | None = None
    last_workflow_id: str | None = None
    fired_by: FiredBy | None = None


def render_database(status: DatabaseStatus, old: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The whole status of a DBOSDatabase, made from the one that it shows now."""
    told = {
        "schemaVersion": status.schema_version,
        "applicationVersion": status.application_version,
        "queues": status.queues,
        "schedules": status.schedules,
    }
    return _common(status, old, now) | _known_or_kept(told, old)


def render_queue(status: QueueStatus, old: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The whole status of a DBOSQueue, made from the one that it shows now."""
    told: dict[str, Any] = {"queueName": status.queue_name}
    depth = status.depth
    if depth is None:
        told |= dict.fromkeys(("enqueued", "delayed", "running", "oldestEnqueued"))
    else:
        told |= {"enqueued": bucket(depth.enqueued), "delayed": bucket(depth.delayed), "running": bucket(depth.running)}
        if depth.oldest_enqueued is not None:
            told["oldestEnqueued"] = format_moment(round_down(depth.oldest_enqueued, OLDEST_STEP))
    if status.scaling is not None:
        told["scaling"] = _scaling(status.scaling)
    return _common(status, old, now) | _known_or_kept(told, old)


def render_schedule(status: ScheduleStatus, old: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The whole status of a DBOSSchedule, made from the one that it shows now.

    The next runs are told as the clocks of the schedule's time zone show them.
    """
    runs, workflow_id = status.next_runs, status.last_workflow_id
    told = {
        "scheduleName": status.schedule_name,
        "nextRuns": None if runs is None else [run.isoformat(timespec="seconds") for run in runs[:MOST_NEXT_RUNS]],
        "lastFired": None if status.last_fired is None else format_moment(status.last_fired),
        "lastRun": None if workflow_id is None else {"workflowID": workflow_id},
        "firedBy": None if status.fired_by is None else status.fired_by.value,
    }
    return _common(status, old, now) | _known_or_kept(told, old)


def bucket(count: int) -> int:
    """A count as it is shown: exact below 100, above that to two digits, so that small moves write nothing."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return count // step * step


def status_differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether there is anything worth writing."""
    return contract_changed(old, new) or telemetry_changed(old, new)


def contract_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether something changed that others wait for: written at once, telemetry with it."""
    return _contract(old) != _contract(new)


def something_happened(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether replicas changed or a schedule fired: telemetry that a person looks for soon after."""
    return _happenings(old) != _happenings(new)


def telemetry_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a printed number, time or message changed: written now and then."""
    return _telemetry(old) != _telemetry(new)


def status_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that makes the new status of the old one: `null` for what is no longer told."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := status_patch(before, value):
                patch[name] = inner
        elif value != before:
            patch[name] = value
    return patch


def _common(
    status: DatabaseStatus | QueueStatus | ScheduleStatus, old: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    before = old.get("conditions") or ()
    return {
        "observedGeneration": status.generation,
        "conditions": merge_conditions(before, status.conditions, generation=status.generation, now=now),
    }


def _known_or_kept(told: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """What is told; where that is None, what was shown before."""
    merged = {name: old.get(name) if value is None else value for name, value in told.items()}
    return {name: value for name, value in merged.items() if value is not None}


def _scaling(scaling: ScalingStatus) -> dict[str, Any]:
    told = {
        "replicas": scaling.replicas,
        "wanted": scaling.wanted,
        "summary": f"{scaling.replicas}/{scaling.wanted}",
        "demand": None if scaling.demand is None else bucket(scaling.demand),
        "useful": None if scaling.useful is None else bucket(scaling.useful),
        "limitedBy": scaling.limited_by or None,
        "message": scaling.message or None,
        "holdUntil": None if scaling.hold_until is None else format_moment(scaling.hold_until),
    }
    return {name: value for name, value in told.items() if value is not None}


def _contract(status: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in status.items() if name not in _TELEMETRY and name != "conditions"}
    conditions = [
        tuple(condition.get(part) for part in ("type", "status", "reason", "observedGeneration"))
        for condition in status.get("conditions") or ()
    ]
    return {**rest, "conditions": conditions}


def _happenings(status: Mapping[str, Any]) -> tuple[Any, Any]:
    return (status.get("scaling") or {}).get("summary"), status.get("lastFired")


def _telemetry(status: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in status.items() if name in _TELEMETRY}
    # The sentence repeats the numbers beside it, unrounded: it is refreshed with them and asks for no write itself.
    scaling = {name: value for name, value in (rest.get("scaling") or {}).items() if name != "message"}
    messages = [condition.get("message") for condition in status.get("conditions") or ()]
    return {**rest, "scaling": scaling, "messages": messages}
