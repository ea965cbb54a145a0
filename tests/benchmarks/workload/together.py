"""Enqueue and drain at once: a client with several threads, and a worker in another process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.workload.application import NOOP, new_client
from benchmarks.workload.rows import seconds_until_ended
from benchmarks.workload.serve import serving


def measure(url: str, *, count: int, threads: int) -> dict[str, float]:
    """`rate` from the first enqueue to the last recorded outcome."""
    client = new_client(url, threads=threads)
    with serving(url), ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(client.enqueue, NOOP, number) for number in range(count)]:
            done.result()
        seconds = seconds_until_ended(url, since="created_at")
    client.destroy()
    return {"rate": count / seconds}
