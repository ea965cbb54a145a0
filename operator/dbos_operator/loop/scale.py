"""Replicas of the targets: what each should have, and the calls that get it there."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dbos_operator.cluster.protocol import Cluster, Pod
from dbos_operator.decide.child import ChildPlan
from dbos_operator.errors import ConflictError, NotFoundError, OperatorError
from dbos_operator.loop.assignment import Assignment
from dbos_operator.loop.observe import Observed, target_version
from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import TargetRef
from dbos_operator.resources.resource import Problem, Resource
from dbos_operator.resources.specs import QueueSpec, RateLimit
from dbos_operator.scaling.decision import ScalingDecision, ScalingRequest, decide_scaling, first_target
from dbos_operator.scaling.deletion_cost import PodCost, busy_replicas, deletion_costs
from dbos_operator.scaling.demand import INTERNAL_QUEUE, TargetVersions
from dbos_operator.scaling.history import ScalingHistory
from dbos_operator.scaling.limits import QueueLimits, limits_in_force
from dbos_operator.scaling.terms import ScaledQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPlan:
    """One target: its queues, the decision, and what becomes of it."""

    target: TargetRef
    queues: tuple[Resource[QueueSpec], ...]
    request: ScalingRequest
    decision: ScalingDecision
    minimum: int
    ready: int
    pods: int | None
    """Pods that exist, terminating ones included; None when they could not be listed."""
    problem: Problem | None = None
    """Why the replicas could not be changed."""
    scaled_from: int | None = None
    """The replicas before, when they were changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPlan:
    """All targets of a database."""

    targets: Mapping[TargetRef, TargetPlan] = field(default_factory=dict)
    conflicts: Mapping[TargetRef, Problem] = field(default_factory=dict)
    """Targets that are not this database's to scale."""

    @property
    def histories(self) -> dict[TargetRef, ScalingHistory]:
        """What to remember of each target."""
        return {target: plan.decision.history for target, plan in self.targets.items()}

    @property
    def next_due(self) -> datetime | None:
        """When replicas may fall next."""
        holds = (plan.decision.hold_until for plan in self.targets.values())
        return min((moment for moment in holds if moment is not None), default=None)


def decide_targets(
    children: Sequence[ChildPlan],
    observed: Observed,
    assignment: Assignment,
    histories: Mapping[TargetRef, ScalingHistory],
    now: datetime,
) -> ScalingPlan:
    """Decide for every target that the queues of this database name."""
    groups: dict[TargetRef, list[tuple[Resource[QueueSpec], ScaledQueue]]] = defaultdict(list)
    specs: list[QueueSpec] = []
    for child in children:
        queue, spec = _queue(child)
        if queue is None or spec is None or spec.scaling is None:
            continue
        groups[spec.scaling.target].append((queue, _scaled(child, spec, observed)))
        specs.append(spec)
    first = first_target(specs)
    plans: dict[TargetRef, TargetPlan] = {}
    conflicts: dict[TargetRef, Problem] = {}
    for target, members in groups.items():
        if target in assignment.foreign_targets:
            other = assignment.foreign_targets[target]
            conflicts[target] = Problem(
                Reason.SCALING_CONFLICT, f"{target} is scaled by queues of DBOSDatabase {other}"
            )
            continue
        request = _request(target, members, observed, assignment)
        if target == first and INTERNAL_QUEUE in observed.demand:
            request = replace(request, internal=observed.demand[INTERNAL_QUEUE])
        decision = decide_scaling(request, histories.get(target, ScalingHistory()), now)
        workload = assignment.workloads.get(target)
        listed = observed.sightings.get(target)
        plans[target] = TargetPlan(
            target=target,
            queues=tuple(queue for queue, _ in members),
            request=request,
            decision=decision,
            minimum=min(
                max(queue.scaling.min_replicas for queue in request.queues),
                max(queue.scaling.max_replicas for queue in request.queues),
            ),
            ready=workload.ready_replicas if workload is not None else 0,
            pods=None if listed is None or listed.pods is None else len(listed.pods),
        )
    return ScalingPlan(targets=plans, conflicts=conflicts)


