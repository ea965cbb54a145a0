"""Start latency: from the call of enqueue to the workflow's first line, in a worker that has nothing else to do."""

from __future__ import annotations

import random
import time

from benchmarks.workload.application import STAMP, new_client
from benchmarks.workload.serve import serving


def measure(url: str, *, count: int, pause_seconds: float) -> dict[str, list[float]]:
    """`milliseconds` of each start. Pauses are random, so that they hit every moment of a poll."""
    client = new_client(url)
    pauses = random.Random(1)
    found = []
    with serving(url) as lines:
        for _ in range(count + 1):
            time.sleep(pauses.uniform(0, pause_seconds))
            called = time.time()
            client.enqueue(STAMP)
            found.append((float(next(lines)) - called) * 1000)
    client.destroy()
    return {"milliseconds": found[1:]}  # the first one is the worker's first
