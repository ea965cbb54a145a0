"""What the loop asks of a cluster. The Kubernetes API answers it, and so does `dbos-operator local`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from dbos_operator.resources.identity import ClusterId, Identity, ObjectKey, TargetRef
from dbos_operator.resources.resource import Workload


class EventType(StrEnum):
    """The two types that Kubernetes knows."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod of a target. Its name is the executor ID of the worker in it."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    phase: str
    terminating: bool
    deletion_cost: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The `/scale` subresource of a target, as it was read."""

    target: TargetRef
    replicas: int
    resource_version: str


class Cluster(Protocol):
    """The calls of the loop.

    Reads return None for what is not there. Writes raise ConflictError when the
    object changed since it was read and NotFoundError when it is gone; any other
    failure is an OperatorError.
    """

    async def cluster_id(self) -> ClusterId:
        """The ID that marks rows of this cluster: the UID of kube-system."""
        ...

    async def read_secret(self, key: ObjectKey) -> Mapping[str, bytes] | None:
        """The decoded data of a Secret."""
        ...

    async def list_pods(self, workload: Workload) -> Sequence[Pod]:
        """The pods of a workload that are not finished, terminating ones included."""
        ...

    async def namespace_terminating(self, namespace: str) -> bool:
        """Whether the namespace is on its way out (or gone)."""
        ...

    async def read_scale(self, target: TargetRef) -> Scale | None:
        """The replicas that the target is asked to have now."""
        ...

    async def patch_scale(self, scale: Scale, replicas: int) -> None:
        """Ask for that many replicas, if the target is still what was read."""
        ...

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        """Write `controller.kubernetes.io/pod-deletion-cost`: pods with a lower cost go first."""
        ...

    async def patch_status(self, identity: Identity, status: Mapping[str, Any]) -> None:
        """Merge into the status subresource."""
        ...

    async def set_finalizers(self, identity: Identity, finalizers: Sequence[str]) -> None:
        """Replace the finalizers, if the object is still what was read."""
        ...

    async def post_event(self, identity: Identity, event_type: EventType, reason: str, message: str) -> None:
        """Post an Event about one of our objects. Best effort: a refusal is logged, never raised."""
        ...
