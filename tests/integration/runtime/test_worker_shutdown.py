"""How `dbos worker` ends: what runs finishes, what has not begun goes back, and nothing hangs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbos import DBOSClient
from support.postgres import running_postgres
from support.waiting import eventually
from support.worker_process import WorkerProcess

APPLICATION = r"""
import os, sys, time, threading
from dbos import DBOS, Queue

DBOS(config={"name": "orders", "max_executor_threads": 2})
queue = Queue("work")

def wait_for_file(name):
    while not os.path.exists(name):
        time.sleep(0.01)

@DBOS.step()
def first(name):
    print(f"first {name}\n", end="", flush=True)
    wait_for_file("go")
    return "1"

@DBOS.step()
def second():
    return "2"

@DBOS.workflow(name="two_steps")
def two_steps(name):
    return first(name) + second()

@DBOS.workflow(name="endless")
def endless():
    print("endless", flush=True)
    time.sleep(600)

@DBOS.workflow(name="deaf")
async def deaf():
    import asyncio
    print("deaf", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """What the Deployment of a worker sets."""
    return {"DBOS_SYSTEM_DATABASE_URL": database_url, "DBOS__VMID": "pod-1", "DBOS__APPVERSION": "v1"}


def _enqueue(url: str, name: str, workflow_id: str, *args: Any) -> None:
    with DBOSClient(system_database_url=url) as client:
        client.enqueue({"workflow_name": name, "queue_name": "work", "workflow_id": workflow_id}, *args)


def _row(url: str, workflow_id: str) -> tuple[Any, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT status, recovery_attempts, application_version, executor_id, owner_xid, started_at_epoch_ms"
            "  FROM dbos.workflow_status WHERE workflow_uuid = %s",
            [workflow_id],
        ).fetchone()
    assert row is not None
    return tuple(row)


def test_on_sigterm_running_work_finishes_with_all_its_steps_and_the_rest_goes_back(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    environment["DBOS_SHUTDOWN_GRACE_SEC"] = "90"
    with WorkerProcess(tmp_path, APPLICATION, environment=environment) as worker:
        for number in range(5):
            _enqueue(database_url, "two_steps", f"run-{number}", f"run-{number}")
        worker.wait_for("first")
        worker.wait_for("first")
        eventually(lambda: _row(database_url, "run-4")[0], lambda status: status == "PENDING")
        worker.signal(signal.SIGTERM)
        eventually(lambda: _row(database_url, "run-4")[0], lambda status: status == "ENQUEUED")
        (tmp_path / "go").touch()
        assert worker.ended() == 0, worker.said
    for number in range(2):
        assert _row(database_url, f"run-{number}")[:2] == ("SUCCESS", 1)
    for number in range(2, 5):
        assert _row(database_url, f"run-{number}") == ("ENQUEUED", 0, None, None, None, None)


def test_work_that_outlasts_the_grace_period_is_left_to_a_recovery(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    environment["DBOS_SHUTDOWN_GRACE_SEC"] = "0.3"
    with WorkerProcess(tmp_path, APPLICATION, environment=environment) as worker:
        _enqueue(database_url, "endless", "run")
        worker.wait_for("endless")
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.said
    assert _row(database_url, "run")[0] == "PENDING"


def test_a_coroutine_that_blocks_its_loop_cannot_hold_the_process(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    environment["DBOS_SHUTDOWN_GRACE_SEC"] = "0.3"
    with WorkerProcess(tmp_path, APPLICATION, environment=environment) as worker:
        _enqueue(database_url, "deaf", "run")
        worker.wait_for("deaf")
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.said
    assert _row(database_url, "run")[0] == "PENDING"


def test_a_second_signal_ends_it_at_once(tmp_path: Path, database_url: str, environment: dict[str, str]) -> None:
    environment["DBOS_SHUTDOWN_GRACE_SEC"] = "600"
    with WorkerProcess(tmp_path, APPLICATION, environment=environment) as worker:
        _enqueue(database_url, "endless", "run")
        worker.wait_for("endless")
        worker.signal(signal.SIGTERM)
        worker.wait_for("Stopping")
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 128 + signal.SIGTERM


def test_a_database_that_is_gone_does_not_hold_the_process_beyond_its_grace(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["DBOS_SHUTDOWN_GRACE_SEC"] = "1"
    with running_postgres() as server:
        url = server.create_database()
        environment["DBOS_SYSTEM_DATABASE_URL"] = url
        with WorkerProcess(tmp_path, APPLICATION, environment=environment) as worker:
            for number in range(4):
                _enqueue(url, "two_steps", f"run-{number}", "x")
            worker.wait_for("first")
            eventually(lambda: _row(url, "run-3")[0], lambda status: status == "PENDING")
            server.stop()
            worker.signal(signal.SIGTERM)
            assert worker.ended() == 0, worker.said
        server.start()
        assert [_row(url, f"run-{number}")[0] for number in range(4)] == ["PENDING"] * 4
