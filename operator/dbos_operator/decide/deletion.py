"""What a deleted resource still owes its row, and when its finalizer lets go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dbos_operator.decide.changes import Remove, RowRemoval
from dbos_operator.decide.columns import PAUSED
from dbos_operator.decide.ownership import Census, Claim, judge
from dbos_operator.decide.rows import Owned, Row
from dbos_operator.resources.identity import FINALIZER, Identity
from dbos_operator.resources.specs import QueueDeletion, QueueSpec, ScheduleDeletion, ScheduleSpec

LET_GO_AFTER = timedelta(minutes=5)
LET_GO_AFTER_IN_TERMINATING_NAMESPACE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionDecision:
    """The write that is owed (None: nothing is), or what it waits for."""

    removal: RowRemoval | None = None
    waits_for: str = ""


def removal_of(spec: QueueSpec | ScheduleSpec) -> Remove:
    """What the policy says."""
    match spec:
        case QueueSpec(deletion_policy=QueueDeletion.DELETE) | ScheduleSpec(deletion_policy=ScheduleDeletion.DELETE):
            return Remove.DELETE
        case ScheduleSpec(deletion_policy=ScheduleDeletion.PAUSE):
            return Remove.PAUSE
        case _:
            return Remove.KEEP


def needs_finalizer(spec: QueueSpec | ScheduleSpec) -> bool:
    """Whether the end of the resource is an act of the operator."""
    return removal_of(spec) is not Remove.KEEP


def wanted_finalizers(identity: Identity, *, held: bool) -> tuple[str, ...] | None:
    """The finalizers that an object should have, or None when it has them."""
    if held == (FINALIZER in identity.finalizers):
        return None
    if held:
        return (*identity.finalizers, FINALIZER)
    return tuple(finalizer for finalizer in identity.finalizers if finalizer != FINALIZER)


def decide_deletion(
    identity: Identity, how: Remove, row: Row | None, owned: Owned | None, census: Census, *, busy: bool
) -> DeletionDecision:
    """Decide what happens to the row of a deleted resource: a row that is not the resource's stays as it is.

    A queue goes when nothing is on it any more.
    """
    recorded = owned is not None and owned.uid == identity.uid
    if row is None or judge(identity, row, owned, census).claim is not Claim.OURS:
        return _forget(identity, owned) if recorded and owned is not None else DeletionDecision()
    if how is Remove.DELETE and busy:
        return DeletionDecision(waits_for=f"the row goes when the queue {row.name!r} is empty")
    if how is Remove.PAUSE and row.columns.get("status") == PAUSED and not recorded:
        return DeletionDecision()
    if how is Remove.KEEP and not recorded:
        return DeletionDecision()
    return DeletionDecision(
        removal=RowRemoval(how=how, kind=row.kind, name=row.name, row_id=row.row_id, uid=identity.uid)
    )


def overdue(identity: Identity, now: datetime, *, terminating: bool, reachable: bool = False) -> bool:
    """Whether a finalizer lets go although its row cannot be reached.

    Or is `reachable` and a queue that is not empty: only the workers of a terminating namespace will never empty it.
    """
    if identity.deleting_since is None or (reachable and not terminating):
        return False
    bound = LET_GO_AFTER_IN_TERMINATING_NAMESPACE if terminating else LET_GO_AFTER
    return now - identity.deleting_since >= bound


def _forget(identity: Identity, owned: Owned) -> DeletionDecision:
    return DeletionDecision(
        removal=RowRemoval(how=Remove.KEEP, kind=owned.kind, name=owned.name, row_id="", uid=identity.uid)
    )
