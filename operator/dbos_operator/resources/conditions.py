"""Conditions: what a status says about an object, in the words that kubectl, Helm, Flux and Argo CD read.

`Ready`, `Reconciling` and `Stalled` are always told, as kstatus asks: waiting for a change ends when Ready
is True, goes on while Reconciling is True and fails with the message while Stalled is True.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dbos_operator.reasons import Reason
from dbos_operator.resources.timestamps import format_moment


class ConditionType(StrEnum):
    """The types of conditions; those after Stalled are told only while they are relevant."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCALING_ACTIVE = "ScalingActive"
    SCHEMA_SUPPORTED = "SchemaSupported"


class Truth(StrEnum):
    """What a condition can be."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"

    @classmethod
    def of(cls, value: bool) -> Truth:
        """True or False."""
        return cls.TRUE if value else cls.FALSE


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without the time at which it came about."""

    type: ConditionType
    status: Truth
    reason: Reason
    message: str = ""


def ready(reason: Reason, message: str = "") -> tuple[Condition, ...]:
    """The object is in force; nothing is left to do."""
    return _kstatus(reason, message, ConditionType.READY)


def reconciling(reason: Reason, message: str) -> tuple[Condition, ...]:
    """The object is not in force yet, and will be without anybody's help."""
    return _kstatus(reason, message, ConditionType.RECONCILING)


def stalled(reason: Reason, message: str) -> tuple[Condition, ...]:
    """The object is not in force until somebody does what the message says."""
    return _kstatus(reason, message, ConditionType.STALLED)


def merge_conditions(
    old: Sequence[Mapping[str, Any]], new: Sequence[Condition], *, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The conditions of a status: exactly the new ones, each with the time since when its status holds."""
    before = {condition.get("type"): condition for condition in old}
    return [_render(condition, before.get(condition.type.value), generation, now) for condition in new]


def unready_for(shown: Sequence[Mapping[str, Any]], now: datetime) -> timedelta:
    """How long an object has not been ready, by the conditions that it shows."""
    for condition in shown:
        since = condition.get("lastTransitionTime")
        if condition.get("type") == ConditionType.READY and condition.get("status") == Truth.FALSE and since:
            return now - datetime.fromisoformat(since)
    return timedelta(0)


def _render(condition: Condition, before: Mapping[str, Any] | None, generation: int, now: datetime) -> dict[str, Any]:
    since = format_moment(now)
    if before is not None and before.get("status") == condition.status:
        since = before.get("lastTransitionTime") or since
    return {
        "type": condition.type.value,
        "status": condition.status.value,
        "reason": condition.reason.value,
        "message": condition.message,
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _kstatus(reason: Reason, message: str, true: ConditionType) -> tuple[Condition, ...]:
    """The three conditions of which exactly one is True. Ready always explains itself."""
    told = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
    return tuple(
        Condition(kind, Truth.of(kind is true), reason, message if kind in {true, ConditionType.READY} else "")
        for kind in told
    )
