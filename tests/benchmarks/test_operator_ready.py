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
from dbos_operator.cluster.paths import collection_path
from dbos_operator.resources.identity import API_VERSION, Kind
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.operator_process import an_operator

QUEUES = 500
SCHEDULES = 500
SECONDS = 10.0
DATABASE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
"""


@pytest.mark.timeout(240)
async def test_a_thousand_resources_become_ready_in_time(
    control_plane: ControlPlane, crds: Path, namespace: str, kubectl: Kubectl, database_url: str
) -> None:
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    kubectl.apply(DATABASE)
    api = await ApiSession.open(ConnectionSource(kubeconfig=str(control_plane.admin_kubeconfig)))
    cluster = KubernetesCluster(api, namespaces=[namespace])
    with an_operator("--namespace", namespace, kubeconfig=control_plane.admin_kubeconfig):
        await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready", "dbosdatabase/default", "--timeout=45s")
        began = time.monotonic()
        await create_all(api, namespace)
        created = time.monotonic() - began
        await until_ready(cluster)
        took = time.monotonic() - began
    await cluster.close()

    print(f"{QUEUES + SCHEDULES} resources: created in {created:.1f} s, all Ready after {took:.1f} s")
    with psycopg.connect(database_url) as connection:
        queues = connection.execute("SELECT count(*) FROM dbos.queues").fetchone()
        schedules = connection.execute("SELECT count(*) FROM dbos.workflow_schedules").fetchone()
    assert (queues, schedules) == ((QUEUES,), (SCHEDULES,))
    assert took < SECONDS


async def create_all(api: ApiSession, namespace: str) -> None:
    """Create everything as fast as the API server takes it."""
    limit = asyncio.Semaphore(32)

    async def create(kind: Kind, name: str, spec: Mapping[str, Any]) -> None:
        body = {"apiVersion": API_VERSION, "kind": kind.value, "metadata": {"name": name}, "spec": spec}
        async with limit:
            await api.create(collection_path(f"/apis/{API_VERSION}", kind.plural, namespace), body)

    queues = [create(Kind.QUEUE, f"queue-{number}", {"concurrency": 10}) for number in range(QUEUES)]
    nightly = {"workflowName": "report", "schedule": "0 2 * * *"}
    schedules = [create(Kind.SCHEDULE, f"schedule-{number}", nightly) for number in range(SCHEDULES)]
    await asyncio.gather(*queues, *schedules)


async def until_ready(cluster: KubernetesCluster) -> None:
    """Return when the status of every queue and schedule says Ready; poll seldom, for polling costs too."""
    for kind in (Kind.QUEUE, Kind.SCHEDULE):
        while not all(is_ready(manifest) for manifest in await cluster.list_resources(kind)):  # noqa: ASYNC110
            await asyncio.sleep(1)


def is_ready(manifest: Mapping[str, Any]) -> bool:
    """Whether the condition Ready is True and of this generation."""
    status = manifest["status"]
    ready = {each["type"]: each["status"] for each in status.get("conditions", ())}.get("Ready") == "True"
    return ready and status["observedGeneration"] == manifest["metadata"]["generation"]
