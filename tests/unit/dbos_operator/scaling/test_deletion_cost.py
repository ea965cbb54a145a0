"""Pods with work in them outlive idle ones."""

from __future__ import annotations

import pytest

from dbos_operator.resources.identity import TargetRef
from dbos_operator.scaling.deletion_cost import PodCost, busy_replicas, deletion_costs

PODS = [PodCost("w-a"), PodCost("w-b", 3), PodCost("w-c", 0), PodCost("w-d", 5)]
RUNNING = {"w-a": 2, "w-b": 3, "somebody-else": 9}


def test_only_pods_whose_cost_differs_are_written_before_a_fall() -> None:
    assert deletion_costs(PODS, RUNNING, current=4, replicas=2) == {"w-a": 2, "w-d": 0}


@pytest.mark.parametrize("replicas", [4, 5])
def test_nothing_is_written_when_replicas_do_not_fall(replicas: int) -> None:
    assert deletion_costs(PODS, RUNNING, current=4, replicas=replicas) == {}


@pytest.mark.parametrize(
    ("kind", "names", "running", "expected"),
    [
        ("Deployment", ["w-a", "w-b", "w-c"], {}, 0),
        ("Deployment", ["w-a", "w-b", "w-c"], {"w-a": 1, "w-c": 4, "x": 1}, 2),
        ("Deployment", ["w-a"], {"w-a": 0}, 0),
        ("StatefulSet", ["w-0", "w-1", "w-2"], {"w-1": 1}, 2),
        ("StatefulSet", ["w-0", "w-1", "w-2"], {"w-0": 1}, 1),
        ("StatefulSet", ["w-0", "w-1", "w-2"], {}, 0),
        ("StatefulSet", ["w-odd"], {"w-odd": 1}, 0),
    ],
)
def test_replicas_that_keep_every_busy_pod(kind: str, names: list[str], running: dict[str, int], expected: int) -> None:
    target = TargetRef("default", kind, "w")
    assert busy_replicas(target, [PodCost(name) for name in names], running) == expected
