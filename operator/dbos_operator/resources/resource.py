"""An object of one of our kinds as the loop sees it, and the workloads beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import Identity, ObjectKey, TargetRef
from dbos_operator.resources.selector import Selector
from dbos_operator.resources.specs import DatabaseSpec, QueueSpec, ScheduleSpec

SpecT = TypeVar("SpecT", bound=DatabaseSpec | QueueSpec | ScheduleSpec)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not as it should be: the reason of a condition, and its sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[SpecT]):
    """One object: its identity, its spec or what is wrong with it, and the status it now shows."""

    identity: Identity
    spec: SpecT | None
    problem: Problem | None = None
    """Set exactly when `spec` is None."""
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A Deployment or StatefulSet, as far as scaling needs to know it."""

    target: TargetRef
    uid: str
    replicas: int
    ready_replicas: int
    selector: Selector
    """Which pods are its own."""
    template: str = ""
    """Changes whenever the pod template does: what its pods were seen to run holds for it alone. Empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredSnapshot:
    """Everything that the API server wants, at one moment."""

    databases: Mapping[ObjectKey, Resource[DatabaseSpec]]
    queues: Mapping[ObjectKey, Resource[QueueSpec]]
    schedules: Mapping[ObjectKey, Resource[ScheduleSpec]]
    workloads: Mapping[TargetRef, Workload]