async def apply_scaling(plan: ScalingPlan, observed: Observed, cluster: Cluster, now: datetime) -> ScalingPlan:
    """Carry out the changes that are due; targets without one cost no call."""
    due = [target for target in plan.targets.values() if target.decision.change is not None]
    done = await asyncio.gather(*(_scale(target, observed, cluster, now) for target in due))
    return replace(plan, targets={**plan.targets, **{target.target: target for target in done}})


async def _scale(plan: TargetPlan, observed: Observed, cluster: Cluster, now: datetime) -> TargetPlan:
    try:
        scale = await cluster.read_scale(plan.target)
        current = None if scale is None else scale.replicas
        if current != plan.request.current:
            # The watch lags behind what is there; the decision is made again on what was just read.
            request = replace(plan.request, current=current)
            decision = decide_scaling(request, plan.decision.history, now)
            plan = replace(plan, request=request, decision=decision)
        change = plan.decision.change
        if scale is None or change is None:
            return plan
        if 0 < change < scale.replicas:
            await _write_costs(plan, observed, cluster)
        await cluster.patch_scale(scale, change)
    except ConflictError:
        logger.info("target changed meanwhile", extra={"target": str(plan.target)})
        return plan
    except OperatorError as error:
        logger.warning("target not scaled", extra={"target": str(plan.target), "error": str(error)})
        return replace(plan, problem=Problem(error.reason, str(error)))
    logger.info("scaled", extra={"target": str(plan.target), "from": scale.replicas, "to": change})
    return replace(plan, scaled_from=scale.replicas)


async def _write_costs(plan: TargetPlan, observed: Observed, cluster: Cluster) -> None:
    """Have the pods that do nothing go first."""
    pods = {pod.name: pod for pod in _serving(observed.pods.get(plan.target, ()))}
    costs = deletion_costs(
        _costs(list(pods.values())),
        observed.running,
        current=plan.request.current or 0,
        replicas=plan.decision.replicas,
    )
    for name, cost in costs.items():
        try:
            await cluster.set_deletion_cost(pods[name], cost)
        except (ConflictError, NotFoundError):
            logger.debug("pod changed meanwhile", extra={"pod": name})


def _queue(child: ChildPlan) -> tuple[Resource[QueueSpec] | None, QueueSpec | None]:
    going = child.deleting and not child.waits_for  # what waits until the queue is empty waits for its workers
    if child.problem is not None or going or not isinstance(child.resource.spec, QueueSpec):
        return None, None
    return child.resource, child.resource.spec


def _scaled(child: ChildPlan, spec: QueueSpec, observed: Observed) -> ScaledQueue:
    assert spec.scaling is not None
    demand = observed.demand.get(spec.queue_name)
    return ScaledQueue(scaling=spec.scaling, limits=limits_in_force(spec, _limits(child)), demand=demand)


def _limits(child: ChildPlan) -> QueueLimits:
    columns = child.columns or {}
    limit, period = columns.get("rate_limit_max"), columns.get("rate_limit_period_sec")
    rate = None
    if isinstance(limit, int) and isinstance(period, int | float) and period > 0:
        rate = RateLimit(limit, timedelta(seconds=period))
    return QueueLimits(
        concurrency=_count(columns.get("concurrency")),
        worker_concurrency=_count(columns.get("worker_concurrency")),
        rate_limit=rate,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _request(
    target: TargetRef,
    members: Sequence[tuple[Resource[QueueSpec], ScaledQueue]],
    observed: Observed,
    assignment: Assignment,
) -> ScalingRequest:
    workload = assignment.workloads.get(target)
    listed = observed.pods.get(target)
    replicas = workload.replicas if workload is not None else None
    sighting = observed.sightings.get(target)
    if sighting is not None and sighting.pods is None:
        busy = replicas or 0  # which pods are busy is unknown, so none goes
    else:
        busy = busy_replicas(target, _costs(_serving(listed or ())), observed.running)
    return ScalingRequest(
        target=target,
        current=replicas,
        queues=[queue for _, queue in members],
        versions=TargetVersions(current=target_version(observed, target, assignment.cluster_id)),
        busy=busy,
    )


def _serving(pods: Sequence[Pod]) -> list[Pod]:
    """Pods that count as replicas: those on their way out do not."""
    return [pod for pod in pods if not pod.terminating]


def _costs(pods: Sequence[Pod]) -> list[PodCost]:
    return [PodCost(pod.name, pod.deletion_cost) for pod in pods]
