"""Drain: one worker works off what waits in a queue."""

from __future__ import annotations

from benchmarks.workload.application import NOOP, QUEUE, launch, new_client
from benchmarks.workload.rows import copy_workflow, seconds_until_ended
from dbos import DBOS


def measure(url: str, *, count: int, worker_concurrency: int | None = None) -> dict[str, float]:
    """`rate` from the first claim to the last recorded outcome."""
    client = new_client(url)
    copy_workflow(url, client.enqueue(NOOP, 1).workflow_id, count)
    launch(url)
    DBOS.register_queue(QUEUE, worker_concurrency=worker_concurrency)
    seconds = seconds_until_ended(url, since="started_at_epoch_ms")
    client.destroy()
    DBOS.destroy()
    return {"rate": count / seconds}
