"""The pods of one workload: started, replaced, and counted as the controllers of Kubernetes do it."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dbos_operator.local.output import Output
from dbos_operator.local.processes import Phase, PodProcess, ProcessSpec
from dbos_operator.local.readiness import Readiness
from dbos_operator.local.replicas import PodView, decide_ordinals, decide_replicas
from dbos_operator.local.state import PodFiles
from dbos_operator.local.templates import PodTemplate
from dbos_operator.resources.identity import TargetRef

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes draws the ends of pod names from: no vowels, so no words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPod:
    """A pod that is about to start."""

    name: str
    uid: str
    target: TargetRef
    template: PodTemplate
    metrics_port: int


@dataclass(slots=True, kw_only=True)
class LocalPod:
    """A pod that was started."""

    name: str
    uid: str
    template_hash: str
    order: int
    metrics_port: int
    process: PodProcess
    labels: Mapping[str, str]
    terminating: bool = False
    ready: bool = False
    cost: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSurroundings:
    """What pods need from around them."""

    process_spec: Callable[[NewPod], ProcessSpec]
    free_port: Callable[[], int]
    files: PodFiles
    output: Output
    readiness: Readiness


@dataclass(slots=True, kw_only=True)
class PodSet:
    """The pods of one Deployment or StatefulSet.

    `reconcile` is called after every change; it only starts and stops, and
    never waits.
    """

    target: TargetRef
    template: PodTemplate
    template_hash: str
    replicas: int
    surroundings: PodSurroundings
    on_change: Callable[[], None]
    pods: dict[str, LocalPod] = field(default_factory=dict)
    _started: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def ready_replicas(self) -> int:
        """How many pods are ready for work."""
        return sum(pod.ready and not pod.terminating for pod in self.pods.values())

    def reconcile(self) -> None:
        """Start and stop what the number of replicas and the template ask for."""
        if self.target.kind == "StatefulSet":
            numbered = {int(name.rpartition("-")[2]): pod for name, pod in self.pods.items()}
            views = {number: _view(pod) for number, pod in numbered.items()}
            ordinals = decide_ordinals(views, self.replicas, self.template_hash)
            starting = [f"{self.target.name}-{number}" for number in ordinals.start]
            stopping = [numbered[number].name for number in ordinals.stop]
        else:
            change = decide_replicas([_view(pod) for pod in self.pods.values()], self.replicas, self.template_hash)
            starting = [self._new_name() for _ in range(change.start)]
            stopping = list(change.stop)
        for name in starting:
            self._start(name)
        for name in stopping:
            self._stop(self.pods[name])

    def delete_by_force(self, name: str) -> None:
        """Forget a pod and kill what is left of it; its replacement starts at once."""
        pod = self.pods.pop(name, None)
        if pod is None:
            return
        pod.terminating = True
        self.surroundings.output.line(pod.name, "deleted by force")
        self._run(pod.process.kill())
        self.reconcile()
        self.on_change()

    async def drain(self) -> None:
        """Stop every pod in order and return when all are gone."""
        self.replicas = 0
        self.reconcile()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def kill(self) -> None:
        """Kill every pod."""
        self.replicas = 0
        await asyncio.gather(*(pod.process.kill() for pod in self.pods.values()))

    def _new_name(self) -> str:
        while (name := f"{self.target.name}-{_suffix()}") in self.pods:
            pass
        return name

    def _start(self, name: str) -> None:
        surroundings = self.surroundings
        new = NewPod(
            name=name,
            uid=str(uuid.uuid4()),
            target=self.target,
            template=self.template,
            metrics_port=surroundings.free_port(),
        )
        process = PodProcess(
            surroundings.process_spec(new),
            on_line=surroundings.output.of(name),
            on_change=lambda: self._process_changed(pod),
        )
        self._started += 1
        pod = LocalPod(
            name=name,
            uid=new.uid,
            template_hash=self.template_hash,
            order=self._started,
            metrics_port=new.metrics_port,
            process=process,
            labels=self.template.labels,
        )
        self.pods[name] = pod
        surroundings.output.line(name, "started")
        process.start()
        self._describe(pod, new=True)
        self.on_change()

    def _stop(self, pod: LocalPod) -> None:
        pod.terminating = True
        pod.version += 1
        self.surroundings.output.line(pod.name, "stopping")
        self._run(self._finish(pod))
        self.on_change()

    async def _finish(self, pod: LocalPod) -> None:
        await pod.process.stop()
        if self.pods.get(pod.name) is not pod:
            return
        del self.pods[pod.name]
        self.surroundings.files.remove(pod.name)
        self.surroundings.output.line(pod.name, "gone")
        self.reconcile()
        self.on_change()

    def _process_changed(self, pod: LocalPod) -> None:
        if self.pods.get(pod.name) is not pod:
            return
        pod.version += 1
        pod.ready = False
        if not pod.terminating and pod.process.phase in (Phase.RUNNING, Phase.BACK_OFF):
            self._describe(pod, new=False)
        if pod.process.phase is Phase.RUNNING:
            self._run(self._watch_readiness(pod, pod.process.pid))
        self.on_change()

    async def _watch_readiness(self, pod: LocalPod, pid: int | None) -> None:
        def still_running() -> bool:
            return pod.process.pid == pid and pod.process.phase is Phase.RUNNING and not pod.terminating

        if await self.surroundings.readiness.reached(pod.metrics_port, still_running):
            pod.ready = True
            pod.version += 1
            self.reconcile()
            self.on_change()

    def _describe(self, pod: LocalPod, *, new: bool) -> None:
        process = pod.process
        started = process.started_at or datetime.now(UTC)
        self.surroundings.files.write(
            pod.name,
            {
                "name": pod.name,
                "namespace": self.target.namespace,
                "uid": pod.uid,
                self.target.kind[0].lower() + self.target.kind[1:]: self.target.name,
                "pid": process.pid,
                "metricsPort": pod.metrics_port,
                "started": started.isoformat(timespec="milliseconds"),
                "restarts": process.restarts,
            },
            new=new,
        )

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()


def _view(pod: LocalPod) -> PodView:
    return PodView(
        name=pod.name,
        template=pod.template_hash,
        ready=pod.ready,
        terminating=pod.terminating,
        cost=pod.cost or 0,
        order=pod.order,
    )


def _suffix() -> str:
    return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))
