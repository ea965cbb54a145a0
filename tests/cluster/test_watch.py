"""The desired state follows a real API server, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import kopf
import pytest

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.connection import ConnectionSource
from dbos_operator.cluster.kubernetes_cluster import KubernetesCluster, MissingKindError
from dbos_operator.errors import NotFoundError
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import Kind
from dbos_operator.watch.intake import Intake
from dbos_operator.watch.kinds import WATCHED
from dbos_operator.watch.registry import Login, build_registry
from dbos_operator.watch.watch import ClusterWatch
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl

QUEUE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: %s}
spec: {concurrency: %d}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: "worker:1"}]}
"""


class Changes:
    """Tells when the desired state has come to look as a test expects."""

    def __init__(self, desired: DesiredState) -> None:
        self._changed = asyncio.Event()
        self.count = 0
        desired.subscribe(self._note)

    def _note(self) -> None:
        self.count += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def desired() -> DesiredState:
    return DesiredState()


@pytest.fixture
def changes(desired: DesiredState) -> Changes:
    return Changes(desired)


@pytest.fixture
def started() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def watch(
    control_plane: ControlPlane, crds: Path, namespace: str, desired: DesiredState, started: asyncio.Event
) -> AsyncIterator[ClusterWatch]:
    api = await ApiSession.open(ConnectionSource(kubeconfig=str(control_plane.admin_kubeconfig)))
    cluster = KubernetesCluster(api, namespaces=[namespace])
    yield ClusterWatch(desired, cluster, namespaces=[namespace], started=started.set)
    await cluster.close()


@pytest.fixture
async def running(watch: ClusterWatch, started: asyncio.Event) -> AsyncIterator[ClusterWatch]:
    """The watch, following the cluster."""
    task = asyncio.create_task(run(watch))
    await asyncio.wait_for(started.wait(), 60)
    yield watch
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def run(watch: ClusterWatch) -> None:
    await watch.prime()
    await watch.run()


def concurrency(desired: DesiredState, name: str) -> int | None:
    for key, queue in desired.snapshot().queues.items():
        if key.name == name and queue.spec is not None:
            return queue.spec.concurrency
    return None


def observed_generation(desired: DesiredState, name: str) -> object:
    statuses = {key.name: queue.status for key, queue in desired.snapshot().queues.items()}
    return statuses[name].get("observedGeneration")


async def test_an_empty_cluster_is_complete(watch: ClusterWatch, desired: DesiredState) -> None:
    await watch.prime()

    assert desired.complete
    assert not desired.snapshot().queues


async def test_what_is_there_is_known_before_the_state_is_complete(
    watch: ClusterWatch, desired: DesiredState, kubectl: Kubectl
) -> None:
    kubectl.apply(QUEUE % ("emails", 3))
    kubectl.apply(DEPLOYMENT)

    await watch.prime()

    assert concurrency(desired, "emails") == 3
    assert [target.name for target in desired.snapshot().workloads] == ["worker"]


async def test_changes_are_followed(
    running: ClusterWatch, desired: DesiredState, changes: Changes, kubectl: Kubectl
) -> None:
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 3))
    await changes.until(lambda: concurrency(desired, "emails") == 3)
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 4))
    await changes.until(lambda: concurrency(desired, "emails") == 4)
    await asyncio.to_thread(kubectl, "delete", "dbosqueue", "emails")
    await changes.until(lambda: not desired.snapshot().queues)


async def test_watching_leaves_no_mark_on_an_object(
    running: ClusterWatch, desired: DesiredState, changes: Changes, kubectl: Kubectl
) -> None:
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 3))
    await changes.until(lambda: concurrency(desired, "emails") == 3)

    metadata = kubectl.get("dbosqueue", "emails")["metadata"]
    assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "finalizers" not in metadata
    assert kubectl.get("events") == []


async def test_other_namespaces_are_not_seen(
    running: ClusterWatch, desired: DesiredState, changes: Changes, kubectl: Kubectl
) -> None:
    elsewhere = kubectl.in_namespace("default")
    await asyncio.to_thread(elsewhere.apply, QUEUE % ("elsewhere", 1))
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 3))
    await changes.until(lambda: concurrency(desired, "emails") == 3)
    await running.resync()
    elsewhere("delete", "dbosqueue", "elsewhere")

    assert [key.name for key in desired.snapshot().queues] == ["emails"]


