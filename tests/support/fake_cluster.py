"""A cluster in memory: objects with generations and versions, statuses, Events, pods, and faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbos_operator.cluster.protocol import EventType, Pod, Scale
from dbos_operator.errors import ConflictError, NotFoundError, OperatorError
from dbos_operator.loop.desired import AnyResource, DesiredState
from dbos_operator.resources.database import parse_database
from dbos_operator.resources.identity import ClusterId, Identity, Kind, ObjectKey, TargetRef
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.schedule import parse_schedule
from dbos_operator.resources.selector import Selector

PARSERS: Mapping[Kind, Callable[[Mapping[str, Any]], AnyResource]] = {
    Kind.DATABASE: parse_database,
    Kind.QUEUE: parse_queue,
    Kind.SCHEDULE: parse_schedule,
}
CREATED = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)


class FakeCluster:
    """Answers the loop's calls and feeds the desired state, as an API server with a watch does."""

    def __init__(self, namespace: str = "team") -> None:
        self.namespace = namespace
        self.desired = DesiredState()
        self.manifests: dict[tuple[Kind, ObjectKey], dict[str, Any]] = {}
        self.secrets: dict[ObjectKey, dict[str, bytes]] = {}
        self.pods: dict[TargetRef, list[Pod]] = defaultdict(list)
        self.events: list[tuple[str, str, str]] = []
        """Name of the object, reason and message."""
        self.costs: dict[str, int] = {}
        self.terminating: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, OperatorError] = {}
        """By the name of a call: what it fails with, until it is taken out."""
        self._numbers = itertools.count(1)
        self._moved = asyncio.Condition()

    # What a user does

    def apply(self, kind: Kind, name: str, spec: Mapping[str, Any], *, namespace: str | None = None) -> Identity:
        """Create an object or give it another spec."""
        key = ObjectKey(namespace or self.namespace, name)
        number = next(self._numbers)
        manifest = self.manifests.get((kind, key))
        if manifest is None:
            manifest = {
                "apiVersion": "dbos.dev/v1beta1",
                "kind": kind.value,
                "metadata": {
                    "namespace": key.namespace,
                    "name": name,
                    "uid": f"uid-{number}",
                    "generation": 0,
                    "creationTimestamp": (CREATED + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
                "status": {"observedGeneration": -1},
            }
            self.manifests[kind, key] = manifest
        manifest["spec"] = dict(spec)
        manifest["metadata"]["generation"] += 1
        self._publish(kind, key)
        return self.identity(kind, name, namespace=namespace)

    def delete(self, kind: Kind, name: str, *, since: datetime | None = None) -> None:
        """Delete an object: at once, or, while it has finalizers, as soon as they are gone."""
        key = ObjectKey(self.namespace, name)
        manifest = self.manifests[kind, key]
        if manifest["metadata"].get("finalizers"):
            moment = since or datetime.now(UTC)
            manifest["metadata"]["deletionTimestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            self._publish(kind, key)
        else:
            del self.manifests[kind, key]
            self.desired.drop(kind, key)

    def put_secret(self, name: str, **data: str) -> None:
        """Create or replace a Secret."""
        self.secrets[ObjectKey(self.namespace, name)] = {key: value.encode() for key, value in data.items()}

    def put_workload(self, name: str, *, replicas: int, template: str = "t1") -> TargetRef:
        """Create a Deployment or change it; its pods follow."""
        target = TargetRef(self.namespace, "Deployment", name)
        self._resize(target, replicas)
        self.desired.put_workload(
            Workload(
                target=target,
                uid=f"uid-of-{name}",
                replicas=replicas,
                ready_replicas=replicas,
                selector=Selector.of_labels({"app": name}),
                template=template,
            )
        )
        return target

    def kill_pod(self, target: TargetRef, name: str) -> None:
        """Delete a pod by force: another one takes its place."""
        self.pods[target] = [pod for pod in self.pods[target] if pod.name != name]
        self._resize(target, len(self.pods[target]) + 1)

    # What a test looks at

    def identity(self, kind: Kind, name: str, *, namespace: str | None = None) -> Identity:
        """Who an object is now."""
        return PARSERS[kind](self.manifests[kind, ObjectKey(namespace or self.namespace, name)]).identity

    def status(self, kind: Kind, name: str) -> Mapping[str, Any]:
        """The status that an object shows; empty when it is gone."""
        manifest = self.manifests.get((kind, ObjectKey(self.namespace, name)))
        return {} if manifest is None else manifest["status"]

    def condition(self, kind: Kind, name: str, condition_type: str = "Ready") -> tuple[str, str]:
        """Status and reason of a condition; two empty texts when it is not there."""
        for condition in self.status(kind, name).get("conditions", ()):
            if condition["type"] == condition_type:
                return condition["status"], condition["reason"]
        return "", ""

    def reasons(self, name: str) -> list[str]:
        """The reasons of the Events about an object, in order."""
        return [reason for subject, reason, _ in self.events if subject == name]

    async def until(self, holds: Callable[[], object], *, within: float = 60.0, what: str = "") -> None:
        """Return once it holds; looked at after every call that changed something, and now and then."""
        deadline = asyncio.get_running_loop().time() + within
        while not holds():
            if asyncio.get_running_loop().time() > deadline:
                statuses = {key[1].name: manifest["status"] for key, manifest in self.manifests.items()}
                raise AssertionError(f"not {what or 'so'} within {within:g} s: {statuses}, {self.events}")
            async with self._moved:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await self._moved.wait()

    # What the loop calls

    async def cluster_id(self) -> ClusterId:
        return ClusterId("this-cluster")

    async def read_secret(self, key: ObjectKey) -> Mapping[str, bytes] | None:
        self._called("read_secret")
        return self.secrets.get(key)

    async def list_pods(self, workload: Workload) -> Sequence[Pod]:
        self._called("list_pods")
        return list(self.pods[workload.target])

    async def namespace_terminating(self, namespace: str) -> bool:
        self._called("namespace_terminating")
        return namespace in self.terminating

    async def read_scale(self, target: TargetRef) -> Scale | None:
        self._called("read_scale")
        workload = self.desired.snapshot().workloads.get(target)
        return None if workload is None else Scale(target=target, replicas=workload.replicas, resource_version="1")

    async def patch_scale(self, scale: Scale, replicas: int) -> None:
        self._called("patch_scale")
        workload = self.desired.snapshot().workloads[scale.target]
        self._resize(scale.target, replicas)
        self.desired.put_workload(replace(workload, replicas=replicas, ready_replicas=replicas))
        await self._tell()

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        self._called("set_deletion_cost")
        self.costs[pod.name] = cost

    async def patch_status(self, identity: Identity, status: Mapping[str, Any]) -> None:
        self._called("patch_status")
        manifest = self._find(identity)
        manifest["status"] = _merge(manifest["status"], status)
        self._publish(identity.kind, identity.key)
        await self._tell()

    async def set_finalizers(self, identity: Identity, finalizers: Sequence[str]) -> None:
        self._called("set_finalizers")
        manifest = self._find(identity)
        if manifest["metadata"]["resourceVersion"] != identity.resource_version:
            raise ConflictError(f"{identity.key} changed")
        manifest["metadata"]["finalizers"] = list(finalizers)
        if not finalizers and "deletionTimestamp" in manifest["metadata"]:
            del self.manifests[identity.kind, identity.key]
            self.desired.drop(identity.kind, identity.key)
        else:
            self._publish(identity.kind, identity.key)
        await self._tell()

    async def post_event(self, identity: Identity, event_type: EventType, reason: str, message: str) -> None:
        self.events.append((identity.key.name, reason, message))
        await self._tell()

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.faults:
            raise self.faults[name]

    def _find(self, identity: Identity) -> dict[str, Any]:
        manifest = self.manifests.get((identity.kind, identity.key))
        if manifest is None or manifest["metadata"]["uid"] != identity.uid:
            raise NotFoundError(f"{identity.key} is gone")
        return manifest

    def _publish(self, kind: Kind, key: ObjectKey) -> None:
        manifest = self.manifests[kind, key]
        manifest["metadata"]["resourceVersion"] = str(next(self._numbers))
        self.desired.put(PARSERS[kind](manifest))

    def _resize(self, target: TargetRef, replicas: int) -> None:
        pods = self.pods[target]
        while len(pods) < replicas:
            number = next(self._numbers)
            pods.append(
                Pod(
                    name=f"{target.name}-{number}",
                    namespace=target.namespace,
                    uid=f"pod-{number}",
                    resource_version="1",
                    phase="Running",
                    terminating=False,
                    deletion_cost=None,
                )
            )
        pods.sort(key=lambda pod: -self.costs.get(pod.name, 0))
        del pods[replicas:]

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()


def _merge(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7386."""
    merged = dict(old)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged
