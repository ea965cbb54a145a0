"""A node without a container runtime: Pods of one namespace run as local processes.

The processes are those of `dbos-operator local`; everything else is what a
scheduler and a kubelet do: binding, status, restarts, graceful and forced deletion.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.processnode.api import AWAY, NodeApi, connect
from support.processnode.runner import PodRunner, Surroundings
from support.processnode.status import Manifest

_KEPT_LINES = 5000
_RETRY_SECONDS = 0.2
_START_SECONDS = 30
_STOP_SECONDS = 30


class ProcessNode:
    """Runs the pods of a namespace from `start` to `stop`, in a thread with an event loop of its own.

    What an image would bring are the working directory and the environment given
    here. No process outlives `stop`, nor the interpreter.
    """

    def __init__(
        self,
        kubeconfig: Path,
        *,
        namespace: str,
        working_directory: Path,
        image_environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"node-{namespace}"
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        """What the pods wrote, each line after the name of its pod."""
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._working_directory = working_directory
        self._image_environment = image_environment or {}
        self._addresses = _loopback_addresses(namespace)
        self._runners: dict[str, PodRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._over: set[str] = set()
        self._thread = threading.Thread(target=self._run_thread, name=self.name, daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Register the node and return when it watches pods."""
        self._thread.start()
        if not self._started.wait(_START_SECONDS) or self._failure is not None:
            raise RuntimeError(f"{self.name} did not start") from self._failure

    def stop(self) -> None:
        """Kill what runs, remove the pods and the node; raises what went wrong in between."""
        if self._loop is not None and self._work is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join()
        if self._failure is not None:
            raise RuntimeError(f"{self.name} failed") from self._failure

    def pids(self) -> dict[str, int]:
        """The process of each pod that has one now, by the pod's name."""
        runners = list(self._runners.values())
        return {runner.name: runner.pid for runner in runners if runner.pid is not None}

    def output_of(self, pod: str) -> list[str]:
        """The lines that a pod wrote."""
        prefix = f"{pod} | "
        return [line.removeprefix(prefix) for line in list(self.lines) if line.startswith(prefix)]

    def tail(self, lines: int = 60) -> str:
        """The end of what all pods wrote, for the message of a failed test."""
        return "\n".join(list(self.lines)[-lines:])

    def _run_thread(self) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001  the end of a thread: `stop` raises it in the test
            self._failure = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        async with connect(self._kubeconfig, self._namespace) as api:
            await api.register(self.name)
            try:
                await self._follow_pods(api)
            finally:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._leave(api)

    async def _leave(self, api: NodeApi) -> None:
        """End every process; then nobody would ever confirm the end of the pods, so they go with the node."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        pods, _ = await api.list_pods()
        for pod in pods:
            if pod["spec"].get("nodeName") == self.name:
                await api.remove(pod)
        await api.unregister(self.name)

    async def _follow_pods(self, api: NodeApi) -> None:
        while True:
            try:
                pods, since = await api.list_pods()
                await self._take_in_all(api, pods)
                self._started.set()
                async for kind, pod in api.watch_pods(since):
                    await self._take_in(api, kind, pod)
            except AWAY as error:
                # The server restarts, or the moment of the watch is forgotten: list again.
                self.lines.append(f"{self.name} | lists again: {error}")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _take_in_all(self, api: NodeApi, pods: list[Manifest]) -> None:
        here = {pod["metadata"]["uid"] for pod in pods}
        for uid, runner in self._runners.items():
            if uid not in here:
                runner.forget()
        for pod in pods:
            await self._take_in(api, "LISTED", pod)

    async def _take_in(self, api: NodeApi, kind: str, pod: Manifest) -> None:
        uid, spec = pod["metadata"]["uid"], pod["spec"]
        runner = self._runners.get(uid)
        if kind == "DELETED":
            if runner is not None:
                runner.forget()
        elif runner is not None:
            if "deletionTimestamp" in pod["metadata"]:
                runner.delete(pod)
        elif "nodeName" not in spec:
            await api.bind(pod, self.name)
        elif spec["nodeName"] == self.name and uid not in self._over:
            self._run_pod(api, pod)

    def _run_pod(self, api: NodeApi, pod: Manifest) -> None:
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        around = Surroundings(
            api=api,
            working_directory=self._working_directory,
            image_environment=self._image_environment,
            address=next(self._addresses),
            on_line=lambda line: self.lines.append(f"{name} | {line}"),
        )
        self._runners[uid] = runner = PodRunner(pod, around)
        self._tasks[uid] = task = asyncio.create_task(runner.run(), name=f"pod {name}")
        task.add_done_callback(lambda done: self._ended(uid, done))
        if "deletionTimestamp" in pod["metadata"]:
            runner.delete(pod)

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        del self._runners[uid], self._tasks[uid]
        self._over.add(uid)  # what the watch still tells of it comes late
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error


def _loopback_addresses(seed: str) -> Iterator[str]:
    """An address for each pod. Linux answers on all of 127.0.0.0/8, other systems on the first only."""
    if sys.platform != "linux":
        return itertools.repeat("127.0.0.1")
    network = 1 + sum(seed.encode()) % 200
    hosts = itertools.product(range(256), range(1, 255))
    return (f"127.{network}.{third}.{fourth}" for third, fourth in itertools.cycle(hosts))
