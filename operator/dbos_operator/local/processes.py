"""One pod as one local process: started, restarted with back-off, stopped, and never left behind.

    PENDING --start--> RUNNING --exit--> BACK_OFF --delay--> RUNNING
       |                  |                 |
       +------------------+---stop, kill----+--> TERMINATING --> GONE

Nothing here knows manifests or clusters: a command, an environment and a folder
go in, lines of output and changes of phase come out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

_LAUNCHER = """
exec 3<&0 </dev/null
( trap '' TERM INT HUP; read -r _ <&3; kill -KILL 0 ) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""
"""Runs the command in a group together with a watcher that waits for the end of a pipe.

Only the supervisor holds the other end, so however it ends, also by SIGKILL, the
kernel closes the pipe and the watcher kills the group. Linux alone could do the
same for one process (PR_SET_PDEATHSIG), macOS could not, and neither for a group.
"""

_CHUNK = 65536
_LONGEST_LINE = 16 * _CHUNK
_DRAIN_TIME = 5.0


class Phase(StrEnum):
    """Where a pod's process is in its life."""

    PENDING = "Pending"
    RUNNING = "Running"
    BACK_OFF = "BackOff"
    TERMINATING = "Terminating"
    GONE = "Gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How long a process that ended waits for its restart.

    A kubelet waits 10 s at first. A person who has just saved a file waits at the
    screen, so here it is 1 s; the doubling and the bounds are the kubelet's.
    """

    initial: timedelta = timedelta(seconds=1)
    maximum: timedelta = timedelta(minutes=5)
    reset_after: timedelta = timedelta(minutes=10)

    def delay(self, failures: int) -> timedelta:
        """The wait after that many ends in a row, the first one being 1."""
        factor: int = 2 ** min(failures - 1, 32)
        return min(self.initial * factor, self.maximum)

    def failures_after(self, failures: int, ran_for: timedelta) -> int:
        """The ends in a row after one more; a long run starts the count again."""
        return 1 if ran_for >= self.reset_after else failures + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """What a pod runs."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    """The whole environment of the process; nothing is inherited besides."""
    cwd: Path
    grace_period: timedelta = timedelta(seconds=30)


def with_own_tools(env: Mapping[str, str]) -> dict[str, str]:
    """The environment in which `python` and `dbos` mean those that run the operator."""
    own = str(Path(sys.executable).parent)
    path = env.get("PATH", os.defpath)
    return {**env, "PATH": f"{own}{os.pathsep}{path}"}


class PodProcess:
    """The process of one pod, kept running until it is stopped or killed.

    Its process group holds everything that it starts. The group is dead when
    `stop` and `kill` return, and dies with the supervisor however that ends.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        on_line: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
        back_off: BackOff | None = None,
    ) -> None:
        self.spec = spec
        self.phase = Phase.PENDING
        self.restarts = 0
        self.started_at: datetime | None = None
        self.last_exit_code: int | None = None
        self._on_line = on_line
        self._on_change = on_change
        self._back_off = back_off or BackOff()
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process ID of the command while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def exit_text(self) -> str:
        """How the last run ended, in words: `exit status 3`, `SIGKILL`."""
        code = self.last_exit_code
        if code is None:
            return "not ended yet"
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def start(self) -> None:
        """Run the command, again and again, until `stop` or `kill`."""
        self._life = asyncio.create_task(self._live(), name=f"pod {self.spec.name}")

    async def stop(self, grace_period: timedelta | None = None) -> None:
        """Ask the command to end, wait for the grace period, then kill its group."""
        grace = self.spec.grace_period if grace_period is None else grace_period
        self._end(signal.SIGTERM)
        if self._life is None:
            return
        done, _ = await asyncio.wait({self._life}, timeout=grace.total_seconds())
        if not done:
            await self.kill()

    async def kill(self) -> None:
        """Kill the whole group at once; nothing of the pod runs when this returns."""
        self._end(signal.SIGKILL)
        await self.wait()

    async def wait(self) -> None:
        """Return when the pod is gone for good. Cancelling the wait leaves the pod alone."""
        if self._life is not None:
            await asyncio.wait({self._life})

    def _end(self, number: signal.Signals) -> None:
        self._stopping.set()
        if self.phase not in (Phase.GONE, Phase.TERMINATING):
            self._enter(Phase.GONE if self._life is None else Phase.TERMINATING)
        process = self._process
        if process is None or process.returncode is not None:
            return
        if number is signal.SIGKILL:
            _kill_group(process.pid)
        else:
            process.send_signal(number)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._on_change()

    async def _live(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                began = datetime.now(UTC)
                await self._run_once(began)
                if self._stopping.is_set():
                    break
                failures = self._back_off.failures_after(failures, datetime.now(UTC) - began)
                delay = self._back_off.delay(failures)
                self._on_line(f"ended with {self.exit_text}; starts again in {delay.total_seconds():g} s")
                self._enter(Phase.BACK_OFF)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay.total_seconds())
                self.restarts += not self._stopping.is_set()
        finally:
            self._enter(Phase.GONE)

    async def _run_once(self, began: datetime) -> None:
        lifeline, held = os.pipe()
        output, said = os.pipe()
        try:
            process = await self._spawn(lifeline, said)
            self._process, self.started_at = process, began
            if self._stopping.is_set():
                _kill_group(process.pid)
            else:
                self._enter(Phase.RUNNING)
            await self._follow(process, output)
        except OSError as error:
            self._on_line(f"cannot start {shlex.join(self.spec.argv)}: {error}")
            self.last_exit_code = 127
        finally:
            os.close(held)
            os.close(output)

    async def _spawn(self, lifeline: int, said: int) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _LAUNCHER, "sh", *self.spec.argv),
                env=dict(self.spec.env),
                cwd=self.spec.cwd,
                stdin=lifeline,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
            os.close(said)

    async def _follow(self, process: Process, output: int) -> None:
        # The pipe is our own: asyncio's `wait` would wait for the end of a pipe of its own as well,
        # which a descendant can hold open long after the process.
        reader = asyncio.create_task(self._read_lines(output))
        try:
            self.last_exit_code = await process.wait()
        finally:
            # The watcher is still in the group, so its number cannot mean another one yet.
            _kill_group(process.pid)
            self._process = None
            await asyncio.wait({reader}, timeout=_DRAIN_TIME)
            reader.cancel()
            await asyncio.wait({reader})

    async def _read_lines(self, output: int) -> None:
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(os.dup(output), "rb", buffering=0)
        )
        rest = b""
        try:
            while chunk := await stream.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._on_line(line.decode(errors="replace").rstrip("\r"))
        finally:
            transport.close()
        if rest:
            self._on_line(rest.decode(errors="replace"))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
