"""What a pass says about each object: the status that it should show, and the Events that happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from dbos.core.schedule_ids import schedule_workflow_id
from dbos_operator.cluster.protocol import EventType
from dbos_operator.decide.child import ChildPlan
from dbos_operator.decide.plan import Plan
from dbos_operator.loop.apply import Outcome
from dbos_operator.loop.assignment import Assignment
from dbos_operator.loop.conditions import child_conditions, scaling_condition
from dbos_operator.loop.next_runs import NextRuns
from dbos_operator.loop.observe import Observed
from dbos_operator.loop.reporter import Draft, Notice, Reporter, transition_notice
from dbos_operator.loop.scale import ScalingPlan, TargetPlan
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import Condition, ConditionType, Truth, ready
from dbos_operator.resources.identity import Kind
from dbos_operator.resources.specs import QueueSpec
from dbos_operator.resources.status import (
    DatabaseStatus,
    FiredBy,
    QueueDepth,
    QueueStatus,
    ScalingStatus,
    ScheduleStatus,
    render_database,
    render_queue,
    render_schedule,
)
from dbos_operator.scaling.demand import QueueDemand


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Everything that one pass saw, decided and did."""

    assignment: Assignment
    observed: Observed
    plan: Plan
    outcome: Outcome
    scaling: ScalingPlan
    depths: Mapping[tuple[str, str], int]
    """Exact depths of the last sample, for queues that are longer than what is counted each time."""
    now: datetime
    next_due: datetime | None = None
    """When to look again although nothing has changed."""


def drafts(done: Pass, next_runs: NextRuns) -> Iterator[Draft]:
    """The status of the database and of each of its resources."""
    database = _database(done)
    yield Draft(done.assignment.database, partial(render_database, database, now=done.now), database)
    for child in done.plan.children:
        if child.deleting and not is_held(child, done.outcome):
            continue  # on its way out: nobody waits for its status
        conditions = child_conditions(child, done.outcome)
        if isinstance(child.resource.spec, QueueSpec):
            queue = _queue(child, child.resource.spec, conditions, done)
            yield Draft(child.resource, partial(render_queue, queue, now=done.now), queue)
        else:
            schedule = _schedule(child, conditions, done, next_runs)
            yield Draft(child.resource, partial(render_schedule, schedule, now=done.now), schedule)


def notices(done: Pass, reporter: Reporter) -> Iterator[Notice]:
    """The Events of a pass."""
    database = done.assignment.database
    told = transition_notice(database, reporter.current(database), database_conditions(done.assignment))
    if told is not None:
        yield told
    for child in done.plan.children:
        yield from _child_notices(child, done.outcome, reporter)
    identities = {child.resource.identity.uid: child.resource.identity for child in done.plan.children}
    for fire in done.outcome.fired:
        message = f"started {fire.workflow_id} on queue {fire.queue_name}"
        yield Notice(identities[fire.uid], Reason.FIRED, message, repeats=True)
    for executor, count in done.outcome.recovered.items():
        noun = "workflow" if count == 1 else "workflows"
        message = f"made {count} {noun} of the vanished pod {executor} runnable again"
        yield Notice(database.identity, Reason.RECOVERED, message)
    for target in done.scaling.targets.values():
        if target.scaled_from is not None:
            message = f"{target.target}: {target.scaled_from} → {target.decision.replicas}: {target.decision.message}"
            yield Notice(target.queues[0].identity, Reason.SCALED, message)


def is_held(child: ChildPlan, outcome: Outcome) -> bool:
    """Whether a resource is being deleted and its row cannot go yet."""
    applied = outcome.children.get(child.resource.identity.uid)
    return child.deleting and (bool(child.waits_for) or (applied is not None and not applied.took_effect))


def database_conditions(assignment: Assignment) -> tuple[Condition, ...]:
    """The conditions of a database that answers."""
    schema = assignment.spec.schema
    return (
        *ready(Reason.CONNECTED, f"the system database answers, schema {schema!r} is in use"),
        Condition(ConditionType.SCHEMA_SUPPORTED, Truth.TRUE, Reason.SUPPORTED),
    )


