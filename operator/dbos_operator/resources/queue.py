"""DBOSQueue: from its manifest to a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from dbos_operator.resources.fields import Fields
from dbos_operator.resources.identity import Identity, Kind, TargetRef
from dbos_operator.resources.manifest import parse_manifest, read_database_ref
from dbos_operator.resources.resource import Resource
from dbos_operator.resources.specs import QueueDeletion, QueueSpec, RateLimit, ScalingSpec
from dbos_operator.resources.workload import WorkloadKind

DEFAULT_WORKFLOWS_PER_REPLICA = 10
DEFAULT_IDLE_AFTER = timedelta(seconds=60)


class _ApiVersion(StrEnum):
    APPS_V1 = "apps/v1"


def parse_queue(manifest: Mapping[str, Any]) -> Resource[QueueSpec]:
    """A DBOSQueue with every default filled in, or with the problem that its spec has."""
    return parse_manifest(Kind.QUEUE, manifest, _read_spec)


def _read_spec(identity: Identity, value: object) -> QueueSpec:
    fields = Fields(
        "spec",
        value,
        *("databaseRef", "queueName", "concurrency", "workerConcurrency", "rateLimit"),
        *("pollingInterval", "deletionPolicy", "scaling"),
    )
    concurrency, worker_concurrency = fields.integer("concurrency"), fields.integer("workerConcurrency")
    if concurrency is not None and worker_concurrency is not None and worker_concurrency > concurrency:
        raise fields.wrong("workerConcurrency", expected=f"at most spec.concurrency, which is {concurrency}")
    scaling = fields.nested("scaling", "targetRef", "minReplicas", "maxReplicas", "workflowsPerReplica", "idleAfter")
    namespace = identity.key.namespace
    return QueueSpec(
        database=read_database_ref(fields, namespace),
        queue_name=fields.name("queueName") or identity.key.name,
        concurrency=concurrency,
        worker_concurrency=worker_concurrency,
        rate_limit=_read_rate_limit(fields.nested("rateLimit", "limit", "period")),
        polling_interval=fields.duration("pollingInterval"),
        deletion_policy=fields.choice("deletionPolicy", QueueDeletion, QueueDeletion.RETAIN),
        scaling=None if scaling is None else _read_scaling(scaling, namespace, worker_concurrency),
    )


def _read_rate_limit(fields: Fields | None) -> RateLimit | None:
    if fields is None:
        return None
    return RateLimit(
        fields.must("limit", fields.integer("limit"), "how many workflows may start in a period"),
        fields.must("period", fields.duration("period"), "the duration that the limit is counted over"),
    )


def _read_scaling(fields: Fields, namespace: str, worker_concurrency: int | None) -> ScalingSpec:
    least = fields.integer("minReplicas", least=0) or 0
    most = fields.must("maxReplicas", fields.integer("maxReplicas"), "the most replicas to run")
    if least > most:
        raise fields.wrong("minReplicas", expected=f"at most spec.scaling.maxReplicas, which is {most}")
    idle_after = fields.duration("idleAfter", zero=True)
    return ScalingSpec(
        target=_read_target(fields, namespace),
        min_replicas=least,
        max_replicas=most,
        workflows_per_replica=fields.integer("workflowsPerReplica")
        or worker_concurrency
        or DEFAULT_WORKFLOWS_PER_REPLICA,
        idle_after=DEFAULT_IDLE_AFTER if idle_after is None else idle_after,
    )


def _read_target(fields: Fields, namespace: str) -> TargetRef:
    reference = fields.nested("targetRef", "apiVersion", "kind", "name")
    target = fields.must("targetRef", reference, "the Deployment or StatefulSet that works on the queue")
    target.choice("apiVersion", _ApiVersion, _ApiVersion.APPS_V1)
    kind = target.choice("kind", WorkloadKind, WorkloadKind.DEPLOYMENT)
    return TargetRef(namespace, kind.value, target.must("name", target.object_name("name"), f"the name of a {kind}"))
