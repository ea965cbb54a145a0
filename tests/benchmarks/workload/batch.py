"""Batches: many workflows at once, by what each package has for that.

Ours has `enqueue_many`. The other's best is `enqueue_in_transaction`, many in one transaction of the caller.
"""

from __future__ import annotations

import time

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from benchmarks.workload.application import NOOP, new_client


def measure(url: str, *, count: int, batch: int) -> dict[str, float]:
    """`rate`: how many were stored in a second, `batch` of them at a time."""
    client = new_client(url)
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    engine.connect().close()

    def store(numbers: range) -> None:
        if hasattr(client, "enqueue_many"):
            client.enqueue_many(NOOP, [(number,) for number in numbers])
            return
        with engine.begin() as connection:
            for number in numbers:
                client.enqueue_in_transaction(connection, NOOP, number)

    store(range(batch))
    started = time.perf_counter()
    for first in range(0, count, batch):
        store(range(first, first + batch))
    seconds = time.perf_counter() - started
    engine.dispose()
    client.destroy()
    return {"rate": count / seconds}
