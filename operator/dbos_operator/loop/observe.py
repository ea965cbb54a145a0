"""One look at everything that a pass decides about: rows, demand, and the pods of the targets."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dbos_operator.cluster.protocol import Cluster, Pod
from dbos_operator.decide.child import row_key
from dbos_operator.decide.recovery import PodSighting, Sighting, current_version, targets_to_list
from dbos_operator.decide.rows import ExecutorRecord, ObservedRows
from dbos_operator.errors import OperatorError
from dbos_operator.gateway.protocol import Observation, ObserveRequest, WantedDemand
from dbos_operator.loop.assignment import Assignment
from dbos_operator.resources.identity import ClusterId, Kind, TargetRef
from dbos_operator.resources.resource import Resource, Workload
from dbos_operator.resources.specs import QueueSpec, ScalingSpec
from dbos_operator.scaling.demand import INTERNAL_QUEUE, QueueDemand
from dbos_operator.scaling.limits import countable

logger = logging.getLogger(__name__)

SHOWN = 200
"""Rows that are counted for a status even where scaling needs fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The world of one database at one moment."""

    rows: ObservedRows = field(default_factory=ObservedRows)
    demand: Mapping[str, QueueDemand] = field(default_factory=dict)
    sightings: Mapping[TargetRef, Sighting] = field(default_factory=dict)
    pods: Mapping[TargetRef, Sequence[Pod]] = field(default_factory=dict)
    """Of the targets whose pods could be listed."""

    @property
    def running(self) -> Mapping[str, int]:
        """PENDING rows by executor."""
        counts: dict[str, int] = defaultdict(int)
        for row in self.rows.running:
            counts[row.executor_id] += row.count
        return counts


def observe_request(assignment: Assignment, before: Observed) -> ObserveRequest:
    """What to read: the rows that the resources name, and how far to count on each queue.

    What the targets run and which limits hold is taken from the look before;
    the first look is followed by a second one soon enough.
    """
    queues = [queue for queue in assignment.view.queues if queue.spec is not None]
    names = sorted({row_key(queue)[1] for queue in queues} | _left_behind(assignment, before, Kind.QUEUE))
    schedules = sorted(
        {row_key(schedule)[1] for schedule in assignment.view.schedules}
        | _left_behind(assignment, before, Kind.SCHEDULE)
    )
    return ObserveRequest(queue_names=names, schedule_names=schedules, wanted=_wanted(queues, assignment, before))


async def observe_pods(
    cluster: Cluster, workloads: Iterable[Workload], limit: asyncio.Semaphore
) -> dict[TargetRef, Sequence[Pod] | None]:
    """The pods of each workload; None where they could not be listed."""

    async def look(workload: Workload) -> tuple[TargetRef, Sequence[Pod] | None]:
        async with limit:
            try:
                return workload.target, await cluster.list_pods(workload)
            except OperatorError as error:
                logger.warning("pods not listed", extra={"target": str(workload.target), "error": str(error)})
                return workload.target, None

    return dict(await asyncio.gather(*(look(workload) for workload in workloads)))


def workloads_to_list(assignment: Assignment, rows: ObservedRows) -> list[Workload]:
    """The workloads whose pods matter now: targets that have or may get pods, and whatever recorded pods came from.

    A target at zero without a recorded pod has none, so nobody is asked.
    """
    found: dict[TargetRef, Workload] = {}
    for queue in assignment.view.queues:
        if queue.spec is not None and queue.spec.scaling is not None:
            workload = assignment.workloads.get(queue.spec.scaling.target)
            if workload is not None and (workload.replicas > 0 or workload.ready_replicas > 0):
                found[workload.target] = workload
    for target, record in targets_to_list(rows.executors, rows.running, assignment.cluster_id).items():
        if target not in found:
            found[target] = assignment.workloads.get(target) or _remembered(record)
    return list(found.values())


def see(
    observation: Observation,
    workloads: Sequence[Workload],
    listed: Mapping[TargetRef, Sequence[Pod] | None],
    assignment: Assignment,
) -> Observed:
    """Put the parts of a look together."""
    sightings = {workload.target: _sighting(workload, listed.get(workload.target)) for workload in workloads}
    for queue in assignment.view.queues:
        if queue.spec is not None and queue.spec.scaling is not None:
            target = queue.spec.scaling.target
            idle = assignment.workloads.get(target)
            if idle is not None and target not in sightings:
                sightings[target] = _sighting(idle, ())
    return Observed(
        rows=observation.rows,
        demand=observation.demand,
        sightings=sightings,
        pods={target: pods for target, pods in listed.items() if pods is not None},
    )


def target_version(observed: Observed, target: TargetRef, cluster_id: ClusterId) -> str | None:
    """The application version that new pods of a target run, as far as its pods have shown it."""
    sighting = observed.sightings.get(target)
    return None if sighting is None else current_version(observed.rows.executors, cluster_id, sighting)


def _wanted(queues: Sequence[Resource[QueueSpec]], assignment: Assignment, before: Observed) -> list[WantedDemand]:
    shared: dict[TargetRef, list[ScalingSpec]] = defaultdict(list)
    for queue in queues:
        if queue.spec is not None and queue.spec.scaling is not None:
            shared[queue.spec.scaling.target].append(queue.spec.scaling)
    bounds = {target: max(SHOWN, countable(scalings) + 1) for target, scalings in shared.items()}
    versions = {target: target_version(before, target, assignment.cluster_id) for target in shared}
    wanted: dict[str, WantedDemand] = {}
    for queue in queues:
        spec = queue.spec
        if spec is None:
            continue
        target = spec.scaling.target if spec.scaling is not None else None
        row = before.rows.rows.get((Kind.QUEUE, spec.queue_name))
        limited = spec.rate_limit is not None or (row is not None and row.columns.get("rate_limit_max") is not None)
        wanted[spec.queue_name] = WantedDemand(
            queue_name=spec.queue_name,
            bound=bounds.get(target, SHOWN) if target is not None else SHOWN,
            version=versions.get(target) if target is not None else None,
            rate_limited=limited and target is not None,
        )
    internal = _internal_version(queues, versions)
    wanted[INTERNAL_QUEUE] = WantedDemand(queue_name=INTERNAL_QUEUE, bound=SHOWN, version=internal)
    return list(wanted.values())


def _internal_version(queues: Sequence[Resource[QueueSpec]], versions: Mapping[TargetRef, str | None]) -> str | None:
    scaled = [
        (queue.spec.queue_name, queue.spec.scaling.target)
        for queue in queues
        if queue.spec is not None and queue.spec.scaling is not None
    ]
    return versions[min(scaled)[1]] if scaled else None


def _left_behind(assignment: Assignment, before: Observed, kind: Kind) -> set[str]:
    """Rows of resources whose spec cannot be read any more and that are being deleted."""
    leaving = {child.identity.uid for child in assignment.invalid if child.identity.deleting_since is not None}
    return {owned.name for owned in before.rows.owned.values() if owned.kind is kind and owned.uid in leaving}


def _sighting(workload: Workload, pods: Sequence[Pod] | None) -> Sighting:
    return Sighting(
        target=workload.target,
        selector=workload.selector,
        template=workload.template,
        pods=None if pods is None else tuple(PodSighting(pod.name, pod.uid) for pod in pods),
    )


def _remembered(record: ExecutorRecord) -> Workload:
    """A workload that is gone, as far as its pods can still be found."""
    return Workload(
        target=record.target,
        uid="",
        replicas=0,
        ready_replicas=0,
        selector=record.selector,
        template=record.template,
    )
