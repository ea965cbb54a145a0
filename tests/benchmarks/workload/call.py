"""Call: a workflow of one step as a function, one call after the other."""

from __future__ import annotations

import time

from benchmarks.workload.application import launch, steps
from dbos import DBOS

WARM_UP = 10


def measure(url: str, *, count: int) -> dict[str, list[float]]:
    """`milliseconds` of each call."""
    launch(url)
    found = []
    for _ in range(count + WARM_UP):
        started = time.perf_counter()
        steps(1)
        found.append((time.perf_counter() - started) * 1000)
    DBOS.destroy()
    return {"milliseconds": found[WARM_UP:]}