async def test_a_status_alone_wakes_nobody(
    running: ClusterWatch, desired: DesiredState, changes: Changes, kubectl: Kubectl
) -> None:
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 3))
    await changes.until(lambda: concurrency(desired, "emails") == 3)
    before = changes.count
    patch = '{"status": {"observedGeneration": 1}}'
    await asyncio.to_thread(
        kubectl, "patch", "dbosqueue", "emails", "--subresource=status", "--type=merge", "--patch", patch
    )
    await asyncio.to_thread(kubectl.apply, QUEUE % ("next", 1))
    await changes.until(lambda: concurrency(desired, "next") == 1)
    # Each object has a worker of its own in kopf, so that the status may come a moment after the next object.
    async with asyncio.timeout(60):
        while observed_generation(desired, "emails") != 1:  # noqa: ASYNC110 -- nobody is told: that is the point
            await asyncio.sleep(0.05)

    assert changes.count == before + 1


async def test_a_resync_corrects_and_names_what_no_watch_has_told(
    watch: ClusterWatch, desired: DesiredState, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbos_operator.watch.watch.HEARING_TIME", 0.0)
    kubectl.apply(QUEUE % ("gone", 1))
    kubectl.apply(QUEUE % ("changed", 1))
    await watch.prime()
    kubectl("delete", "dbosqueue", "gone")
    kubectl.apply(QUEUE % ("changed", 2))
    kubectl.apply(QUEUE % ("new", 1))

    untold = await watch.resync()

    assert sorted(text.rpartition("/")[2] for text in untold) == ["changed", "gone", "new"]
    assert {key.name for key in desired.snapshot().queues} == {"changed", "new"}
    assert concurrency(desired, "changed") == 2
    assert await watch.resync() == frozenset()


async def test_a_watch_that_does_not_hear_starts_over(
    watch: ClusterWatch,
    desired: DesiredState,
    changes: Changes,
    kubectl: Kubectl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The first kopf hears of no kind, as from an API server that is just starting.
    heard, second = iter([()]), asyncio.Event()

    def build(intake: Intake, login: Login) -> kopf.OperatorRegistry:
        kinds = next(heard, WATCHED)
        if kinds:
            second.set()
        monkeypatch.setattr("dbos_operator.watch.registry.WATCHED", kinds)
        return build_registry(intake, login)

    monkeypatch.setattr("dbos_operator.watch.watch.HEARING_TIME", 0.1)
    monkeypatch.setattr("dbos_operator.watch.watch.FIRST_RESYNCS", (1.0,) * 60)
    monkeypatch.setattr("dbos_operator.watch.watch.build_registry", build)
    task = asyncio.create_task(run(watch))
    await changes.until(lambda: desired.complete)
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 3))
    await changes.until(lambda: concurrency(desired, "emails") == 3)
    async with asyncio.timeout(60):
        await second.wait()
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 4))
    await changes.until(lambda: concurrency(desired, "emails") == 4)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_restarted_api_server_is_followed_again(
    control_plane: ControlPlane, running: ClusterWatch, desired: DesiredState, changes: Changes, kubectl: Kubectl
) -> None:
    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 3))
    await changes.until(lambda: concurrency(desired, "emails") == 3)

    await asyncio.to_thread(control_plane.restart_apiserver)

    await asyncio.to_thread(kubectl.apply, QUEUE % ("emails", 4))
    await changes.until(lambda: concurrency(desired, "emails") == 4)


async def test_a_missing_kind_is_named_with_the_command_that_installs_it(
    watch: ClusterWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_found(*_: object) -> None:
        raise NotFoundError("the server could not find the requested resource")

    monkeypatch.setattr("dbos_operator.cluster.kubernetes_cluster.list_objects", not_found)

    with pytest.raises(MissingKindError, match=r"dbosdatabases\.dbos\.dev .*kubectl apply -f crds/") as raised:
        await watch.prime()
    assert Kind.DATABASE.plural in str(raised.value)
