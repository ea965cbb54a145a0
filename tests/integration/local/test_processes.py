"""Real processes: restarted, drained, killed with all that they started, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from dbos_operator.local.processes import BackOff, Phase, PodProcess, ProcessSpec
from support.waiting import eventually

QUICK = BackOff(initial=timedelta(milliseconds=10))


class Pods:
    """Starts pods and tells when they have said something or changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.started: list[PodProcess] = []
        self._news = asyncio.Event()

    def start(self, *argv: str, grace: float = 60.0, **env: str) -> PodProcess:
        spec = ProcessSpec(
            name="pod",
            argv=argv,
            env={"PATH": os.environ["PATH"], **env},
            cwd=self.folder,
            grace_period=timedelta(seconds=grace),
        )
        pod = PodProcess(spec, on_line=self._on_line, on_change=self._news.set, back_off=QUICK)
        pod.start()
        self.started.append(pod)
        return pod

    def python(self, code: str, *, grace: float = 60.0) -> PodProcess:
        return self.start(sys.executable, "-u", "-c", textwrap.dedent(code), grace=grace)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def _on_line(self, line: str) -> None:
        self.lines.append(line)
        self._news.set()


@pytest.fixture
async def pods(tmp_path: Path) -> AsyncIterator[Pods]:
    pods = Pods(tmp_path)
    yield pods
    await asyncio.gather(*(pod.kill() for pod in pods.started))


def wait_for_the_end_of(pid: int) -> None:
    """Return when a process that is no child of ours is gone; the kernel sends no signal for those."""
    eventually(lambda: alive(pid), lambda found: not found, what=f"end of process {pid}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it went while we looked
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


async def test_lines_of_both_streams_arrive_with_the_environment_and_folder_asked_for(pods: Pods) -> None:
    pods.start("/bin/sh", "-c", 'echo "$WORD"; pwd; echo oops >&2; sleep 60', WORD="hello")

    await pods.until(lambda: len(pods.lines) >= 3)

    assert pods.lines[:3] == ["hello", str(pods.folder), "oops"]


async def test_a_process_that_ends_is_started_again_in_the_same_pod(pods: Pods) -> None:
    pod = pods.start("/bin/sh", "-c", "echo run; exit 3")

    await pods.until(lambda: pods.lines.count("run") >= 3)

    assert pod.restarts >= 2
    assert pod.exit_text == "exit status 3"
    assert "ended with exit status 3; starts again in 0.01 s" in pods.lines


async def test_a_command_that_does_not_exist_is_said_in_one_line(pods: Pods) -> None:
    pod = pods.start("no-such-command")

    await pods.until(lambda: pod.phase is Phase.BACK_OFF)

    assert any("no-such-command" in line for line in pods.lines)
    assert pod.last_exit_code == 127


async def test_stop_lets_the_process_drain(pods: Pods) -> None:
    pod = pods.start("/bin/sh", "-c", 'trap "echo drained; exit 0" TERM; echo up; while :; do sleep 0.05; done')
    await pods.until(lambda: "up" in pods.lines)

    await pod.stop()

    assert pods.lines == ["up", "drained"]
    assert pod.phase is Phase.GONE
    assert pod.restarts == 0


async def test_stop_kills_what_outlives_the_grace_period(pods: Pods) -> None:
    pod = pods.start("/bin/sh", "-c", 'trap "" TERM; echo up; while :; do sleep 0.05; done', grace=0.2)
    await pods.until(lambda: "up" in pods.lines)

    await pod.stop()

    assert pod.phase is Phase.GONE
    assert pod.exit_text == "SIGKILL"


async def test_kill_takes_along_what_the_process_started(pods: Pods) -> None:
    pod = pods.start("/bin/sh", "-c", "sleep 600 & echo $!; wait")
    await pods.until(lambda: len(pods.lines) == 1)

    await pod.kill()

    wait_for_the_end_of(int(pods.lines[0]))


async def test_what_a_process_left_behind_is_gone_before_it_starts_again(pods: Pods) -> None:
    pods.start("/bin/sh", "-c", "sleep 600 & echo $!; exit 1")

    await pods.until(lambda: len([line for line in pods.lines if line.isdigit()]) == 2)

    wait_for_the_end_of(int(pods.lines[0]))


async def test_a_stop_during_the_back_off_ends_the_pod(tmp_path: Path) -> None:
    changed = asyncio.Event()
    spec = ProcessSpec(name="pod", argv=["/bin/false"], env={}, cwd=tmp_path)
    pod = PodProcess(
        spec, on_line=lambda _: None, on_change=changed.set, back_off=BackOff(initial=timedelta(minutes=1))
    )
    pod.start()
    async with asyncio.timeout(60):
        while pod.phase is not Phase.BACK_OFF:
            changed.clear()
            await changed.wait()

        await pod.stop()

    assert pod.phase is Phase.GONE


async def test_a_line_without_an_end_is_passed_on_when_the_process_ends(pods: Pods) -> None:
    pods.start("/bin/sh", "-c", "printf half; exit 1")

    await pods.until(lambda: "half" in pods.lines)


SUPERVISOR = """
import asyncio, pathlib, sys
from dbos_operator.local.processes import PodProcess, ProcessSpec

async def main():
    for script in ("echo $$; exec sleep 600", "sleep 600 & echo $!; wait"):
        spec = ProcessSpec(name="pod", argv=["/bin/sh", "-c", script], env={}, cwd=pathlib.Path("."))
        PodProcess(spec, on_line=lambda line: print(line, flush=True)).start()
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_pods_die_with_a_supervisor_that_is_killed() -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    pids = [int(supervisor.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in pids)

    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()

    for pid in pids:
        wait_for_the_end_of(pid)
    supervisor.stdout.close()
