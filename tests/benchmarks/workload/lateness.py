"""Schedules: how long after its moment a run of each second begins, in a worker that has nothing else to do."""

from __future__ import annotations

import queue
import time
from datetime import datetime
from typing import Any

from benchmarks.workload.application import launch
from dbos import DBOS

_heard: queue.Queue[float] = queue.Queue()


@DBOS.workflow(name="tick")
def tick(moment: datetime, _: Any) -> None:
    """Says how late its first line is."""
    _heard.put((time.time() - moment.timestamp()) * 1000)


def measure(url: str, *, count: int) -> dict[str, list[float]]:
    """`milliseconds` of each run."""
    launch(url)
    DBOS.create_schedule(schedule_name="each second", workflow_fn=tick, schedule="* * * * * *")
    found = [_heard.get(timeout=60) for _ in range(count + 1)]
    DBOS.destroy()
    return {"milliseconds": found[1:]}  # the first one is the worker's first
