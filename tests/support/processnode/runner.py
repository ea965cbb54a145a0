"""One pod of the process node: its container as a local process, its status in the API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dbos_operator.local.environment import PodFacts, UnresolvedReferenceError, expand_all, resolve_environment
from dbos_operator.local.processes import Phase, PodProcess, ProcessSpec, with_own_tools
from dbos_operator.local.templates import InvalidTemplateError, KeyRef, PodTemplate, parse_template
from support.processnode.api import NodeApi
from support.processnode.status import ContainerState, Manifest, deletion_grace, pod_status, restarts_after

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a node gives to one of its pods."""

    api: NodeApi
    working_directory: Path
    image_environment: Mapping[str, str]
    address: str
    on_line: Callable[[str], None]


class ContainerRunner:
    """A container: started as soon as its environment is complete, restarted as the pod's policy says."""

    def __init__(self, pod: Manifest, around: Surroundings, on_change: Callable[[], None]) -> None:
        self._pod = pod
        self._around = around
        self._on_change = on_change
        self._process: PodProcess | None = None
        self._problem = ""
        self._exit_code: int | None = None
        self._ending = asyncio.Event()

    @property
    def state(self) -> ContainerState:
        """What a kubelet would say about it now."""
        container = self._pod["spec"]["containers"][0]
        state = ContainerState(name=container["name"], image=container.get("image", ""), exit_code=self._exit_code)
        process = self._process
        if process is None:
            reason = "CreateContainerConfigError" if self._problem else "ContainerCreating"
            return replace(state, waiting=reason, message=self._problem)
        if process.phase is Phase.BACK_OFF:
            return replace(state, restarts=process.restarts, waiting="CrashLoopBackOff", message=process.exit_text)
        started = process.started_at if process.phase in (Phase.RUNNING, Phase.TERMINATING) else None
        return replace(state, restarts=process.restarts, running_since=started)

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        return None if self._process is None else self._process.pid

    async def run(self) -> None:
        """Run it until it has ended for good."""
        spec = await self._spec_when_complete()
        if spec is None or self._ending.is_set():
            return
        process = PodProcess(spec, on_line=self._around.on_line, on_change=self._changed)
        self._process = process
        process.start()
        await first_of(process.wait(), self._ending.wait())
        if process.phase is Phase.BACK_OFF:
            await process.kill()
        await process.wait()
        self._exit_code = process.last_exit_code
        self._on_change()

    async def end(self, grace: timedelta) -> None:
        """SIGTERM, the grace period, SIGKILL. Nothing of it runs when this returns."""
        self._ending.set()
        if self._process is not None:
            await self._process.stop(grace)

    async def kill(self) -> None:
        """Kill it at once, if it runs. Nothing of it runs when this returns."""
        self._ending.set()
        if self._process is not None:
            await self._process.kill()

    def _changed(self) -> None:
        process = self._process
        if process is None:
            return
        code = process.last_exit_code
        if process.phase is Phase.BACK_OFF and code is not None and not restarts_after(self._pod, code):
            self._ending.set()
        self._on_change()

    async def _spec_when_complete(self) -> ProcessSpec | None:
        """What to run; waits for Secrets that are still to come, as a kubelet does. None when deleted before."""
        while not self._ending.is_set():
            try:
                return await self._spec()
            except (UnresolvedReferenceError, InvalidTemplateError) as error:
                self._problem = str(error)
                self._on_change()
            await first_of(self._ending.wait(), asyncio.sleep(_RETRY_SECONDS))
        return None

    async def _spec(self) -> ProcessSpec:
        template = parse_template(self._pod)
        found = await self._read_references(template)
        metadata = self._pod["metadata"]
        facts = PodFacts(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            labels=template.labels,
            annotations=template.annotations,
            ip=self._around.address,
        )
        inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        # A pod of a cluster has an address of its own. Here it is one of the loopback addresses, and
        # a worker that listened on all of them would take the metrics port from the next one.
        own = {"HOSTNAME": facts.name, "DBOS_METRICS_HOST": facts.ip}
        given = {**with_own_tools(inherited), **self._around.image_environment, **own}
        env = resolve_environment(template, facts, lambda kind, name: found.get((kind, name)), given)
        return ProcessSpec(
            name=facts.name,
            argv=expand_all(template.argv, env),
            env=env,
            cwd=self._around.working_directory,
            grace_period=template.grace_period,
        )

    async def _read_references(self, template: PodTemplate) -> dict[tuple[str, str], Mapping[str, bytes]]:
        values = [variable.value for variable in template.variables]
        wanted = {(each.kind, each.name) for each in values if isinstance(each, KeyRef)}
        wanted |= {(each.kind, each.name) for each in template.sources}
        read = {key: await self._around.api.read_data(*key) for key in sorted(wanted)}
        return {key: data for key, data in read.items() if data is not None}


class PodRunner:
    """One pod, from its binding to the removal of its object."""

    def __init__(self, pod: Manifest, around: Surroundings) -> None:
        self._pod = pod
        self._around = around
        self._changed = asyncio.Event()
        self._deleted = asyncio.Event()
        self._gone = asyncio.Event()
        self._container = ContainerRunner(pod, around, self._changed.set)
        self._reported: ContainerState | None = None
        self._over = False

    @property
    def name(self) -> str:
        """The name of the pod."""
        return str(self._pod["metadata"]["name"])

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        return self._container.pid

    def delete(self, pod: Manifest) -> None:
        """The pod is marked for deletion: it ends gracefully."""
        self._pod = pod
        self._deleted.set()

    def forget(self) -> None:
        """The pod's object is gone, so it was deleted by force: it is killed."""
        self._gone.set()
        self._deleted.set()

    async def run(self) -> None:
        """Run and report the pod until its object is gone. Cancelled, it leaves no process behind."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report_changes())
            life = tasks.create_task(self._container.run())
            try:
                await first_of(asyncio.wait({life}), self._deleted.wait())
                # A deletion by force marks the pod with no grace before its object goes.
                if self._deleted.is_set() and not self._gone.is_set() and (grace := deletion_grace(self._pod)):
                    await first_of(self._container.end(grace), self._gone.wait())
            finally:
                await self._container.kill()
            await asyncio.wait({life})
            self._over = True
            self._changed.set()
        await self._deleted.wait()
        if not self._gone.is_set():
            await self._around.api.remove(self._pod)

    async def _report_changes(self) -> None:
        while not self._over:
            self._changed.clear()
            await self._report()
            await self._changed.wait()
        await self._report()

    async def _report(self) -> None:
        state = self._container.state
        if state == self._reported or self._gone.is_set():
            return
        status = pod_status(state, address=self._around.address, now=datetime.now(UTC))
        await self._around.api.write_status(self._pod, status)
        self._reported = state


async def first_of(*waits: Awaitable[object]) -> None:
    """Return when one of the waits is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
