"""How the row that was read becomes the row that its resource wants.

no row ----------------> INSERT          Created
nobody's row ----------> UPDATE|RECORD   Adopted (the values before are kept)
our mark, owner gone --> UPDATE|RECORD   Created
ours, differs ---------> UPDATE          Updated | DriftCorrected
ours, equal -----------> nothing
somebody else's -------> nothing         NameTaken
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from dbos_operator.decide.changes import RowWrite, Write
from dbos_operator.decide.columns import ACTIVE, WantedColumns
from dbos_operator.decide.ownership import Census, Claim, Mark, created_here, judge
from dbos_operator.decide.rows import Columns, Owned, Row, Value
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import Identity, Kind
from dbos_operator.resources.resource import Problem

_OPAQUE = {"context"}
"""Columns whose values say nothing to a reader."""
_CLOCK = ("schedule", "cron_timezone")
_APPLICATION = "application_name"
"""Recorded beside the managed columns, and written for each name that the DBOSDatabase gets: once, as what a worker
writes into it afterwards stays."""

Encode = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A resource that won its row."""

    identity: Identity
    name: str
    columns: WantedColumns
    encode_context: Encode | None = None
    """Makes the column `context`; None: the row keeps what it has."""
    context_named: bool = False
    """Whether the manifest names the context: only then an adopted row takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDecision:
    """What to write, what to say, and what the row holds afterwards."""

    write: RowWrite | None = None
    reason: Reason = Reason.RECONCILED
    message: str = ""
    problem: Problem | None = None
    columns: Columns | None = None
    row_id: str = ""
    record: Owned | None = None
    knows_context: bool = False
    """Whether the operator can encode the input of a run."""


def reconcile(wanted: Wanted, row: Row | None, owned: Owned | None, census: Census, now: datetime) -> RowDecision:
    """Decide how the observed row becomes the desired one."""
    if row is None:
        return _insert(wanted, owned, census, now)
    verdict = judge(wanted.identity, row, owned, census)
    if verdict.claim is Claim.TAKEN:
        message = f"{wanted.name!r} belongs to {verdict.holder}"
        return RowDecision(problem=Problem(Reason.NAME_TAKEN, message), columns=row.columns)
    ours = owned if verdict.claim is Claim.OURS else None
    own_mark = created_here(row, census.cluster_id)
    managed, context = _managed(wanted, ours, own_mark=own_mark)
    before = ours.applied if ours is not None else {}
    released = {
        column: wanted.columns.resets[column]
        for column in before
        if column not in managed and column in wanted.columns.resets
    }
    change = {column: value for column, value in {**managed, **released}.items() if row.columns.get(column) != value}
    edited = [column for column in change if before.get(column, _UNSET) != change[column]]
    application = census.application_name if own_mark else None
    record = _record(wanted, row, ours, {**managed, **_application(application)}, census)
    record = _clocked(record, row, change, edited, now)
    if verdict.claim is Claim.FREE:
        record = replace(record, previous=dict(row.columns))
    write = _write(row, change, record, owned)
    reason, message = _explain(verdict.claim, wanted, row, change, edited)
    decision = RowDecision(
        write=write,
        reason=reason if write is not None else Reason.RECONCILED,
        message=message,
        columns={**row.columns, **change},
        row_id=row.row_id,
        record=record,
        knows_context=context,
    )
    is_new = application is not None and application != before.get(_APPLICATION)
    return _renamed(decision, row, application) if is_new else decision


_UNSET = object()


def _insert(wanted: Wanted, owned: Owned | None, census: Census, now: datetime) -> RowDecision:
    columns: dict[str, Value] = {**wanted.columns.resets, **wanted.columns.implied, **wanted.columns.managed}
    managed: dict[str, Value] = {**wanted.columns.implied, **wanted.columns.managed}
    managed |= _application(census.application_name)
    if wanted.encode_context is not None:
        columns["context"] = managed["context"] = wanted.encode_context()
    identity = wanted.identity
    record = Owned(
        kind=identity.kind,
        name=wanted.name,
        cluster_id=census.cluster_id,
        uid=identity.uid,
        namespace=identity.key.namespace,
        resource=identity.key.name,
        applied=managed,
        source=wanted.columns.source,
        active_since=now if columns.get("status") == ACTIVE else None,
    )
    row_id = str(Mark(census.cluster_id, identity.uid))
    write = RowWrite(
        write=Write.INSERT,
        row_id=row_id,
        columns=columns,
        seen={},
        record=record,
        record_seen=owned.uid if owned is not None else None,
        application_name=census.application_name,
    )
    return RowDecision(
        write=write,
        reason=Reason.CREATED,
        message=f"created the row {wanted.name!r}",
        columns=columns,
        row_id=row_id,
        record=record,
        knows_context=wanted.encode_context is not None,
    )


def _managed(wanted: Wanted, ours: Owned | None, *, own_mark: bool) -> tuple[dict[str, Value], bool]:
    """The managed columns of an existing row, and whether its context is one of them."""
    managed = {**(wanted.columns.implied if own_mark else {}), **wanted.columns.managed}
    if wanted.encode_context is None or not (own_mark or wanted.context_named):
        return managed, False
    written = ours.applied.get("context") if ours is not None and ours.source == wanted.columns.source else None
    managed["context"] = written if written is not None else wanted.encode_context()
    return managed, True


def _application(name: str | None) -> dict[str, Value]:
    return {} if name is None else {_APPLICATION: name}


def _renamed(decision: RowDecision, row: Row, application: str | None) -> RowDecision:
    """The same with the row given to another application: of the one that it names nobody works any more."""
    if decision.write is None or application == row.application_name:
        return decision
    text = _difference(_APPLICATION, row.application_name, application)
    return replace(
        decision,
        write=replace(decision.write, write=Write.UPDATE, application_name=application),
        reason=Reason.UPDATED if decision.reason is Reason.RECONCILED else decision.reason,
        message=f"{decision.message}, {text}" if decision.message else f"updated {text}",
    )


def _record(wanted: Wanted, row: Row, ours: Owned | None, managed: Columns, census: Census) -> Owned:
    identity = wanted.identity
    return Owned(
        kind=identity.kind,
        name=row.name,
        cluster_id=census.cluster_id,
        uid=identity.uid,
        namespace=identity.key.namespace,
        resource=identity.key.name,
        applied=managed,
        source=wanted.columns.source if "context" in managed else "",
        previous=ours.previous if ours is not None else None,
        active_since=ours.active_since if ours is not None else None,
        zone_before=ours.zone_before if ours is not None else None,
        zone_changed_at=ours.zone_changed_at if ours is not None else None,
    )


def _clocked(record: Owned, row: Row, change: Columns, edited: list[str], now: datetime) -> Owned:
    """Since when the schedule may fire: what was due under another rule, or while it was paused, is not owed."""
    if record.kind is not Kind.SCHEDULE:
        return record
    if change.get("status", row.columns.get("status")) != ACTIVE:
        return replace(record, active_since=None)
    if record.active_since is None or any(column in edited for column in _CLOCK):
        record = replace(record, active_since=now)
    if "cron_timezone" in edited:
        record = replace(record, zone_before=_text(row.columns.get("cron_timezone")), zone_changed_at=now)
    return record


def _write(row: Row, change: Columns, record: Owned, owned: Owned | None) -> RowWrite | None:
    if not change and record == owned:
        return None
    return RowWrite(
        write=Write.UPDATE if change else Write.RECORD,
        row_id=row.row_id,
        columns=change,
        seen={column: row.columns.get(column) for column in change},
        record=record,
        record_seen=owned.uid if owned is not None else None,
    )


def _explain(claim: Claim, wanted: Wanted, row: Row, change: Columns, edited: list[str]) -> tuple[Reason, str]:
    text = ", ".join(_difference(column, row.columns.get(column), value) for column, value in sorted(change.items()))
    if claim is Claim.RECLAIMED:
        return Reason.CREATED, f"took up the row {wanted.name!r} again" + (f": {text}" if text else "")
    if claim is Claim.FREE:
        return Reason.ADOPTED, f"adopted the row {wanted.name!r}" + (f": {text}" if text else "")
    if not change:
        return Reason.RECONCILED, ""
    if edited:
        return Reason.UPDATED, f"updated {text}"
    return Reason.DRIFT_CORRECTED, f"corrected {text}"


def _difference(column: str, before: Value, after: Value) -> str:
    if column in _OPAQUE:
        return column
    return f"{column} {_text(before) or 'none'} → {_text(after) or 'none'}"


def _text(value: Value) -> str | None:
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
