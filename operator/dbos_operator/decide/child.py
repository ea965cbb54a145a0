"""One resource: what is done for it, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from dbos.core.cron import InvalidCronError, UnknownTimeZoneError
from dbos.core.ids import INTERNAL_QUEUE
from dbos.serialization.encoding import encode_context, encode_scheduled_inputs
from dbos_operator.decide.changes import Fire, Remove, RowRemoval, RowWrite
from dbos_operator.decide.columns import ACTIVE, queue_columns, schedule_columns
from dbos_operator.decide.databases import Child
from dbos_operator.decide.deletion import decide_deletion, needs_finalizer, removal_of, wanted_finalizers
from dbos_operator.decide.firing import Clockwork, DueRun, Ticket, count_missed, decide_firing, wind
from dbos_operator.decide.ownership import Census
from dbos_operator.decide.reconcile import RowDecision, Wanted, reconcile
from dbos_operator.decide.rows import Columns, ObservedRows, RowKey, Value
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import Kind, Uid
from dbos_operator.resources.resource import Problem
from dbos_operator.resources.specs import DatabaseSpec, QueueSpec, ScheduleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPlan:
    """The decision about one resource."""

    resource: Child
    row_name: str
    change: RowWrite | RowRemoval | None = None
    reason: Reason = Reason.RECONCILED
    message: str = ""
    problem: Problem | None = None
    finalizers: tuple[str, ...] | None = None
    """To be set before the change: a row must not outlive an object that owes it something."""
    finalizers_after: tuple[str, ...] | None = None
    """To be set once the change is made, or at once when there is none."""
    waits_for: str = ""
    """What a deletion waits for."""
    columns: Columns | None = None
    """What the row holds after the change; None while it is not known or not this resource's."""
    previous: Columns | None = None
    """What an adopted row held before."""
    fires: tuple[Fire, ...] = ()
    clockwork: Clockwork | None = None
    """Of a schedule that is active."""
    fired_by_workers: bool = False
    missed: int = 0
    """Runs of a schedule that nobody started in time, and that are skipped."""

    @property
    def deleting(self) -> bool:
        """Whether the object is on its way out."""
        return self.resource.identity.deleting_since is not None

    @property
    def suspended(self) -> bool:
        """Whether the row is in force and asks for nothing to happen."""
        return self.columns is not None and self.columns.get("status", ACTIVE) != ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What every decision of a pass looks at."""

    database: DatabaseSpec
    observed: ObservedRows
    census: Census
    now: datetime
    clockworks: Mapping[Uid, Clockwork]
    busy_queues: frozenset[str] = frozenset()
    """Queues with rows that are not finished."""


def row_key(child: Child) -> RowKey:
    """The row that a resource names; its spec can be read."""
    match child.spec:
        case QueueSpec(queue_name=name) | ScheduleSpec(schedule_name=name):
            return (child.identity.kind, name)
        case None:
            raise ValueError(f"{child.identity.kind} {child.identity.key} has no spec that could name a row")


def decide_child(child: Child, situation: Situation) -> ChildPlan:
    """Decide about a resource that has its row for itself."""
    if child.identity.deleting_since is not None:
        assert child.spec is not None
        return decide_farewell(child, row_key(child), removal_of(child.spec), situation)
    key = row_key(child)
    row, owned = situation.observed.rows.get(key), situation.observed.owned.get(key)
    decision = reconcile(_wanted(child, key, situation), row, owned, situation.census, situation.now)
    assert child.spec is not None
    held = needs_finalizer(child.spec) and decision.problem is None
    plan = ChildPlan(
        resource=child,
        row_name=key[1],
        change=decision.write,
        reason=decision.reason,
        message=decision.message,
        problem=decision.problem,
        finalizers=wanted_finalizers(child.identity, held=held),
        columns=decision.columns if decision.problem is None else None,
        previous=decision.record.previous if decision.record is not None else None,
    )
    if isinstance(child.spec, ScheduleSpec) and decision.problem is None:
        return _with_firing(plan, child.spec, decision, situation)
    return plan


def decide_loser(child: Child, first: Child) -> ChildPlan:
    """Say whose the row is: a resource that came later touches neither the row nor a finalizer."""
    key = row_key(child)
    message = f"{key[1]!r} belongs to {first.identity.kind} {first.identity.key}, which is older"
    return ChildPlan(
        resource=child,
        row_name=key[1],
        problem=Problem(Reason.NAME_TAKEN, message),
        finalizers=wanted_finalizers(child.identity, held=False),
    )


def decide_farewell(child: Child, key: RowKey, how: Remove, situation: Situation) -> ChildPlan:
    """Decide what a resource that is being deleted still does to its row."""
    observed = situation.observed
    decision = decide_deletion(
        child.identity,
        how,
        observed.rows.get(key),
        observed.owned.get(key),
        situation.census,
        busy=key[1] in situation.busy_queues,
    )
    return ChildPlan(
        resource=child,
        row_name=key[1],
        change=decision.removal,
        reason=_FAREWELLS[how],
        message=f"{_FAREWELL_WORDS[how]} the row {key[1]!r}",
        finalizers_after=None if decision.waits_for else wanted_finalizers(child.identity, held=False),
        waits_for=decision.waits_for,
    )


_FAREWELLS = {Remove.PAUSE: Reason.PAUSED, Remove.DELETE: Reason.DELETED, Remove.KEEP: Reason.RELEASED}
_FAREWELL_WORDS = {Remove.PAUSE: "paused", Remove.DELETE: "deleted", Remove.KEEP: "let go of"}


def _wanted(child: Child, key: RowKey, situation: Situation) -> Wanted:
    match child.spec:
        case QueueSpec() as spec:
            return Wanted(identity=child.identity, name=key[1], columns=queue_columns(spec))
        case ScheduleSpec() as spec:
            return Wanted(
                identity=child.identity,
                name=key[1],
                columns=schedule_columns(spec, situation.database),
                encode_context=partial(encode_context, spec.context, situation.database.serializer.value),
                context_named=spec.has_context,
            )
        case None:
            raise ValueError(f"{child.identity.kind} {child.identity.key} has no spec")


def _with_firing(plan: ChildPlan, spec: ScheduleSpec, decision: RowDecision, situation: Situation) -> ChildPlan:
    columns, record = decision.columns or {}, decision.record
    if columns.get("status") != ACTIVE or record is None or record.active_since is None:
        return plan
    ticket = Ticket(
        name=record.name,
        text=str(columns.get("schedule")),
        time_zone=_text(columns.get("cron_timezone")),
        active_since=record.active_since,
        zone_before=record.zone_before,
        zone_changed_at=record.zone_changed_at,
    )
    before = situation.clockworks.get(plan.resource.identity.uid)
    try:
        clockwork = wind(ticket, before, situation.now)
    except (InvalidCronError, UnknownTimeZoneError) as error:
        # The manifest was checked when it was parsed, so this is the zone that an adopted row brought along.
        return replace(plan, problem=Problem(Reason.INVALID_TIME_ZONE, f"the row {record.name!r}: {error}"))
    firing = decide_firing(ticket, clockwork, situation.now)
    if not decision.knows_context:
        return replace(plan, clockwork=firing.clockwork, fired_by_workers=True)
    fires = tuple(_fire(due, spec, decision, plan, situation) for due in firing.due)
    row = situation.observed.rows.get((Kind.SCHEDULE, plan.row_name))
    # Where the row is about to change, what it says of the past belongs to another rule.
    missed = (
        count_missed(ticket, before, clockwork.rule, row.last_fired, situation.now)
        if row is not None and plan.change is None
        else 0
    )
    return replace(plan, clockwork=firing.clockwork, fires=fires, missed=missed)


def _fire(due: DueRun, spec: ScheduleSpec, decision: RowDecision, plan: ChildPlan, situation: Situation) -> Fire:
    columns = decision.columns or {}
    row = situation.observed.rows.get((Kind.SCHEDULE, plan.row_name))
    written = decision.write.application_name if decision.write is not None else None
    return Fire(
        workflow_id=due.workflow_id,
        other_ids=due.other_ids,
        uid=plan.resource.identity.uid,
        schedule_name=plan.row_name,
        schedule_id=decision.row_id,
        due=due.moment,
        workflow_name=str(columns.get("workflow_name")),
        class_name=_text(columns.get("workflow_class_name")),
        queue_name=_text(columns.get("queue_name")) or INTERNAL_QUEUE,
        application_name=written
        or (row.application_name if row is not None else None)
        or situation.census.application_name,
        inputs=encode_scheduled_inputs(due.moment, spec.context, situation.database.serializer.value),
    )


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
