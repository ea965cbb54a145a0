"""Limits that hold over several processes at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dbos import DBOSClient
from support.bystander import Bystander, bystander
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.both_databases

APPLICATION = """
import os, threading, time
from dbos import DBOS, Queue

DBOS(config={{"name": "orders", "use_listen_notify": {listen}}})
Queue("work", {limits}, polling_interval_sec=0.2)
url = os.environ["DBOS_SYSTEM_DATABASE_URL"]
if url.startswith("sqlite"):
    import sqlite3
    gauge = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30, check_same_thread=False)
    larger, value = "max", "?"
else:
    import psycopg
    gauge = psycopg.connect(url, autocommit=True)
    larger, value = "greatest", "%s"
turn = threading.Lock()

def measure(query, values=()):
    with turn:
        gauge.execute(query, values)

def most():
    with turn:
        return gauge.execute("SELECT most FROM gauge").fetchone()[0]

def have_company():
    until = time.monotonic() + 30
    while most() < {together} and time.monotonic() < until:
        time.sleep(0.02)

@DBOS.workflow(name="work")
def work(number):
    measure(f"UPDATE gauge SET now = now + 1, most = {{larger}}(most, now + 1)")
    have_company()
    time.sleep(0.02)
    measure("UPDATE gauge SET now = now - 1")
    measure(f"INSERT INTO done VALUES ({{value}}, {{value}})", [number, DBOS.executor_id])
"""


@pytest.fixture
def gauge(database_url: str) -> Iterator[Bystander]:
    """How many workflows run in all processes, measured where all see it."""
    with bystander(database_url) as connection:
        connection.execute("CREATE TABLE gauge (now int, most int)")
        connection.execute("INSERT INTO gauge VALUES (0, 0)")
        connection.execute("CREATE TABLE done (number int, executor text)")
        yield connection


def _run(folder: Path, url: str, *, workers: int, count: int, keys: Sequence[str] = (), **options: Any) -> None:
    """Run workflows on several workers until all are done; the first wait until `together` run at once."""
    application = APPLICATION.format(**{"listen": True, "together": 1, **options})
    with ExitStack() as stack, DBOSClient(system_database_url=url) as client:
        started = []
        for number in range(workers):
            (folder / str(number)).mkdir()
            environment = {
                "DBOS_SYSTEM_DATABASE_URL": url,
                "DBOS__VMID": f"pod-{number}",
                "DBOS__APPVERSION": "v1",
            }
            started.append(
                stack.enter_context(WorkerProcess(folder / str(number), application, environment=environment))
            )
        for worker in started:
            worker.wait_for("launched")
        described = {"workflow_name": "work", "queue_name": "work"}
        lanes = [{**described, "queue_partition_key": key} for key in keys] or [described]
        handles = [
            client.enqueue(lanes[number % len(lanes)], number)  # type: ignore[arg-type]
            for number in range(count)
        ]
        for handle in handles:
            handle.get_result(polling_interval_sec=0.1)


@pytest.mark.parametrize("listen", [True, False])
def test_a_global_concurrency_holds_over_all_processes_and_is_used(
    tmp_path: Path, database_url: str, gauge: Bystander, listen: bool
) -> None:
    _run(tmp_path, database_url, workers=3, count=60, limits="concurrency=4", listen=listen, together=4)
    row = gauge.execute("SELECT now, most FROM gauge").fetchone()
    assert row == {"now": 0, "most": 4}
    shares = gauge.execute("SELECT count(*) AS ended, count(DISTINCT number) AS numbers FROM done").fetchone()
    assert shares == {"ended": 60, "numbers": 60}


def test_a_concurrency_of_one_runs_in_order_over_all_processes(
    tmp_path: Path, database_url: str, gauge: Bystander
) -> None:
    _run(tmp_path, database_url, workers=2, count=20, limits="concurrency=1")
    assert gauge.execute("SELECT most FROM gauge").fetchone() == {"most": 1}
    order = [row["number"] for row in gauge.execute("SELECT number FROM done").fetchall()]
    assert order == list(range(20))


def test_worker_concurrency_holds_in_each_process(tmp_path: Path, database_url: str, gauge: Bystander) -> None:
    # Three at once run in two processes, if each has two at most.
    _run(tmp_path, database_url, workers=2, count=40, limits="worker_concurrency=2", together=3)
    row = gauge.execute("SELECT most FROM gauge").fetchone()
    assert row is not None
    assert 3 <= row["most"] <= 4
    executors = gauge.execute("SELECT count(DISTINCT executor) AS executors FROM done").fetchone()
    assert executors == {"executors": 2}


def test_a_rate_limit_holds_over_all_processes(tmp_path: Path, database_url: str, gauge: Bystander) -> None:
    began = time.monotonic()
    _run(tmp_path, database_url, workers=2, count=12, limits="limiter={'limit': 4, 'period': 1}")
    assert time.monotonic() - began > 2
    rows = gauge.execute("SELECT started_at_epoch_ms FROM dbos.workflow_status ORDER BY 1").fetchall()
    times = [row["started_at_epoch_ms"] for row in rows]
    assert all(later - earlier >= 1000 for earlier, later in zip(times, times[4:], strict=False)), times


def test_a_limit_of_each_partition_holds_over_all_processes(
    tmp_path: Path, database_url: str, gauge: Bystander
) -> None:
    lanes = ("a", "b", "c")
    _run(tmp_path, database_url, workers=3, count=60, limits="partition_concurrency=1", keys=lanes, together=2)
    row = gauge.execute("SELECT now, most FROM gauge").fetchone()
    assert row is not None
    assert row["now"] == 0
    assert 1 < row["most"] <= 3
    order = [row["number"] for row in gauge.execute("SELECT number FROM done").fetchall()]
    assert all([number for number in order if number % 3 == lane] == list(range(lane, 60, 3)) for lane in range(3))
