"""A control plane for the operator's measures, and a thousand resources on it."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.connection import ConnectionSource
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster
from dbos_operator.cluster.paths import collection_path, resource_path
from dbos_operator.resources.identity import API_VERSION, Kind, ObjectKey
from support.controlplane.fetch import find_binaries
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl

_CRDS = Path(__file__).parents[3] / "crds"
_DATABASE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
"""
_IN_FLIGHT = 32


@contextmanager
def running_plane(say: Callable[[str], None]) -> Iterator[ControlPlane]:
    """A control plane that serves the kinds, for the length of the block.

    Raises ToolsUnavailableError where there is none to be had.
    """
    with tempfile.TemporaryDirectory(prefix="dbos-bench-") as folder:
        plane = ControlPlane(find_binaries(os.environ, say), Path(folder) / "plane")
        plane.start()
        try:
            plane.kubectl("apply", "--filename", str(_CRDS))
            plane.kubectl("wait", "--for=condition=Established", "--filename", str(_CRDS), "--timeout=30s")
            yield plane
        finally:
            plane.stop()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace with a DBOSDatabase named `default`."""

    name: str
    plane: ControlPlane

    @property
    def kubectl(self) -> Kubectl:
        """kubectl in this namespace."""
        return self.plane.kubectl.in_namespace(self.name)

    @property
    def kubeconfig(self) -> Path:
        """Who may do everything."""
        return self.plane.admin_kubeconfig

    def await_database(self) -> None:
        """Return when the operator reached the database."""
        self.kubectl("wait", "--for=condition=Ready", "dbosdatabase/default", "--timeout=45s")


@contextmanager
def a_namespace(plane: ControlPlane, database_url: str) -> Iterator[Namespace]:
    """A new namespace whose DBOSDatabase means the URL; removed in the background afterwards."""
    name = f"bench-{secrets.token_hex(4)}"
    plane.kubectl("create", "namespace", name)
    found = Namespace(name, plane)
    declare_database(found.kubectl, database_url)
    try:
        yield found
    finally:
        plane.kubectl("delete", "namespace", name, "--wait=false")


def declare_database(kubectl: Kubectl, database_url: str) -> None:
    """Create a DBOSDatabase named `default`, and its Secret."""
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    kubectl.apply(_DATABASE)


@asynccontextmanager
async def connected(kubeconfig: Path, namespace: str) -> AsyncIterator[KubernetesCluster]:
    """The API server, for the length of the block."""
    api = await ApiSession.open(ConnectionSource(kubeconfig=str(kubeconfig)))
    cluster = KubernetesCluster(api, namespaces=[namespace])
    try:
        yield cluster
    finally:
        await cluster.close()


async def create_resources(
    cluster: KubernetesCluster, namespace: str, prefix: str, *, queues: int, schedules: int
) -> dict[Kind, ObjectKey]:
    """Create everything as fast as the API server takes it, and return the last one of each kind."""
    limit = asyncio.Semaphore(_IN_FLIGHT)

    async def create(kind: Kind, number: int, spec: Mapping[str, Any]) -> None:
        body = {"apiVersion": API_VERSION, "kind": kind.value, "metadata": {"name": f"{prefix}-{number}"}, "spec": spec}
        async with limit:
            await cluster.api.create(collection_path(f"/apis/{API_VERSION}", kind.plural, namespace), body)

    nightly = {"workflowName": "report", "schedule": "0 2 * * *"}
    await asyncio.gather(
        *(create(Kind.QUEUE, number, {"concurrency": 10}) for number in range(queues)),
        *(create(Kind.SCHEDULE, number, nightly) for number in range(schedules)),
    )
    return {
        Kind.QUEUE: ObjectKey(namespace, f"{prefix}-{queues - 1}"),
        Kind.SCHEDULE: ObjectKey(namespace, f"{prefix}-{schedules - 1}"),
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
