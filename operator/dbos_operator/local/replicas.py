"""Which pods of a workload start and stop: what the controllers of Kubernetes decide, as two functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod as its controller sees it."""

    name: str
    template: str
    ready: bool
    terminating: bool
    cost: int
    order: int
    """Later pods have larger numbers."""


@dataclass(frozen=True, slots=True)
class ReplicaChange:
    """What to do now; the next change of a pod asks again."""

    start: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrdinalChange:
    """What to do now with the numbered pods of a StatefulSet."""

    start: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()


def decide_replicas(pods: Sequence[PodView], replicas: int, template: str) -> ReplicaChange:
    """Bring a Deployment to its replicas and, one pod at a time, to its template.

    Of pods that are too many, those that are not ready go first, then the
    lowest deletion cost, then the youngest. A new template gets one pod more than asked for; an old pod goes
    once a new one is ready in its place.
    """
    alive = [pod for pod in pods if not pod.terminating]
    new = [pod for pod in alive if pod.template == template]
    old = [pod for pod in alive if pod.template != template]
    room = replicas + (1 if old and replicas else 0) - len(alive)
    start = max(0, min(replicas - len(new), room))
    stop = _first_to_go(new)[: max(0, len(new) - replicas)]
    ready = min(replicas, sum(pod.ready for pod in new))
    stop += _first_to_go(old)[: max(0, len(old) - (replicas - ready))]
    return ReplicaChange(start, tuple(pod.name for pod in stop))


def decide_ordinals(pods: dict[int, PodView], replicas: int, template: str) -> OrdinalChange:
    """Bring a StatefulSet to its replicas and, from the highest number down, to its template.

    A number is taken until its pod is gone.
    """
    start = tuple(number for number in range(replicas) if number not in pods)
    extra = [number for number, pod in pods.items() if number >= replicas and not pod.terminating]
    kept = [number for number in pods if number < replicas]
    old = [number for number in kept if pods[number].template != template]
    settled = not start and all(pods[number].ready and not pods[number].terminating for number in kept)
    return OrdinalChange(start, (*sorted(extra, reverse=True), *(sorted(old, reverse=True)[:1] if settled else ())))


def _first_to_go(pods: Sequence[PodView]) -> list[PodView]:
    return sorted(pods, key=lambda pod: (pod.ready, pod.cost, -pod.order))
