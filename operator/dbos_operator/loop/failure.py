"""What is said and let go of while a database cannot be worked with. Nothing else is touched: unknown is not zero."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial

from dbos_operator.cluster.protocol import Cluster, EventType
from dbos_operator.decide.child import row_key
from dbos_operator.decide.databases import Child, Stray
from dbos_operator.decide.deletion import overdue, wanted_finalizers
from dbos_operator.errors import OperatorError
from dbos_operator.loop.apply import set_finalizers
from dbos_operator.loop.assignment import Assignment
from dbos_operator.loop.conditions import child_of_failed_database, database_failure, problem_conditions, stale_scaling
from dbos_operator.loop.reporter import Draft, Notice, Reporter, transition_notice
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import Condition
from dbos_operator.resources.identity import FINALIZER, Kind
from dbos_operator.resources.specs import QueueSpec
from dbos_operator.resources.status import (
    DatabaseStatus,
    QueueStatus,
    ScalingStatus,
    ScheduleStatus,
    render_database,
    render_queue,
    render_schedule,
)

logger = logging.getLogger(__name__)


def failure_drafts(assignment: Assignment, error: OperatorError, reporter: Reporter, now: datetime) -> Iterator[Draft]:
    """The database with what is wrong, and its resources as not ready: one patch each, however long it lasts."""
    database = assignment.database
    told = database_failure(error, new=reporter.is_new_trouble(database, now))
    status = DatabaseStatus(generation=database.identity.generation, conditions=told)
    yield Draft(database, partial(render_database, status, now=now), status)
    conditions = child_of_failed_database(database.identity.key, error.reason)
    for child in assignment.view.children:
        if child.identity.deleting_since is None:
            yield child_draft(child, conditions, now, assignment)


def failure_notices(assignment: Assignment, error: OperatorError, reporter: Reporter) -> Iterator[Notice]:
    """One Event about the database when it stops being ready."""
    database = assignment.database
    told = transition_notice(database, reporter.current(database), database_failure(error))
    if told is not None:
        yield told


def stray_draft(stray: Stray, reporter: Reporter, now: datetime) -> Draft:
    """A resource without a usable database, or whose own spec cannot be used."""
    conditions = problem_conditions(stray.problem, new=reporter.is_new_trouble(stray.resource, now))
    if stray.child is not None:
        return child_draft(stray.child, conditions, now)
    status = DatabaseStatus(generation=stray.resource.identity.generation, conditions=conditions)
    return Draft(stray.resource, partial(render_database, status, now=now), status)


def stray_notice(stray: Stray, reporter: Reporter) -> Notice | None:
    """One Event about it, when it is told first."""
    return transition_notice(stray.resource, reporter.current(stray.resource), problem_conditions(stray.problem))


def child_draft(
    child: Child, conditions: tuple[Condition, ...], now: datetime, assignment: Assignment | None = None
) -> Draft:
    """A resource whose row was not looked at: its numbers stay as they were."""
    generation = child.identity.generation
    if child.identity.kind is Kind.SCHEDULE:
        schedule = ScheduleStatus(generation=generation, conditions=conditions)
        return Draft(child, partial(render_schedule, schedule, now=now), schedule)
    spec = child.spec
    scaling = None
    if isinstance(spec, QueueSpec) and spec.scaling is not None:
        conditions = (*conditions, stale_scaling())
        workload = assignment.workloads.get(spec.scaling.target) if assignment is not None else None
        if workload is not None:
            scaling = ScalingStatus(replicas=workload.replicas, wanted=workload.replicas)
    queue = QueueStatus(generation=generation, conditions=conditions, scaling=scaling)
    return Draft(child, partial(render_queue, queue, now=now), queue)


async def let_go(
    children: Iterable[Child],
    cluster: Cluster,
    reporter: Reporter,
    why: str,
    now: datetime,
    *,
    reachable: bool = False,
) -> None:
    """Release the finalizers of deleted resources that have waited long enough for a row nobody can reach.

    Or, where it is `reachable`, for a queue that nobody will empty.
    """
    waiting = [
        child
        for child in children
        if FINALIZER in child.identity.finalizers and overdue(child.identity, now, terminating=True)
    ]
    if not waiting:
        return
    namespaces = sorted({child.identity.key.namespace for child in waiting})
    answers = await asyncio.gather(*(_terminating(cluster, namespace) for namespace in namespaces))
    terminating = dict(zip(namespaces, answers, strict=True))
    due = [
        child
        for child in waiting
        if overdue(child.identity, now, terminating=terminating[child.identity.key.namespace], reachable=reachable)
    ]
    notices = [_record(child, why) for child in due]
    await reporter.report((), notices, now)
    await asyncio.gather(*(_release(child, cluster) for child in due))


async def _release(child: Child, cluster: Cluster) -> None:
    finalizers = wanted_finalizers(child.identity, held=False)
    if finalizers is not None:
        await set_finalizers(child.identity, finalizers, cluster)


async def _terminating(cluster: Cluster, namespace: str) -> bool:
    try:
        return await cluster.namespace_terminating(namespace)
    except OperatorError as error:
        logger.warning("namespace not read", extra={"namespace": namespace, "error": str(error)})
        return False


def _record(child: Child, why: str) -> Notice:
    name = row_key(child)[1] if child.spec is not None else child.identity.key.name
    message = f"let go of the row {name!r} as it is: {why}"
    logger.warning("released without its row", extra={"object": str(child.identity.key), "row": name, "why": why})
    return Notice(child.identity, Reason.RELEASED, message, EventType.WARNING)
