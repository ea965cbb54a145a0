"""A pass in numbers: for the metrics, and for those who wait for the work to end."""

from __future__ import annotations

from collections.abc import Mapping

from dbos_operator.decide.child import ChildPlan
from dbos_operator.decide.firing import Clockwork
from dbos_operator.loop.activity import Activity
from dbos_operator.loop.report import Pass
from dbos_operator.loop.scale import TargetPlan
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.resources.identity import Uid
from dbos_operator.resources.specs import ScheduleSpec


def record_figures(done: Pass, clockworks: Mapping[Uid, Clockwork], metrics: OperatorMetrics, seconds: float) -> None:
    """Bring the metrics of a database in line with its last pass, and with the clockworks that it left."""
    database = str(done.assignment.database.identity.key)
    metrics.set_database_up(database, up=True)
    metrics.observe_reconcile(database, seconds)
    if done.outcome.rows:
        metrics.add_rows_written(database, done.outcome.rows)
    for fire in done.outcome.fired:
        metrics.add_fired(database, fire.schedule_name, 1)
    for count in done.outcome.recovered.values():
        metrics.add_recovered(database, count)
    metrics.set_schedules(
        database,
        {
            child.row_name: _next_due(child, clockworks)
            for child in done.plan.children
            if isinstance(child.resource.spec, ScheduleSpec) and child.columns is not None
        },
    )
    for child in done.plan.children:
        if child.missed:
            metrics.add_missed(database, child.row_name, child.missed)
    metrics.set_workers(
        database,
        {
            (found.target.namespace, found.target.kind, found.target.name): (found.decision.replicas, found.ready)
            for found in done.scaling.targets.values()
        },
    )


def _next_due(child: ChildPlan, clockworks: Mapping[Uid, Clockwork]) -> float | None:
    """When the schedule is due; a run that could not be written keeps its time until it is."""
    clockwork = clockworks.get(child.resource.identity.uid)
    return None if child.clockwork is None or clockwork is None else clockwork.next_due.timestamp()


def activity_of(done: Pass) -> Activity:
    """What goes on in a database, as of its last pass."""
    demand = done.observed.demand.values()
    return Activity(
        runnable=sum(queue.runnable + queue.delayed_soon for queue in demand) + len(done.outcome.fired),
        running=sum(queue.running for queue in demand),
        workers_at_minimum=all(_is_at_minimum(target) for target in done.scaling.targets.values()),
        settled=True,
    )


def _is_at_minimum(target: TargetPlan) -> bool:
    current = target.request.current
    if current is None:
        return True
    if target.decision.change is not None or current > target.minimum or target.ready > target.minimum:
        return False
    return target.pods is None or target.pods <= target.minimum
