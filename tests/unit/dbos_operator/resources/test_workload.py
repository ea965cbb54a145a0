"""Deployments and StatefulSets as scaling sees them."""

from __future__ import annotations

from typing import Any

from dbos_operator.resources.identity import TargetRef
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.selector import Selector
from dbos_operator.resources.workload import parse_workload, template_hash

TEMPLATE = {"metadata": {"labels": {"app": "worker"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "team", "name": "worker", "uid": "u1"},
        "spec": {"selector": {"matchLabels": {"app": "worker"}}, "template": TEMPLATE, **spec},
    }


def test_a_workload_tells_what_is_asked_for_and_what_is_there() -> None:
    assert parse_workload({**manifest(replicas=3), "status": {"readyReplicas": 2}}) == Workload(
        target=TargetRef("team", "Deployment", "worker"),
        uid="u1",
        replicas=3,
        ready_replicas=2,
        selector=Selector.of_labels({"app": "worker"}),
        template=template_hash(TEMPLATE),
    )


def test_a_workload_scaled_to_zero_is_not_one_that_says_nothing() -> None:
    assert parse_workload(manifest(replicas=0)).replicas == 0
    assert parse_workload(manifest()).replicas == 1
    assert parse_workload(manifest()).ready_replicas == 0


def test_the_template_hash_follows_the_content_and_not_the_order_of_keys() -> None:
    turned = dict(reversed(TEMPLATE.items()))
    changed = {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "i:2"}]}}
    assert template_hash(turned) == template_hash(TEMPLATE)
    assert template_hash(changed) != template_hash(TEMPLATE)
