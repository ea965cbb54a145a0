"""Idle: a worker that serves queues in which nothing happens."""

from __future__ import annotations

import os
import sys
import threading
import time

from benchmarks.workload.application import launch
from benchmarks.workload.memory import resident_megabytes
from dbos import DBOS


def measure(url: str, *, queues: int, settle_seconds: float, idle_seconds: float) -> dict[str, float]:
    """Launch, serve, do nothing: what it takes up. Lines tell the moments between which nothing happened.

    `ready_at` is a monotonic time, which the processes of a machine share.
    """
    launch(url)
    ready_at = time.monotonic()
    for number in range(queues):
        DBOS.register_queue(f"idle-{number}")
    _wait("settled", settle_seconds)
    found = {"ready_at": ready_at, "threads": threading.active_count(), "megabytes": resident_megabytes(os.getpid())}
    _wait("over", idle_seconds)
    DBOS.destroy()
    return found


def _wait(line: str, seconds: float) -> None:
    time.sleep(seconds)
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
