"""Which pods a fall in replicas must spare: those with workflows in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbos_operator.resources.identity import TargetRef


@dataclass(frozen=True, slots=True)
class PodCost:
    """A pod of a target, and the deletion cost that it carries. None: no annotation, which counts as 0."""

    name: str
    cost: int | None = None


def deletion_costs(
    pods: Iterable[PodCost], running: Mapping[str, int], *, current: int, replicas: int
) -> dict[str, int]:
    """The costs to write before replicas fall: workflows that run in each pod, where it says otherwise.

    `running` counts PENDING rows by executor, and a pod's name is its executor
    ID. The pods with the lowest cost go first. Nothing when replicas do not fall.
    """
    if replicas >= current:
        return {}
    return {pod.name: running.get(pod.name, 0) for pod in pods if running.get(pod.name, 0) != (pod.cost or 0)}


def busy_replicas(target: TargetRef, pods: Iterable[PodCost], running: Mapping[str, int]) -> int:
    """The fewest replicas with which no pod that runs a workflow has to go.

    A Deployment removes the cheapest pods, so the busy ones are counted. A
    StatefulSet removes the highest ordinals whatever they cost, so everything
    up to the last busy one stays.
    """
    busy = [pod.name for pod in pods if running.get(pod.name, 0) > 0]
    if target.kind != "StatefulSet":
        return len(busy)
    ordinals = [name.rpartition("-")[2] for name in busy]
    return max((int(ordinal) + 1 for ordinal in ordinals if ordinal.isdecimal()), default=0)