def _child_notices(child: ChildPlan, outcome: Outcome, reporter: Reporter) -> Iterable[Notice]:
    identity = child.resource.identity
    applied = outcome.children.get(identity.uid)
    if applied is not None and applied.took_effect and child.reason is not Reason.RECONCILED:
        yield Notice(identity, child.reason, child.message)
    if child.deleting:
        return
    told = transition_notice(child.resource, reporter.current(child.resource), child_conditions(child, outcome))
    if told is not None and told.type is EventType.WARNING:
        yield told


def _database(done: Pass) -> DatabaseStatus:
    view = done.assignment.view
    return DatabaseStatus(
        generation=done.assignment.database.identity.generation,
        conditions=database_conditions(done.assignment),
        schema_version=done.observed.rows.schema_version or None,
        application_version=done.observed.rows.latest_version,
        queues=len(view.queues),
        schedules=len(view.schedules),
    )


def _queue(child: ChildPlan, spec: QueueSpec, conditions: tuple[Condition, ...], done: Pass) -> QueueStatus:
    scaling = None
    if spec.scaling is not None:
        target = done.scaling.targets.get(spec.scaling.target)
        conflict = done.scaling.conflicts.get(spec.scaling.target)
        if child.problem is None and not child.deleting:
            conditions = (*conditions, scaling_condition(target, conflict))
        scaling = _scaling(target) if target is not None else None
    demand = done.observed.demand.get(spec.queue_name)
    return QueueStatus(
        generation=child.resource.identity.generation,
        conditions=conditions,
        queue_name=spec.queue_name,
        depth=None if demand is None or child.problem is not None else _depth(demand, done.depths),
        scaling=scaling,
    )


def _depth(demand: QueueDemand, exact: Mapping[tuple[str, str], int]) -> QueueDepth:
    name = demand.queue_name
    enqueued, running, delayed = demand.runnable, demand.running, exact.get((name, "DELAYED"), 0)
    if demand.truncated:
        enqueued = max(enqueued, exact.get((name, "ENQUEUED"), 0))
        running = max(running, exact.get((name, "PENDING"), 0))
    oldest = demand.oldest_enqueued_ms
    return QueueDepth(
        enqueued=enqueued,
        delayed=max(delayed, demand.delayed_soon),
        running=running,
        oldest_enqueued=None if oldest is None else datetime.fromtimestamp(oldest / 1000, UTC),
    )


def _scaling(target: TargetPlan) -> ScalingStatus:
    decision = target.decision
    return ScalingStatus(
        replicas=decision.replicas,
        wanted=decision.wanted,
        demand=decision.demand,
        useful=decision.useful,
        limited_by=decision.limited_by,
        message=decision.message,
        hold_until=decision.hold_until,
    )


def _schedule(child: ChildPlan, conditions: tuple[Condition, ...], done: Pass, next_runs: NextRuns) -> ScheduleStatus:
    fired_by = None
    if child.clockwork is not None:
        fired_by = FiredBy.WORKERS if child.fired_by_workers else FiredBy.OPERATOR
    last = _last_fired(child, done)
    return ScheduleStatus(
        generation=child.resource.identity.generation,
        conditions=conditions,
        schedule_name=child.row_name,
        next_runs=next_runs.of(child.resource.identity.uid, child.clockwork) if child.problem is None else None,
        last_fired=last,
        last_workflow_id=None if last is None else schedule_workflow_id(child.row_name, last),
        fired_by=fired_by,
    )


def _last_fired(child: ChildPlan, done: Pass) -> datetime | None:
    if child.fires:
        return child.fires[-1].due
    row = done.observed.rows.rows.get((Kind.SCHEDULE, child.row_name))
    return None if row is None or child.problem is not None else row.last_fired
