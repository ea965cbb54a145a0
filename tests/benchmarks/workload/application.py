"""The application that both packages run: workflows that do nothing, durably."""

from __future__ import annotations

import sys
import time

from dbos import DBOS, DBOSClient

QUEUE = "bench"
NOOP = {"queue_name": QUEUE, "workflow_name": "noop"}
STAMP = {"queue_name": QUEUE, "workflow_name": "stamp"}


@DBOS.workflow(name="noop")
def noop(number: int) -> int:
    """Nothing, durably."""
    return number


@DBOS.workflow(name="stamp")
def stamp() -> None:
    """Says when its first line ran, to whoever reads this process's output."""
    sys.stdout.write(f"{time.time()}\n")
    sys.stdout.flush()


@DBOS.step(name="step")
def step(number: int) -> int:
    """Nothing, checkpointed."""
    return number


@DBOS.workflow(name="steps")
def steps(count: int) -> int:
    """As many steps as asked for, one after the other."""
    return sum(step(number) for number in range(count))


def launch(url: str) -> None:
    """Make this process a worker with the settings that both packages have by default."""
    DBOS(config={"name": "bench", "system_database_url": url, "application_version": "1", "log_level": "WARNING"})
    DBOS.launch()


def new_client(url: str, *, threads: int = 1) -> DBOSClient:
    """A client with a connection for each thread, which has said something already."""
    client = DBOSClient(system_database_url=url, **({} if threads == 1 else {"system_database_pool_size": threads}))
    client.enqueue({"queue_name": "warm-up", "workflow_name": "noop"}, -1)
    return client
