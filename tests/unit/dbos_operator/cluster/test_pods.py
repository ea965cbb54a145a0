"""Pods are read as they are, and only those of the workload."""

from __future__ import annotations

from typing import Any

import pytest

from dbos_operator.cluster.pods import DELETION_COST, parse_pod


def a_pod(**metadata: Any) -> dict[str, Any]:
    base = {"name": "worker-1", "namespace": "orders", "uid": "u", "resourceVersion": "7"}
    return {"metadata": {**base, **metadata}, "status": {"phase": "Running"}}


def test_a_pod_says_who_it_is_and_how_it_fares() -> None:
    pod = parse_pod(a_pod())

    assert (pod.name, pod.namespace, pod.uid, pod.resource_version) == ("worker-1", "orders", "u", "7")
    assert (pod.phase, pod.terminating, pod.deletion_cost) == ("Running", False, None)


def test_a_pod_with_a_deletion_timestamp_is_terminating() -> None:
    assert parse_pod(a_pod(deletionTimestamp="2026-01-01T00:00:00Z")).terminating


@pytest.mark.parametrize(("text", "cost"), [("12", 12), ("-3", -3), ("soon", None), ("", None)])
def test_the_deletion_cost_is_the_number_in_its_annotation(text: str, cost: int | None) -> None:
    assert parse_pod(a_pod(annotations={DELETION_COST: text})).deletion_cost == cost
