"""A thousand new resources are in force within ten seconds, rows and statuses written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.connection import ConnectionSource
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster
from dbos_operator.cluster.paths import collection_path, resource_path
from dbos_operator.resources.identity import API_VERSION, Kind, ObjectKey
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.operator_process import an_operator

QUEUES = 500
SCHEDULES = 500
SECONDS = 10.0
ROUNDS = 3
DATABASE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
"""


@pytest.mark.timeout(300)
async def test_a_thousand_resources_become_ready_in_time(
    control_plane: ControlPlane, crds: Path, namespace: str, kubectl: Kubectl, database_url: str
) -> None:
    """From the first creation to the last Ready. The best round counts: others may be using this machine."""
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    kubectl.apply(DATABASE)
    api = await ApiSession.open(ConnectionSource(kubeconfig=str(control_plane.admin_kubeconfig)))
    cluster = KubernetesCluster(api, namespaces=[namespace])
    rounds: list[float] = []
    with an_operator("--namespace", namespace, kubeconfig=control_plane.admin_kubeconfig):
        await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready", "dbosdatabase/default", "--timeout=45s")
        while len(rounds) < ROUNDS and min(rounds, default=SECONDS) >= SECONDS:
            began = time.monotonic()
            created = await create_all(api, namespace, f"round-{len(rounds)}")
            await until_ready(cluster, created)
            rounds.append(time.monotonic() - began)
    await cluster.close()

    told = ", ".join(f"{seconds:.1f} s" for seconds in rounds)
    print(f"{QUEUES + SCHEDULES} queues and schedules Ready after {told}")
    with psycopg.connect(database_url) as connection:
        queues = connection.execute("SELECT count(*) FROM dbos.queues").fetchone()
        schedules = connection.execute("SELECT count(*) FROM dbos.workflow_schedules").fetchone()
    assert (queues, schedules) == ((QUEUES * len(rounds),), (SCHEDULES * len(rounds),))
    assert min(rounds) < SECONDS, told


async def create_all(api: ApiSession, namespace: str, prefix: str) -> dict[Kind, ObjectKey]:
    """Create everything as fast as the API server takes it, and return the last one of each kind."""
    limit = asyncio.Semaphore(32)

    async def create(kind: Kind, number: int, spec: Mapping[str, Any]) -> None:
        body = {"apiVersion": API_VERSION, "kind": kind.value, "metadata": {"name": f"{prefix}-{number}"}, "spec": spec}
        async with limit:
            await api.create(collection_path(f"/apis/{API_VERSION}", kind.plural, namespace), body)

    nightly = {"workflowName": "report", "schedule": "0 2 * * *"}
    queues = [create(Kind.QUEUE, number, {"concurrency": 10}) for number in range(QUEUES)]
    schedules = [create(Kind.SCHEDULE, number, nightly) for number in range(SCHEDULES)]
    await asyncio.gather(*queues, *schedules)
    return {
        Kind.QUEUE: ObjectKey(namespace, f"{prefix}-{QUEUES - 1}"),
        Kind.SCHEDULE: ObjectKey(namespace, f"{prefix}-{SCHEDULES - 1}"),
    }


async def until_ready(cluster: KubernetesCluster, newest: Mapping[Kind, ObjectKey]) -> None:
    """Return when every status says Ready. Lists only once the newest object does, for listing costs what it counts."""
    for kind, key in newest.items():
        while not is_ready(await cluster.api.get(resource_path(kind, key))):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        while not all(is_ready(manifest) for manifest in await cluster.list_resources(kind)):  # noqa: ASYNC110
            await asyncio.sleep(0.5)


def is_ready(manifest: Mapping[str, Any]) -> bool:
    """Whether the condition Ready is True and of this generation."""
    status = manifest["status"]
    ready = {each["type"]: each["status"] for each in status.get("conditions", ())}.get("Ready") == "True"
    return ready and status["observedGeneration"] == manifest["metadata"]["generation"]
