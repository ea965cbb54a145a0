"""Steps: several workflows at once, each of many steps."""

from __future__ import annotations

import time

from benchmarks.workload.application import launch, steps
from dbos import DBOS


def measure(url: str, *, workflows: int, count: int) -> dict[str, float]:
    """`rate` of steps, all workflows together."""
    launch(url)
    steps(1)
    started = time.perf_counter()
    for handle in [DBOS.start_workflow(steps, count) for _ in range(workflows)]:
        handle.get_result()
    seconds = time.perf_counter() - started
    DBOS.destroy()
    return {"rate": workflows * count / seconds}
