"""A folder as a cluster: what is saved runs, what is removed ends, and the loop's calls are answered."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbos_operator.errors import ConflictError, NotFoundError, OperatorError
from dbos_operator.local.cluster import LocalCluster
from dbos_operator.local.databases import Databases
from dbos_operator.local.manifests import load_manifests
from dbos_operator.local.output import Output
from dbos_operator.local.schemas import load_schemas
from dbos_operator.local.state import AlreadyRunningError, StateFolder
from dbos_operator.local.watching import follow_folder, follow_pod_files
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import ObjectKey, TargetRef
from dbos_operator.resources.resource import Workload
from support.waiting import eventually

SCHEMAS = load_schemas()
TARGET = TargetRef("default", "Deployment", "worker")
URL = "postgresql://someone:secret@db.example/orders"
READY_WORKER = """
import http.server, os, signal, sys
print("env", os.environ["DBOS__VMID"], os.environ["DBOS_SYSTEM_DATABASE_URL"], os.environ.get("WORD"), flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
address = (os.environ["DBOS_METRICS_HOST"], int(os.environ["DBOS_METRICS_PORT"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""


def database() -> dict[str, Any]:
    return {
        "apiVersion": "dbos.dev/v1beta1",
        "kind": "DBOSDatabase",
        "metadata": {"name": "default"},
        "spec": {"secretRef": {"name": "db", "key": "url"}},
    }


def deployment(replicas: int = 0, *, word: str = "a", kind: str = "Deployment") -> dict[str, Any]:
    env = [
        {"name": "WORD", "value": word},
        {
            "name": "DBOS_SYSTEM_DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}},
        },
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "worker"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "worker"}},
            "template": {
                "metadata": {"labels": {"app": "worker"}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{"name": "worker", "command": ["python", "worker.py"], "env": env}],
                },
            },
        },
    }


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Screen(io.StringIO):
    """Keeps what was printed, and tells that something was."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def flush(self) -> None:
        self._told()


class World:
    """A folder, and a supervisor that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "app.yaml"
        self._news = asyncio.Event()
        self.text = Screen(self._news.set)
        self.desired = DesiredState()
        self.desired.subscribe(self._news.set)
        (folder / "worker.py").write_text(READY_WORKER)
        self.state = StateFolder([folder])
        self._lock = self.state.lock()
        self._lock.__enter__()
        self.cluster = LocalCluster(
            desired=self.desired,
            databases=Databases(self.state.postgres, URL),
            state=self.state,
            output=Output(self.text, now=lambda: datetime.now(UTC)),
            now=lambda: datetime.now(UTC),
            environment={"PATH": os.environ["PATH"]},
        )

    def save(self, *objects: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump_all(objects))

    async def apply(self, *objects: dict[str, Any]) -> None:
        self.save(*objects)
        await self.cluster.apply(load_manifests([self.folder], SCHEMAS))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._news.clear()
                await self._news.wait()

    @property
    def workload(self) -> Workload:
        return self.desired.snapshot().workloads[TARGET]

    async def ready(self, replicas: int) -> None:
        await self.until(lambda: self.workload.ready_replicas == replicas and self.cluster.settled)

    async def pod_names(self) -> list[str]:
        return [pod.name for pod in await self.cluster.list_pods(self.workload)]

    async def scale(self, replicas: int) -> None:
        scale = await self.cluster.read_scale(TARGET)
        assert scale is not None
        await self.cluster.patch_scale(scale, replicas)

    def pod_file(self, name: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.state.pods.folder / name).read_text())
        return facts

    async def close(self) -> None:
        await self.cluster.workloads.kill()
        await self.cluster.close()
        self._lock.__exit__(None, None, None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


async def test_a_deployment_runs_as_many_processes_as_it_is_scaled_to(world: World) -> None:
    await world.apply(database(), deployment())
    assert world.desired.complete
    assert await world.pod_names() == []

    await world.scale(2)
    await world.ready(2)

    names = await world.pod_names()
    assert len(set(names)) == 2
    assert all(name.startswith("worker-") and len(name) == len("worker-12345") for name in names)
    await world.until(lambda: f"| env {names[0]} {URL} a" in world.text.getvalue())

    await world.scale(0)
    await world.ready(0)

    assert await world.pod_names() == []
    assert world.state.pods.names() == frozenset()


async def test_a_pod_is_described_by_a_file_whose_removal_replaces_it(world: World) -> None:
    await world.apply(database(), deployment(1))
    await world.ready(1)
    (name,) = await world.pod_names()
    facts = world.pod_file(name)
    assert facts["deployment"] == "worker"
    assert facts["metricsPort"] > 0
    following = asyncio.create_task(follow_pod_files(world.state.pods, world.cluster))

    # The kernel has to be asked first: a file removed before that is found by the first look.
    (world.state.pods.folder / name).unlink()
    await world.until(lambda: world.state.pods.names() not in (frozenset(), frozenset({name})))
    await world.ready(1)

    assert name not in await world.pod_names()
    # Its process is killed at once, and gone when its end has been taken note of.
    await asyncio.to_thread(eventually, lambda: runs(facts["pid"]), lambda found: not found, what="end of the process")
    following.cancel()


async def test_a_process_that_dies_is_started_again_in_its_pod(world: World) -> None:
    await world.apply(database(), deployment(1))
    await world.ready(1)
    (name,) = await world.pod_names()
    pid = world.pod_file(name)["pid"]

    os.kill(pid, signal.SIGKILL)
    await world.until(lambda: world.workload.ready_replicas == 0)
    await world.ready(1)

    assert await world.pod_names() == [name]
    assert world.pod_file(name)["restarts"] == 1
    assert world.pod_file(name)["pid"] != pid


async def test_a_changed_template_replaces_the_pods(world: World) -> None:
    await world.apply(database(), deployment(1))
    await world.ready(1)
    before = await world.pod_names()

    await world.apply(database(), deployment(1, word="b"))
    await world.until(lambda: f"{URL} b" in world.text.getvalue() and world.cluster.settled)

    assert set(before).isdisjoint(await world.pod_names())
    assert len(await world.pod_names()) == 1


async def test_saving_a_file_does_not_undo_what_was_scaled(world: World) -> None:
    await world.apply(database(), deployment(0))
    await world.scale(1)
    await world.ready(1)

    await world.apply(database(), deployment(0, word="b"))

    assert world.workload.replicas == 1


async def test_the_pods_of_a_stateful_set_are_numbered(world: World) -> None:
    await world.apply(database(), deployment(2, kind="StatefulSet"))
    workloads = world.desired.snapshot().workloads
    workload = workloads[TargetRef("default", "StatefulSet", "worker")]

    pods = await world.cluster.list_pods(workload)

    assert sorted(pod.name for pod in pods) == ["worker-0", "worker-1"]


async def test_the_pod_with_the_lowest_deletion_cost_goes_first(world: World) -> None:
    await world.apply(database(), deployment(2))
    await world.ready(2)
    pods = await world.cluster.list_pods(world.workload)
    await world.cluster.set_deletion_cost(pods[0], 1)
    await world.cluster.set_deletion_cost(pods[1], 5)

    await world.scale(1)
    await world.ready(1)

    assert await world.pod_names() == [pods[1].name]
    with pytest.raises(NotFoundError):
        await world.cluster.set_deletion_cost(pods[0], 1)


async def test_a_stale_scale_is_a_conflict(world: World) -> None:
    await world.apply(database(), deployment())
    scale = await world.cluster.read_scale(TARGET)
    assert scale is not None
    await world.cluster.patch_scale(scale, 1)

    with pytest.raises(ConflictError):
        await world.cluster.patch_scale(scale, 0)


async def test_a_removed_deployment_takes_its_pods_along(world: World) -> None:
    await world.apply(database(), deployment(1))
    await world.ready(1)
    workload = world.workload

    await world.apply(database())
    (pod,) = await world.cluster.list_pods(workload)
    assert pod.terminating
    await world.until(lambda: "| gone" in world.text.getvalue())

    assert await world.cluster.list_pods(workload) == []


async def test_every_secret_of_a_database_holds_the_url_in_use(world: World) -> None:
    await world.apply(database())

    assert await world.cluster.read_secret(ObjectKey("default", "db")) == {"url": URL.encode()}
    assert await world.cluster.read_secret(ObjectKey("default", "other")) is None


async def test_a_secret_that_is_missing_is_refused_and_changes_nothing(world: World) -> None:
    broken = deployment()
    broken["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "none"}}]

    with pytest.raises(OperatorError, match=r"app.yaml:\d+: Deployment default/worker: Secret default/none is not in"):
        await world.apply(database(), broken)

    assert not world.desired.complete


async def test_a_saved_file_is_applied_and_a_broken_one_keeps_the_old_state(world: World) -> None:
    await world.apply(database(), deployment())
    following = asyncio.create_task(
        follow_folder([world.folder], SCHEMAS, world.cluster, Output(world.text, now=lambda: datetime.now(UTC)))
    )
    # A watch says nothing about when it has begun, so the file is saved until it is seen.
    async with asyncio.timeout(60):
        while "configured" not in world.text.getvalue():
            world.save(database(), deployment(word=str(asyncio.get_running_loop().time())))
            await asyncio.sleep(0.5)

    world.file.write_text("a: [\n")
    await world.until(lambda: "the old state is kept" in world.text.getvalue())
    assert TARGET in world.desired.snapshot().workloads

    world.save(database())
    await world.until(lambda: TARGET not in world.desired.snapshot().workloads)
    await world.until(lambda: "whole again" in world.text.getvalue())

    world.file.unlink()
    await world.until(lambda: not world.desired.snapshot().databases)
    following.cancel()


async def test_the_cluster_id_is_kept_and_two_supervisors_are_kept_apart(world: World) -> None:
    again = StateFolder([world.folder])

    assert again.cluster_id() == await world.cluster.cluster_id()
    with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"), again.lock():
        pass
