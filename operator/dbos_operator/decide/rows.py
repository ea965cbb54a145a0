"""Rows as they were read, and what the operator remembers of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from dbos_operator.resources.identity import ClusterId, Kind, TargetRef, Uid
from dbos_operator.resources.selector import Selector

Value: TypeAlias = str | int | float | bool | None
Columns: TypeAlias = Mapping[str, Value]
"""Values by column, of those columns that a resource can manage."""

RowKey: TypeAlias = tuple[Kind, str]
"""A row by the kind of its resource and its own name: unique in a system schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of `queues` or `workflow_schedules`."""

    kind: Kind
    name: str
    row_id: str
    """`queue_id` or `schedule_id`: a mark when an operator created the row."""
    application_name: str | None
    columns: Columns
    last_fired_at: str | None = None

    @property
    def key(self) -> RowKey:
        """What the row is found by."""
        return (self.kind, self.name)

    @property
    def last_fired(self) -> datetime | None:
        """The newest moment for which somebody started a run, when the row says so in a form that can be read."""
        try:
            moment = datetime.fromisoformat(self.last_fired_at or "")
        except ValueError:
            return None  # nobody yet, or somebody else's text
        return moment if moment.tzinfo is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The operator's own record of a row: whose it is, and what was last written for it."""

    kind: Kind
    name: str
    cluster_id: ClusterId
    uid: Uid
    namespace: str
    resource: str
    applied: Columns
    """The managed columns with the values that were last written."""
    source: str = ""
    """What the encoded context was made from: the same source keeps the bytes that were written."""
    previous: Columns | None = None
    """What an adopted row held before."""
    active_since: datetime | None = None
    """Since when a schedule may fire; None while it is paused."""
    zone_before: str | None = None
    zone_changed_at: datetime | None = None

    @property
    def key(self) -> RowKey:
        """The row that the record is about."""
        return (self.kind, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorRecord:
    """A pod that was really seen under a target. Its name is the executor ID of the worker in it."""

    executor_id: str
    cluster_id: ClusterId
    namespace: str
    pod_uid: str
    target: TargetRef
    selector: Selector
    """By which its target found it."""
    template: str = ""
    """The pod template that the target had when the pod was first seen."""
    version: str | None = None
    """The application version that its rows carried."""
    seen_at: datetime
    gone_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """PENDING rows of one executor and version."""

    executor_id: str
    version: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRows:
    """What a system database holds of the rows that matter, at one moment."""

    rows: Mapping[RowKey, Row] = field(default_factory=dict)
    owned: Mapping[RowKey, Owned] = field(default_factory=dict)
    executors: tuple[ExecutorRecord, ...] = ()
    running: tuple[Running, ...] = ()
    latest_version: str | None = None
    schema_version: int = 0
