"""DBOSQueue manifests as values."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ObjectKey, TargetRef
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.specs import QueueDeletion, QueueSpec, RateLimit, ScalingSpec
from support.manifests import a_manifest

WORKER = {"targetRef": {"name": "worker"}, "maxReplicas": 5}


def parsed(**fields: Any) -> QueueSpec:
    resource = parse_queue(a_manifest("DBOSQueue", fields, name="emails"))
    assert resource.problem is None
    assert resource.spec is not None
    return resource.spec


def scaling(**fields: Any) -> ScalingSpec:
    found = parsed(scaling={**WORKER, **fields}).scaling
    assert found is not None
    return found


def problem(spec: object) -> str:
    resource = parse_queue(a_manifest("DBOSQueue", spec))
    assert resource.spec is None
    assert resource.problem is not None
    assert resource.problem.reason is Reason.INVALID_SPEC
    return resource.problem.message


def test_an_empty_spec_is_a_queue_of_that_name_whose_limits_are_not_managed() -> None:
    assert parsed() == QueueSpec(
        database=None,
        queue_name="emails",
        concurrency=None,
        worker_concurrency=None,
        rate_limit=None,
        polling_interval=None,
        deletion_policy=QueueDeletion.RETAIN,
        scaling=None,
    )


def test_every_field_is_taken_from_the_manifest() -> None:
    spec = parsed(
        databaseRef={"name": "main", "namespace": "shared"},
        queueName="E-Mails, böse",
        concurrency=50,
        workerConcurrency=7,
        rateLimit={"limit": 100, "period": "500ms"},
        pollingInterval="2s",
        deletionPolicy="Delete",
        scaling={
            "targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "worker"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "workflowsPerReplica": 3,
            "idleAfter": "5m",
        },
    )
    assert spec == QueueSpec(
        database=ObjectKey("shared", "main"),
        queue_name="E-Mails, böse",
        concurrency=50,
        worker_concurrency=7,
        rate_limit=RateLimit(100, timedelta(milliseconds=500)),
        polling_interval=timedelta(seconds=2),
        deletion_policy=QueueDeletion.DELETE,
        scaling=ScalingSpec(
            target=TargetRef("team", "StatefulSet", "worker"),
            min_replicas=1,
            max_replicas=5,
            workflows_per_replica=3,
            idle_after=timedelta(minutes=5),
        ),
    )


def test_a_database_is_looked_for_in_the_namespace_of_the_queue() -> None:
    assert parsed(databaseRef={"name": "main"}).database == ObjectKey("team", "main")


def test_scaling_needs_a_target_and_a_maximum() -> None:
    assert scaling() == ScalingSpec(
        target=TargetRef("team", "Deployment", "worker"),
        min_replicas=0,
        max_replicas=5,
        workflows_per_replica=10,
        idle_after=timedelta(seconds=60),
    )


def test_a_replica_works_on_what_one_worker_may_run_unless_told_otherwise() -> None:
    assert parsed(workerConcurrency=4, scaling=WORKER).scaling == scaling(workflowsPerReplica=4)
    assert parsed(workerConcurrency=4, scaling={**WORKER, "workflowsPerReplica": 2}).scaling == scaling(
        workflowsPerReplica=2
    )


def test_replicas_may_fall_at_once() -> None:
    assert scaling(idleAfter="0s").idle_after == timedelta()


def test_null_counts_as_left_out() -> None:
    assert parsed(queueName=None, concurrency=None, scaling=None, deletionPolicy=None) == parsed()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"databaseRef": {}}, "spec.databaseRef.name"),
        ({"databaseRef": {"name": "x", "uid": "y"}}, "spec.databaseRef"),
        ({"queueName": ""}, "spec.queueName"),
        ({"queueName": " \t"}, "spec.queueName"),
        ({"queueName": "_dbos_internal_queue"}, "spec.queueName"),
        ({"queueName": 5}, "spec.queueName"),
        ({"queueName": "x" * 256}, "spec.queueName"),
        ({"concurrency": 0}, "spec.concurrency"),
        ({"concurrency": True}, "spec.concurrency"),
        ({"concurrency": 1.5}, "spec.concurrency"),
        ({"concurrency": "5"}, "spec.concurrency"),
        ({"concurrency": 2**31}, "spec.concurrency"),
        ({"concurrency": 1, "workerConcurrency": 2}, "spec.workerConcurrency"),
        ({"rateLimit": {}}, "spec.rateLimit.limit"),
        ({"rateLimit": {"limit": 1}}, "spec.rateLimit.period"),
        ({"rateLimit": {"period": "1s"}}, "spec.rateLimit.limit"),
        ({"rateLimit": {"limit": 0, "period": "1s"}}, "spec.rateLimit.limit"),
        ({"rateLimit": {"limit": 1, "period": "0s"}}, "spec.rateLimit.period"),
        ({"rateLimit": 5}, "spec.rateLimit"),
        ({"pollingInterval": "0ms"}, "spec.pollingInterval"),
        ({"pollingInterval": 1}, "spec.pollingInterval"),
        ({"deletionPolicy": "Pause"}, "spec.deletionPolicy"),
        ({"deletionPolicy": ["Delete"]}, "spec.deletionPolicy"),
        ({"suspend": True}, "spec"),
        ({"partition": {}}, "spec"),
        ({5: True}, "spec"),
        ({"scaling": {"maxReplicas": 1}}, "spec.scaling.targetRef"),
        ({"scaling": {"targetRef": {"name": "x"}}}, "spec.scaling.maxReplicas"),
        ({"scaling": {**WORKER, "maxReplicas": 0}}, "spec.scaling.maxReplicas"),
        ({"scaling": {**WORKER, "minReplicas": 6}}, "spec.scaling.minReplicas"),
        ({"scaling": {**WORKER, "minReplicas": -1}}, "spec.scaling.minReplicas"),
        ({"scaling": {**WORKER, "workflowsPerReplica": 0}}, "spec.scaling.workflowsPerReplica"),
        ({"scaling": {**WORKER, "idleAfter": "-1s"}}, "spec.scaling.idleAfter"),
        ({"scaling": {**WORKER, "mode": "Hold"}}, "spec.scaling"),
        ({"scaling": {**WORKER, "targetRef": {}}}, "spec.scaling.targetRef.name"),
        ({"scaling": {**WORKER, "targetRef": {"kind": "Pod", "name": "x"}}}, "spec.scaling.targetRef.kind"),
        ({"scaling": {**WORKER, "targetRef": {"apiVersion": "v1", "name": "x"}}}, "spec.scaling.targetRef.apiVersion"),
    ],
)
def test_a_bad_field_is_a_problem_that_names_it(spec: object, field: str) -> None:
    assert problem(spec).startswith(f"{field}: expected ")


def test_a_problem_says_what_was_expected_and_what_was_given() -> None:
    assert problem({"concurrency": 1, "workerConcurrency": 2}) == (
        "spec.workerConcurrency: expected at most spec.concurrency, which is 1, got 2"
    )
    assert problem({"rateLimit": {"limit": 1}}) == (
        "spec.rateLimit.period: expected the duration that the limit is counted over, got nothing"
    )
    assert problem({"scaling": {**WORKER, "minReplicas": 6}}) == (
        "spec.scaling.minReplicas: expected at most spec.scaling.maxReplicas, which is 5, got 6"
    )
