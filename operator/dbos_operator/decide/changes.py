"""What can be done to a system database: each change carries what was observed, so a stale one changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from dbos_operator.decide.rows import Columns, ExecutorRecord, Owned
from dbos_operator.resources.identity import ClusterId, Kind, Uid


class Write(StrEnum):
    """How a row comes to say what its resource says."""

    INSERT = "insert"
    UPDATE = "update"
    RECORD = "record"
    """The row is right already; only the operator's own record changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWrite:
    """A row of a resource, and the record that makes it the resource's."""

    write: Write
    row_id: str
    columns: Columns
    """Every column of a new row; of an old one those that change."""
    seen: Columns
    """What these columns held when they were read."""
    record: Owned
    record_seen: Uid | None
    """Whose record it was when it was read; None when there was none."""
    application_name: str | None = None
    """Of a new row; an old one gets it too, unless it is None."""


class Remove(StrEnum):
    """What becomes of the row of a deleted resource."""

    PAUSE = "pause"
    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRemoval:
    """The end of an ownership: the record goes, and the row as the policy says."""

    how: Remove
    kind: Kind
    name: str
    row_id: str
    uid: Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One due run of a schedule."""

    workflow_id: str
    other_ids: tuple[str, ...]
    """IDs under which a worker that still has the old time zone fires the same instant."""
    uid: Uid
    schedule_name: str
    schedule_id: str
    due: datetime
    """In the zone of the schedule."""
    workflow_name: str
    class_name: str | None
    queue_name: str
    application_name: str | None
    inputs: str


@dataclass(frozen=True, slots=True)
class SeeExecutor:
    """A pod that is new, came back or shows another version."""

    record: ExecutorRecord


@dataclass(frozen=True, slots=True)
class LoseExecutor:
    """A recorded pod that is no longer in the API."""

    cluster_id: ClusterId
    namespace: str
    executor_id: str
    pod_uid: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ForgetExecutor:
    """A pod that has been gone for so long that nothing of it can be left."""

    cluster_id: ClusterId
    namespace: str
    executor_id: str
    pod_uid: str


@dataclass(frozen=True, slots=True)
class Recover:
    """Make what a vanished executor left PENDING runnable again.

    Only what it has held for the grace period: an executor that is cut off and
    still claims loses each claim once, not over and over.
    """

    executor_id: str
    grace: timedelta


Change: TypeAlias = RowWrite | RowRemoval | Fire | SeeExecutor | LoseExecutor | ForgetExecutor | Recover


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a change: rows that it touched, or why it could not be made."""

    rows: int
    error: str | None = None

    @property
    def took_effect(self) -> bool:
        """Whether anything changed."""
        return self.rows > 0
