"""One workload, run by our runtime and by the published package alike: prints seconds as one line of JSON.

python workload.py enqueue URL COUNT
python workload.py drain URL COUNT
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from dbos import DBOS, DBOSClient

QUEUE = "bench"


@DBOS.workflow(name="noop")
def noop(number: int) -> int:
    """Nothing, durably."""
    return number


def enqueue(url: str, count: int) -> float:
    """Seconds to enqueue `count` workflows, one after the other, from one thread: by the pace of the best tenth."""
    client = DBOSClient(system_database_url=url)
    options = {"queue_name": QUEUE, "workflow_name": "noop"}
    client.enqueue(options, -1)
    part, paces = count // 10, []
    for _ in range(10):
        started = time.perf_counter()
        for number in range(part):
            client.enqueue(options, number)
        paces.append((time.perf_counter() - started) / part)
    client.destroy()
    return min(paces) * count


def crowd(url: str, count: int) -> float:
    """Seconds to enqueue `count` workflows from eight threads of one client, as a service does."""
    client = DBOSClient(system_database_url=url, system_database_pool_size=8)
    options = {"queue_name": QUEUE, "workflow_name": "noop"}
    client.enqueue(options, -1)
    with ThreadPoolExecutor(8) as threads:
        started = time.perf_counter()
        for done in [threads.submit(client.enqueue, options, number) for number in range(count)]:
            done.result()
        elapsed = time.perf_counter() - started
    client.destroy()
    return elapsed


def drain(url: str, count: int) -> float:
    """Seconds from the first claim to the last recorded outcome, by one worker without limits; the database's clock."""
    DBOS(config={"name": "bench", "system_database_url": url, "application_version": "1", "log_level": "WARNING"})
    DBOS.launch()
    client = DBOSClient(system_database_url=url)
    for number in range(count):
        client.enqueue({"queue_name": QUEUE, "workflow_name": "noop"}, number)
    DBOS.register_queue(QUEUE, polling_interval_sec=0.1)
    waiting = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
    elapsed = "SELECT max(completed_at) - min(started_at_epoch_ms) FROM dbos.workflow_status"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() != (0,):
            time.sleep(0.1)
        (milliseconds,) = connection.execute(elapsed).fetchone() or (0,)
    client.destroy()
    DBOS.destroy()
    return milliseconds / 1000


if __name__ == "__main__":
    kind, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seconds = {"enqueue": enqueue, "crowd": crowd, "drain": drain}[kind](url, count)
    print(json.dumps({"kind": kind, "count": count, "seconds": seconds, "rate": count / seconds}))
