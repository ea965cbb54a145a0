"""The Kubernetes API as the loop and the watch see it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

from dbos_operator.cluster import namespaces as namespace_calls
from dbos_operator.cluster import pods as pod_calls
from dbos_operator.cluster import scale as scale_calls
from dbos_operator.cluster import status as status_calls
from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.events import EventPoster
from dbos_operator.cluster.listing import list_objects
from dbos_operator.cluster.paths import WORKLOAD_PLURALS, collection_path
from dbos_operator.cluster.protocol import EventType, Pod, Scale
from dbos_operator.cluster.secrets import read_secret
from dbos_operator.errors import ClusterError, NotFoundError
from dbos_operator.resources.identity import API_VERSION, ClusterId, Identity, Kind, ObjectKey, TargetRef
from dbos_operator.resources.resource import Workload


class MissingKindError(ClusterError):
    """The API server does not know one of our kinds."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(
            f"the cluster has no CustomResourceDefinition {kind.plural}.dbos.dev ({API_VERSION});"
            " install it with: kubectl apply -f crds/"
        )


class KubernetesCluster:
    """Implements `Cluster` on an API server, and lists what the watch follows.

    Works on the given namespaces; on all when there are none.
    """

    def __init__(self, api: ApiSession, *, namespaces: Sequence[str] = ()) -> None:
        self.api = api
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._events = EventPoster(api, instance=socket.gethostname(), now=lambda: datetime.now(UTC))
        self._cluster_id: ClusterId | None = None

    async def close(self) -> None:
        """Post the last Events and give the connections back."""
        await self._events.close()
        await self.api.close()

    async def cluster_id(self) -> ClusterId:
        """The ID that marks rows of this cluster: the UID of kube-system."""
        if self._cluster_id is None:
            self._cluster_id = await namespace_calls.read_cluster_id(self.api)
        return self._cluster_id

    async def list_resources(self, kind: Kind) -> Sequence[Mapping[str, Any]]:
        """The manifests of every object of one of our kinds."""
        try:
            return await self._list(f"/apis/{API_VERSION}", kind.plural)
        except NotFoundError as error:
            raise MissingKindError(kind) from error

    async def list_workloads(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """The manifests of every Deployment, or of every StatefulSet."""
        return await self._list("/apis/apps/v1", WORKLOAD_PLURALS[kind])

    async def missing_groups(self, groups: Set[str]) -> Sequence[str]:
        """Those of the API groups that the server does not name in its discovery."""
        found = await self.api.get("/apis")
        return sorted(groups - {group["name"] for group in found["groups"]})

    async def read_secret(self, key: ObjectKey) -> Mapping[str, bytes] | None:
        """The decoded data of a Secret."""
        return await read_secret(self.api, key)

    async def list_pods(self, workload: Workload) -> Sequence[Pod]:
        """The pods of a workload that are not finished, terminating ones included."""
        return await pod_calls.list_pods(self.api, workload)

    async def namespace_terminating(self, namespace: str) -> bool:
        """Whether the namespace is on its way out (or gone)."""
        return await namespace_calls.namespace_terminating(self.api, namespace)

    async def read_scale(self, target: TargetRef) -> Scale | None:
        """The replicas that the target is asked to have now."""
        return await scale_calls.read_scale(self.api, target)

    async def patch_scale(self, scale: Scale, replicas: int) -> None:
        """Ask for that many replicas, if the target is still what was read."""
        await scale_calls.patch_scale(self.api, scale, replicas)

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        """Write `controller.kubernetes.io/pod-deletion-cost`: pods with a lower cost go first."""
        await pod_calls.set_deletion_cost(self.api, pod, cost)

    async def patch_status(self, identity: Identity, status: Mapping[str, Any]) -> None:
        """Merge into the status subresource."""
        await status_calls.patch_status(self.api, identity, status)

    async def set_finalizers(self, identity: Identity, finalizers: Sequence[str]) -> None:
        """Replace the finalizers, if the object is still what was read."""
        await status_calls.set_finalizers(self.api, identity, finalizers)

    async def post_event(self, identity: Identity, event_type: EventType, reason: str, message: str) -> None:
        """Post an Event about one of our objects. Best effort: posted soon, a refusal is logged."""
        self._events.post(identity, event_type, reason, message)

    async def drain_events(self) -> None:
        """Return when every Event that was reported has been posted or refused."""
        await self._events.drain()

    async def _list(self, api: str, plural: str) -> Sequence[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for namespace in self._namespaces:
            found.extend(await list_objects(self.api, collection_path(api, plural, namespace)))
        return found
