"""A worker of its own process, for measures in which somebody else enqueues."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.workload.application import QUEUE, launch
from dbos import DBOS


def measure(url: str) -> dict[str, float]:
    """Serve the queue until stdin ends."""
    launch(url)
    DBOS.register_queue(QUEUE)
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    sys.stdin.read()
    DBOS.destroy()
    return {}


@contextmanager
def serving(url: str) -> Iterator[Iterator[str]]:
    """A worker process for the length of the block; the lines that its workflows write."""
    command = [sys.executable, "-m", "benchmarks.workload", "serve", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            if worker.stdout.readline() != "serving\n":
                raise RuntimeError("the worker did not start")
            yield worker.stdout
        finally:
            worker.stdin.close()
            worker.stdout.read()
