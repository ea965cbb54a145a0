"""Deployments and StatefulSets of the folder: their replicas, their pods, and what the loop is told of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from dbos_operator.cluster.protocol import Pod, Scale
from dbos_operator.errors import ConflictError, NotFoundError
from dbos_operator.local.manifests import WORKLOADS, Manifest, Manifests, ObjectId, complete
from dbos_operator.local.pods import LocalPod, PodSet, PodSurroundings
from dbos_operator.local.processes import Phase
from dbos_operator.local.state import stable_uid
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import ObjectKey, TargetRef
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.workload import parse_workload, template_hash


class WorkloadStore:
    """Holds every workload with its pods, and keeps the desired state equal to them."""

    def __init__(self, desired: DesiredState, surroundings: PodSurroundings) -> None:
        self._desired = desired
        self._surroundings = surroundings
        self._sets: dict[TargetRef, PodSet] = {}
        self._leaving: dict[asyncio.Task[None], PodSet] = {}
        self._manifests: dict[TargetRef, Manifest] = {}
        self._versions: dict[TargetRef, int] = {}
        self._version = itertools.count(1)

    def apply(self, manifests: Manifests) -> list[str]:
        """Create, change and delete workloads as `kubectl apply` would; one line for each change.

        Replicas are set when the manifest's own number changes: what the
        operator scaled to meanwhile is not undone by saving a file.
        """
        lines = []
        for manifest in manifests.of_kinds(*WORKLOADS):
            target = target_of(manifest.id)
            before = self._manifests.get(target)
            self._manifests[target] = manifest
            if before is None:
                lines.append(f"{manifest.id} created")
                self._create(target, manifest)
            elif before.body["spec"] != manifest.body["spec"]:
                lines.append(f"{manifest.id} configured")
                self._change(target, before, manifest)
        for target in [target for target in self._sets if _id_of(target) not in manifests.objects]:
            lines.append(f"{_id_of(target)} deleted")
            self._delete(target)
        return lines

    def pods(self, workload: Workload) -> list[Pod]:
        """The pods that the selector of a workload finds, terminating ones included."""
        return [
            _pod(pod, pods.target.namespace)
            for pods in self._all()
            if pods.target.namespace == workload.target.namespace
            for pod in pods.pods.values()
            if workload.selector.matches(pod.labels)
        ]

    def read_scale(self, target: TargetRef) -> Scale | None:
        """The replicas that a workload is asked to have, or None."""
        pods = self._sets.get(target)
        if pods is None:
            return None
        return Scale(target=target, replicas=pods.replicas, resource_version=str(self._versions[target]))

    def scale(self, scale: Scale, replicas: int) -> None:
        """Ask for that many replicas. Raises ConflictError when the workload has changed, NotFoundError when gone."""
        pods = self._sets.get(scale.target)
        if pods is None:
            raise NotFoundError(f"{scale.target} is gone")
        if scale.resource_version != str(self._versions[scale.target]):
            raise ConflictError(f"{scale.target} has changed")
        pods.replicas = replicas
        pods.reconcile()
        self._publish(scale.target)

    def set_cost(self, pod: Pod, cost: int) -> None:
        """Note a deletion cost on exactly this pod. Raises NotFoundError when it is gone."""
        for pods in self._all():
            found = pods.pods.get(pod.name)
            if found is not None and found.uid == pod.uid:
                found.cost = cost
                found.version += 1
                return
        raise NotFoundError(f"pod {pod.namespace}/{pod.name} is gone")

    def delete_missing(self, names: frozenset[str]) -> None:
        """Delete by force every pod whose name is not there any more."""
        for pods in list(self._all()):
            for name in [name for name in pods.pods if name not in names]:
                pods.delete_by_force(name)

    @property
    def settled(self) -> bool:
        """Whether every workload has exactly the pods that it is asked to have, and none is stopping."""
        return not self._leaving and all(len(pods.pods) == pods.replicas for pods in self._sets.values())

    async def drain(self) -> None:
        """Stop every pod in order; return when all are gone."""
        await asyncio.gather(*(pods.drain() for pods in self._all()))

    async def kill(self) -> None:
        """Kill every pod."""
        await asyncio.gather(*(pods.kill() for pods in self._all()))

    def _all(self) -> Iterator[PodSet]:
        yield from list(self._sets.values())
        yield from list(self._leaving.values())

    def _create(self, target: TargetRef, manifest: Manifest) -> None:
        pods = PodSet(
            target=target,
            template=manifest.template,
            template_hash=template_hash(manifest.body["spec"]["template"]),
            replicas=_replicas(manifest),
            surroundings=self._surroundings,
            on_change=lambda: self._publish(target),
        )
        self._sets[target] = pods
        for name in pods.template.ignored:
            self._surroundings.output.line(str(manifest.id), f"container {name} does not run without a cluster")
        pods.reconcile()
        self._publish(target)

    def _change(self, target: TargetRef, before: Manifest, after: Manifest) -> None:
        pods = self._sets[target]
        if _replicas(before) != _replicas(after):
            pods.replicas = _replicas(after)
        pods.template = after.template
        pods.template_hash = template_hash(after.body["spec"]["template"])
        pods.reconcile()
        self._publish(target)

    def _delete(self, target: TargetRef) -> None:
        pods = self._sets.pop(target)
        del self._manifests[target]
        self._desired.drop_workload(target)
        pods.replicas = 0
        pods.reconcile()
        task = asyncio.create_task(pods.drain())
        self._leaving[task] = pods
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        del self._leaving[task]
        if not task.cancelled():
            task.result()

    def _publish(self, target: TargetRef) -> None:
        pods = self._sets.get(target)
        if pods is None:
            return
        self._versions[target] = next(self._version)
        manifest = self._manifests[target]
        body = complete(manifest, uid=stable_uid(manifest.id), resourceVersion=str(self._versions[target]))
        spec = {**body["spec"], "replicas": pods.replicas}
        status = {"replicas": len(pods.pods), "readyReplicas": pods.ready_replicas}
        self._desired.put_workload(parse_workload({**body, "spec": spec, "status": status}))


def target_of(found: ObjectId) -> TargetRef:
    """A workload as scaling names it."""
    return TargetRef(found.key.namespace, found.kind, found.key.name)


def _id_of(target: TargetRef) -> ObjectId:
    return ObjectId(target.kind, ObjectKey(target.namespace, target.name))


def _replicas(manifest: Manifest) -> int:
    replicas: int | None = manifest.body["spec"].get("replicas")
    return 1 if replicas is None else replicas


def _pod(pod: LocalPod, namespace: str) -> Pod:
    return Pod(
        name=pod.name,
        namespace=namespace,
        uid=pod.uid,
        resource_version=str(pod.version),
        phase="Running" if pod.process.phase in (Phase.RUNNING, Phase.TERMINATING) else "Pending",
        terminating=pod.terminating,
        deletion_cost=pod.cost,
    )
