"""The three specs as values, every default filled in; `parse_…` in the modules beside makes them from manifests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from dbos_operator.resources.identity import ObjectKey, TargetRef


class Serializer(StrEnum):
    """How an application encodes inputs and contexts."""

    PY_PICKLE = "py_pickle"
    PORTABLE_JSON = "portable_json"


class Initialize(StrEnum):
    """Whether the operator creates a missing schema."""

    IF_EMPTY = "IfEmpty"
    NEVER = "Never"


class QueueDeletion(StrEnum):
    """What happens to the row of a deleted DBOSQueue."""

    RETAIN = "Retain"
    DELETE = "Delete"


class ScheduleDeletion(StrEnum):
    """What happens to the row of a deleted DBOSSchedule."""

    PAUSE = "Pause"
    RETAIN = "Retain"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySpec:
    """Whether and when workflows of vanished pods become runnable again."""

    enabled: bool = True
    grace_period: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsSpec:
    """Bounds of the operator's own connections to a database."""

    max: int = 4
    statement_timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSpec:
    """Which system database, and how the operator treats it."""

    secret_name: str
    secret_key: str
    schema: str = "dbos"
    application_name: str | None = None
    serializer: Serializer = Serializer.PY_PICKLE
    initialize: Initialize = Initialize.IF_EMPTY
    recovery: RecoverySpec = field(default_factory=RecoverySpec)
    connections: ConnectionsSpec = field(default_factory=ConnectionsSpec)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` starts in any `period`."""

    limit: int
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingSpec:
    """Which workload works on a queue, and how far it may be scaled."""

    target: TargetRef
    max_replicas: int
    min_replicas: int = 0
    workflows_per_replica: int
    idle_after: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """One row of `queues`, and who works on it. None: the field is not managed."""

    database: ObjectKey | None
    queue_name: str
    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate_limit: RateLimit | None = None
    polling_interval: timedelta | None = None
    deletion_policy: QueueDeletion = QueueDeletion.RETAIN
    scaling: ScalingSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """One row of `workflow_schedules`."""

    database: ObjectKey | None
    schedule_name: str
    workflow_name: str
    schedule: str
    workflow_class_name: str | None = None
    time_zone: str = "UTC"
    has_time_zone: bool = False
    """Whether the manifest names a time zone: an adopted row keeps its own when it does not."""
    context: Any = None
    has_context: bool = False
    """Whether the manifest names a context: an adopted row keeps its own when it does not."""
    queue_name: str | None = None
    suspend: bool = False
    has_suspend: bool = False
    """Whether the manifest says anything of it: an adopted row stays paused or active when it does not."""
    deletion_policy: ScheduleDeletion = ScheduleDeletion.PAUSE
