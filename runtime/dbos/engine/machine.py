"""Which process this is, and whether another one on the same machine still runs."""

from __future__ import annotations

import os
import platform
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE, _START = 0, 19
"""Places of the state and the start time in /proc/<pid>/stat, counted after the name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs. `machine` is where its pid is unambiguous; None where that cannot be told."""

    host: str
    pid: int
    machine: str | None
    started: str | None


def this_place() -> Place:
    """Where this process runs."""
    pid = os.getpid()
    machine = _machine()
    return Place(platform.node() or "unknown", pid, machine, None if machine is None else _started(pid))


def has_ended(pid: int, started: str | None) -> bool:
    """Whether a process of this machine is known to have ended; one of that pid that began later is another."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it runs, as another user
    now = _started(pid)
    return now is not None and (now == "" or (started is not None and now != started))


def _machine() -> str | None:
    """One boot of one machine, and in it one space of pids: containers have pids of their own."""
    if sys.platform == "linux":
        try:
            boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
        except OSError:
            return None
    if sys.platform == "darwin":
        return f"{platform.node()}/{uuid.getnode():012x}"
    return None  # elsewhere the question alone could end a process


def _started(pid: int) -> str | None:
    """When a process began, as the kernel counts; empty for one that has ended and was not waited for.

    None where the kernel does not say.
    """
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] in {"Z", "X"} else fields[_START]
