"""Pods of a workload: which there are, and which should go first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.listing import list_objects
from dbos_operator.cluster.paths import core_path
from dbos_operator.cluster.protocol import Pod
from dbos_operator.resources.resource import Workload

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
FINISHED = frozenset({"Succeeded", "Failed"})


async def list_pods(api: ApiSession, workload: Workload) -> Sequence[Pod]:
    """The pods of a workload that are not finished, terminating ones included.

    Raises UnknownSelectorError where nobody knows which they are: an empty
    query would mean every pod of the namespace.
    """
    query = {"labelSelector": workload.selector.text}
    found = await list_objects(api, core_path(workload.target.namespace, "pods"), query)
    pods = [parse_pod(manifest) for manifest in found]
    return [pod for pod in pods if pod.phase not in FINISHED]


async def set_deletion_cost(api: ApiSession, pod: Pod, cost: int) -> None:
    """Write the cost on exactly this pod: pods with a lower cost go first when replicas fall."""
    await api.merge(
        core_path(pod.namespace, "pods", pod.name),
        {"metadata": {"uid": pod.uid, "annotations": {DELETION_COST: str(cost)}}},
    )


def parse_pod(manifest: Mapping[str, Any]) -> Pod:
    """What a Pod says about itself."""
    metadata = manifest["metadata"]
    return Pod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        phase=manifest.get("status", {}).get("phase", "Unknown"),
        terminating="deletionTimestamp" in metadata,
        deletion_cost=_cost((metadata.get("annotations") or {}).get(DELETION_COST)),
    )


def _cost(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
