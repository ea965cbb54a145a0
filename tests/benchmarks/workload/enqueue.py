"""Enqueue: a client outside of the application, from one thread or as a service does from several."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.workload.application import NOOP, new_client
from dbos import DBOSClient

PARTS = 10


def measure(url: str, *, count: int, threads: int) -> dict[str, float]:
    """`rate` of the whole run, and `best_rate`, that of its best tenth: what it does while nobody disturbs."""
    client = new_client(url, threads=threads)
    part = count // PARTS
    with ThreadPoolExecutor(threads) as pool:
        paces = [_seconds(client, pool, part, threads) for _ in range(PARTS)]
    client.destroy()
    return {"rate": part * PARTS / sum(paces), "best_rate": part / min(paces)}


def _seconds(client: DBOSClient, pool: ThreadPoolExecutor, count: int, threads: int) -> float:
    def share(numbers: range) -> None:
        for number in numbers:
            client.enqueue(NOOP, number)

    started = time.perf_counter()
    if threads == 1:
        share(range(count))
    else:
        for done in [pool.submit(share, range(first, count, threads)) for first in range(threads)]:
            done.result()
    return time.perf_counter() - started
