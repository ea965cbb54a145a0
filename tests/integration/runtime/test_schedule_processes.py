"""Schedules over several processes, and over an absence of the database."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from dbos import DBOS, DBOSClient
from dbos.api.runtime import process
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.postgres import running_postgres
from support.waiting import eventually
from support.worker_process import WorkerProcess

APPLICATION = """
import os
from dbos import DBOS

URL = os.environ["DBOS_SYSTEM_DATABASE_URL"]
DBOS(config={"name": "orders", "system_database_url": URL, "application_version": "v1"})

@DBOS.workflow(name="report")
def report(moment, context):
    return DBOS.executor_id

@DBOS.scheduled("* * * * * *")
@DBOS.workflow(name="tidy")
def tidy(scheduled, actual):
    return DBOS.executor_id
"""


@pytest.fixture
def workers(tmp_path: Path, database_url: str) -> Iterator[list[WorkerProcess]]:
    """Three workers of one application."""
    with ExitStack() as stack:
        started = []
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            environment = {"DBOS_SYSTEM_DATABASE_URL": database_url, "DBOS__VMID": f"pod-{number}"}
            started.append(stack.enter_context(WorkerProcess(folder, APPLICATION, environment=environment)))
        for worker in started:
            worker.wait_for("launched")
        yield started


def _runs(sql: Bystander, prefix: str) -> list[dict[str, Any]]:
    return sql.execute(
        "SELECT * FROM dbos.workflow_status WHERE workflow_uuid LIKE %s ORDER BY workflow_uuid", [f"sched-{prefix}-%"]
    ).fetchall()


def _moments(rows: list[dict[str, Any]], name: str) -> list[datetime]:
    return [datetime.fromisoformat(row["workflow_uuid"].removeprefix(f"sched-{name}-")) for row in rows]


@pytest.mark.both_databases
def test_several_processes_fire_each_run_once(workers: list[WorkerProcess], sql: Bystander, client: DBOSClient) -> None:
    client.create_schedule(schedule_name="often", workflow_name="report", schedule="* * * * * *")
    for name in ("often", "tidy"):
        runs = eventually(lambda name=name: _runs(sql, name), lambda rows: len(rows) >= 5, what="runs", within=60)  # type: ignore[misc]
        moments = _moments(runs, name)
        assert max(later - earlier for earlier, later in pairwise(moments)) <= timedelta(seconds=10)
        done = eventually(
            lambda name=name: _runs(sql, name)[:5],  # type: ignore[misc]
            lambda rows: all(row["status"] == "SUCCESS" for row in rows),
            what="their ends",
        )
        assert {row["recovery_attempts"] for row in done} == {1}
    assert [worker.said for worker in workers if "Traceback" in worker.said] == []


@pytest.mark.both_databases
def test_a_schedule_that_one_process_makes_is_fired_by_the_others(
    workers: list[WorkerProcess], sql: Bystander, client: DBOSClient
) -> None:
    client.create_schedule(schedule_name="often", workflow_name="report", schedule="* * * * * *")
    eventually(lambda: _runs(sql, "often"), bool, what="a run")
    for worker in workers[:2]:
        worker.signal(signal.SIGKILL)
    killed = datetime.now(UTC)
    last = eventually(
        lambda: _moments(_runs(sql, "often"), "often")[-1],
        lambda moment: moment > killed + timedelta(seconds=2),
        what="a run by the last worker",
    )
    client.pause_schedule("often")
    assert last > killed


def test_what_is_due_while_the_database_is_gone_is_fired_afterwards(tmp_path: Path) -> None:
    with running_postgres() as server, server.database() as url:
        environment = {"DBOS_SYSTEM_DATABASE_URL": url, "DBOS__VMID": "pod"}
        with WorkerProcess(tmp_path, APPLICATION, environment=environment) as worker:
            worker.wait_for("launched")
            with DBOSClient(system_database_url=url, application_name="orders") as client:
                eventually(lambda: client.list_workflows(name="tidy"), bool, what="a run")
            server.stop()
            stopped = datetime.now(UTC)
            worker.wait_for("due runs are kept")
            server.start()
            with DBOSClient(system_database_url=url, application_name="orders") as client:

                def fired() -> list[datetime]:
                    ids = [status.workflow_id for status in client.list_workflows(name="tidy")]
                    return sorted(datetime.fromisoformat(text.removeprefix("sched-tidy-")) for text in ids)

                moments = eventually(
                    fired, lambda found: found[-1] > stopped + timedelta(seconds=4), what="later runs", within=60
                )
            slept = worker.said.count("This process slept")  # then a schedule fires the last of what was due alone
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len([gap for gap in gaps if gap != timedelta(seconds=1)]) <= slept, gaps


def test_one_thread_serves_all_schedules_and_tells_how_late_runs_are(launch: Launch, sql: Bystander) -> None:
    @DBOS.workflow(name="report")
    def report(_moment: datetime, _context: Any) -> None: ...

    launch(metrics_port=0, metrics_host="127.0.0.1")
    before = threading.active_count()
    DBOS.apply_schedules(
        [{"schedule_name": f"s{number}", "workflow_fn": report, "schedule": "0 0 1 1 *"} for number in range(200)]
    )
    DBOS.create_schedule(schedule_name="often", workflow_fn=report, schedule="* * * * * *")
    eventually(lambda: _runs(sql, "often"), lambda rows: len(rows) >= 2, what="two runs")
    schedulers = [thread for thread in threading.enumerate() if thread.name == "dbos-scheduler"]
    assert len(schedulers) == 1
    assert threading.active_count() <= before + 50  # threads of workers come and go
    (counted,) = eventually(_lateness_counts, lambda lines: lines and float(lines[0].split()[-1]) >= 2)
    assert 'schedule="often"' in counted


def _lateness_counts() -> list[str]:
    """How many runs each schedule was late or not, as Prometheus is told; a moment after they are stored."""
    assert process.application is not None
    with urlopen(f"http://{process.application.metrics_address}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if line.startswith("dbos_schedule_lateness_seconds_count")]
