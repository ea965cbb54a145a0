"""Replicas of a workload, read and written through its `/scale` subresource and nothing else."""

from __future__ import annotations

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.paths import target_path
from dbos_operator.cluster.protocol import Scale
from dbos_operator.resources.identity import TargetRef


async def read_scale(api: ApiSession, target: TargetRef) -> Scale | None:
    """The replicas that the target is asked to have now, or None when there is no such target."""
    found = await api.find(f"{target_path(target)}/scale")
    if found is None:
        return None
    # Go leaves a zero out of its JSON.
    replicas = int(found.get("spec", {}).get("replicas", 0))
    return Scale(target=target, replicas=replicas, resource_version=found["metadata"]["resourceVersion"])


async def patch_scale(api: ApiSession, scale: Scale, replicas: int) -> None:
    """Ask for that many replicas, if the target is still what was read."""
    await api.merge(
        f"{target_path(scale.target)}/scale",
        {"metadata": {"resourceVersion": scale.resource_version}, "spec": {"replicas": replicas}},
    )
