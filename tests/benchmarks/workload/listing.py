"""Listing: what waits in one queue, beside a long history."""

from __future__ import annotations

import time

from benchmarks.workload.application import QUEUE
from dbos import DBOSClient


def measure(url: str, *, count: int) -> dict[str, list[float]]:
    """`milliseconds` of each list of the queue's workflows."""
    client = DBOSClient(system_database_url=url)
    client.list_queued_workflows(queue_name=QUEUE)
    found = []
    for _ in range(count):
        started = time.perf_counter()
        client.list_queued_workflows(queue_name=QUEUE)
        found.append((time.perf_counter() - started) * 1000)
    client.destroy()
    return {"milliseconds": found}
