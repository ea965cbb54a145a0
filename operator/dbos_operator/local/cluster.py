"""A folder of YAML as a cluster: the calls of the loop, answered without a Kubernetes API."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from dbos_operator.cluster.protocol import EventType, Pod, Scale
from dbos_operator.local.databases import Databases
from dbos_operator.local.environment import PodFacts, expand_all, resolve_environment, unresolved
from dbos_operator.local.manifests import WORKLOADS, Manifests, ObjectId, check_changes
from dbos_operator.local.objects import ObjectStore
from dbos_operator.local.output import Output
from dbos_operator.local.pods import NewPod, PodSurroundings
from dbos_operator.local.processes import ProcessSpec, with_own_tools
from dbos_operator.local.readiness import Readiness
from dbos_operator.local.state import StateFolder
from dbos_operator.local.workloads import WorkloadStore
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import ClusterId, Identity, ObjectKey, TargetRef
from dbos_operator.resources.resource import Workload

_REMEMBERED = 1024


class LocalCluster:
    """Implements `Cluster` on manifests and local processes. Everything runs on one event loop."""

    def __init__(
        self,
        *,
        desired: DesiredState,
        databases: Databases,
        state: StateFolder,
        output: Output,
        now: Callable[[], datetime],
        environment: Mapping[str, str],
    ) -> None:
        """`environment` is what pods inherit beneath everything else."""
        self._desired = desired
        self._databases = databases
        self._cluster_id = state.cluster_id()
        self._output = output
        self._environment = environment
        self._manifests = Manifests(objects={})
        self._readiness = Readiness()
        self._objects = ObjectStore(desired, now=now)
        surroundings = PodSurroundings(
            process_spec=self._process_spec,
            free_port=FreePorts().take,
            files=state.pods,
            output=output,
            readiness=self._readiness,
        )
        self.workloads = WorkloadStore(desired, surroundings)
        self._told: OrderedDict[tuple[Any, ...], str] = OrderedDict()

    async def apply(self, manifests: Manifests) -> None:
        """Make the folder the desired state. Raises OperatorError, and changes nothing, when that cannot work."""
        check_changes(self._manifests, manifests)
        await self._databases.prepare(manifests)
        self._check_references(manifests)
        self._manifests = manifests
        for line in self._objects.apply(manifests) + self.workloads.apply(manifests):
            self._output.line("folder", line)
        if not self._desired.complete:
            self._desired.mark_complete()

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way: no pod starting, stopping or missing, no object being deleted."""
        return self.workloads.settled and not self._objects.deleting

    async def close(self) -> None:
        """Give connections back. The pods must be gone."""
        await self._readiness.close()

    async def cluster_id(self) -> ClusterId:
        """The ID that this folder keeps."""
        return self._cluster_id

    async def read_secret(self, key: ObjectKey) -> Mapping[str, bytes] | None:
        """The data of a Secret of the folder, with the database URL in use."""
        return self._databases.secret(self._manifests, key)

    async def list_pods(self, workload: Workload) -> Sequence[Pod]:
        """The pods that the selector of a workload finds."""
        return self.workloads.pods(workload)

    async def namespace_terminating(self, namespace: str) -> bool:  # noqa: ARG002
        """Never: a folder has no namespaces that could go."""
        return False

    async def read_scale(self, target: TargetRef) -> Scale | None:
        """The replicas that a workload is asked to have now."""
        return self.workloads.read_scale(target)

    async def patch_scale(self, scale: Scale, replicas: int) -> None:
        """Ask for that many replicas, if the workload is still what was read."""
        self.workloads.scale(scale, replicas)

    async def set_deletion_cost(self, pod: Pod, cost: int) -> None:
        """Note which pods should go first."""
        self.workloads.set_cost(pod, cost)

    async def patch_status(self, identity: Identity, status: Mapping[str, Any]) -> None:
        """Merge into the status, and say it when the object becomes ready or is no longer."""
        before, after = self._objects.patch_status(identity, status)
        told, ready = _ready(before), _ready(after)
        if ready is not None and ready != told:
            self._output.line(f"{identity.kind}/{identity.key.name}", ready)

    async def set_finalizers(self, identity: Identity, finalizers: Sequence[str]) -> None:
        """Replace the finalizers of an object."""
        self._objects.set_finalizers(identity, finalizers)

    async def post_event(self, identity: Identity, event_type: EventType, reason: str, message: str) -> None:
        """Print an Event; one that repeats what the object said last about this reason is left out."""
        key = (identity.uid, event_type, reason)
        if self._told.get(key) == message:
            return
        self._told[key] = message
        self._told.move_to_end(key)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        mark = "" if event_type is EventType.NORMAL else "Warning "
        self._output.line(f"{identity.kind}/{identity.key.name}", f"{mark}{reason}: {message}")

    def _check_references(self, manifests: Manifests) -> None:
        for manifest in manifests.of_kinds(*WORKLOADS):
            namespace = manifest.id.key.namespace
            for sentence in unresolved(manifest.template, namespace, partial(self._data, manifests, namespace)):
                path = ("spec", "template", "spec", "containers")
                raise manifest.document.error(path, f"{manifest.id}: {sentence}")

    def _data(self, manifests: Manifests, namespace: str, kind: str, name: str) -> Mapping[str, bytes] | None:
        key = ObjectKey(namespace, name)
        return self._databases.secret(manifests, key) if kind == "Secret" else manifests.data(kind, key)

    def _process_spec(self, new: NewPod) -> ProcessSpec:
        namespace = new.target.namespace
        manifest = self._manifests.objects[ObjectId(new.target.kind, ObjectKey(namespace, new.target.name))]
        facts = PodFacts(
            name=new.name,
            namespace=namespace,
            uid=new.uid,
            labels=new.template.labels,
            annotations=new.template.annotations,
        )
        metrics = {"DBOS_METRICS_HOST": "127.0.0.1", "DBOS_METRICS_PORT": str(new.metrics_port)}
        own = {"DBOS__VMID": new.name, **metrics, **self._databases.worker_variables(self._manifests, namespace)}
        lookup = partial(self._data, self._manifests, namespace)
        env = {
            **resolve_environment(new.template, facts, lookup, own),
            # One port for all pods is right on a cluster, where each has an address of its own.
            **metrics,
            **self._databases.forced_variables(),
        }
        return ProcessSpec(
            name=new.name,
            argv=expand_all(new.template.argv, env),
            env=with_own_tools({"PYTHONUNBUFFERED": "1", **self._environment, **env}),
            cwd=manifest.document.file.resolve().parent,
            grace_period=new.template.grace_period,
        )


class FreePorts:
    """Ports of 127.0.0.1 that nothing listens on, none twice in a row."""

    def __init__(self, remembered: int = 64) -> None:
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._remembered = remembered

    def take(self) -> int:
        """A port that was free a moment ago."""
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in self._recent:
                self._recent[port] = None
                if len(self._recent) > self._remembered:
                    self._recent.popitem(last=False)
                return port


def _ready(status: Mapping[str, Any]) -> str | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready":
            if condition.get("status") == "True":
                return "Ready"
            return f"not ready: {condition.get('reason', '')}: {condition.get('message', '')}"
    return None
