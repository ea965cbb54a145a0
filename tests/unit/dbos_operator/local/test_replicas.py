"""Which pods start and stop, case by case."""

from __future__ import annotations

import pytest

from dbos_operator.local.replicas import (
    OrdinalChange,
    PodView,
    ReplicaChange,
    decide_ordinals,
    decide_replicas,
)


def a_pod(
    order: int, *, template: str = "new", ready: bool = True, terminating: bool = False, cost: int = 0
) -> PodView:
    return PodView(name=f"p{order}", template=template, ready=ready, terminating=terminating, cost=cost, order=order)


def old(order: int, *, cost: int = 0) -> PodView:
    return a_pod(order, template="old", cost=cost)


@pytest.mark.parametrize(
    ("pods", "replicas", "change"),
    [
        ([], 0, ReplicaChange()),
        ([], 3, ReplicaChange(start=3)),
        ([a_pod(1)], 3, ReplicaChange(start=2)),
        ([a_pod(1), a_pod(2)], 2, ReplicaChange()),
        ([a_pod(1), a_pod(2)], 0, ReplicaChange(stop=("p2", "p1"))),
        ([a_pod(1, terminating=True)], 1, ReplicaChange(start=1)),
    ],
)
def test_pods_follow_the_replicas(pods: list[PodView], replicas: int, change: ReplicaChange) -> None:
    assert decide_replicas(pods, replicas, "new") == change


def test_the_lowest_deletion_cost_goes_first_then_the_youngest() -> None:
    pods = [a_pod(1, cost=2), a_pod(2, cost=1), a_pod(3, cost=1), a_pod(4, cost=5)]

    assert decide_replicas(pods, 2, "new").stop == ("p3", "p2")


def test_a_pod_that_is_not_ready_goes_before_any_other() -> None:
    pods = [a_pod(1, cost=0), a_pod(2, cost=9, ready=False)]

    assert decide_replicas(pods, 1, "new").stop == ("p2",)


def test_a_new_template_comes_in_one_pod_at_a_time_and_never_with_fewer_ready_pods() -> None:
    assert decide_replicas([old(1), old(2)], 2, "new") == ReplicaChange(start=1)
    assert decide_replicas([old(1), old(2), a_pod(3, ready=False)], 2, "new") == ReplicaChange()
    assert decide_replicas([old(1), old(2), a_pod(3)], 2, "new") == ReplicaChange(stop=("p2",))
    assert decide_replicas([old(1), a_pod(3)], 2, "new") == ReplicaChange(start=1)
    assert decide_replicas([old(1), a_pod(3), a_pod(4)], 2, "new") == ReplicaChange(stop=("p1",))


def test_a_new_template_while_the_replicas_fall_takes_the_old_pods_first() -> None:
    assert decide_replicas([old(1), old(2, cost=7), a_pod(3)], 1, "new") == ReplicaChange(stop=("p1", "p2"))
    assert decide_replicas([old(1), old(2)], 0, "new") == ReplicaChange(stop=("p2", "p1"))


def test_a_stateful_set_keeps_its_numbers() -> None:
    assert decide_ordinals({}, 2, "new") == OrdinalChange(start=(0, 1))
    assert decide_ordinals({1: a_pod(1)}, 2, "new") == OrdinalChange(start=(0,))
    assert decide_ordinals({0: a_pod(1), 1: a_pod(2), 2: a_pod(3)}, 1, "new") == OrdinalChange(stop=(2, 1))
    assert decide_ordinals({0: a_pod(1, terminating=True)}, 1, "new") == OrdinalChange()


def test_a_stateful_set_takes_a_new_template_from_the_highest_number_down() -> None:
    assert decide_ordinals({0: old(1), 1: old(2)}, 2, "new") == OrdinalChange(stop=(1,))
    assert decide_ordinals({0: old(1), 1: a_pod(3, ready=False)}, 2, "new") == OrdinalChange()
    assert decide_ordinals({0: old(1), 1: a_pod(3)}, 2, "new") == OrdinalChange(stop=(0,))
