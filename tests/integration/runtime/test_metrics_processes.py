"""What Prometheus sees of several processes of one application in one pod."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbos import DBOSClient
from support.bystander import bystander
from support.ports import free_port
from support.waiting import eventually
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.both_databases
WORKER = """
from dbos import DBOS, Queue

DBOS(config={"name": "orders", "log_level": "INFO", "executor_id": "pod-1"})
Queue("work")
"""
OWN = re.compile(r"Metrics are served on 127\.0\.0\.1:(\d+)")


def _depths(port: int) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    names = ("dbos_queue_depth", "dbos_undispatchable_workflows")
    return {
        (sample.name.removeprefix("dbos_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name in names and "_dbos_internal_queue" not in sample.labels.values()
    }


@pytest.fixture
def pod(tmp_path: Path, database_url: str) -> Iterator[list[tuple[WorkerProcess, int]]]:
    """Two processes with one configuration, and where each serves its metrics."""
    first = free_port(4)
    environment = {
        "DBOS_SYSTEM_DATABASE_URL": database_url,
        "DBOS_METRICS_PORT": f"{first}-{first + 3}",
        "DBOS_METRICS_HOST": "127.0.0.1",
    }
    with ExitStack() as stack:
        started: list[tuple[WorkerProcess, int]] = []
        for _ in range(2):
            worker = stack.enter_context(WorkerProcess(tmp_path, WORKER, environment=environment))
            found = OWN.search(worker.wait_for("Metrics are served on"))
            assert found is not None
            worker.wait_for("launched")
            started.append((worker, int(found[1])))
        yield started


def test_processes_of_one_pod_have_a_port_each_and_one_tells_the_depths(
    pod: list[tuple[WorkerProcess, int]], database_url: str
) -> None:
    (one, first), (two, second) = pod
    assert first != second
    with DBOSClient(system_database_url=database_url, application_name="orders") as client:
        client.enqueue({"workflow_name": "f", "queue_name": "work", "app_version": "none"})
        client.enqueue({"workflow_name": "f", "queue_name": "work", "app_version": "none", "delay_seconds": 3600})
        client.enqueue({"workflow_name": "f", "queue_name": "nowhere"})
    told = {
        ("queue_depth", "work", "ENQUEUED"): 1,
        ("queue_depth", "work", "PENDING"): 0,
        ("queue_depth", "work", "DELAYED"): 1,
        ("queue_depth", "nowhere", "ENQUEUED"): 1,
        ("queue_depth", "nowhere", "PENDING"): 0,
        ("undispatchable_workflows", "unregistered queue", "nowhere"): 1,
    }
    assert _depths(first) == told, one.said
    assert _depths(second) == {}, two.said
    one.process.terminate()
    assert one.process.wait(30) == 0, one.said
    eventually(lambda: _depths(second), lambda depths: depths == told, explain=lambda: two.said)


def test_when_the_process_that_tells_them_is_killed_another_one_does(
    pod: list[tuple[WorkerProcess, int]], database_url: str
) -> None:
    (one, first), (two, second) = pod
    assert _depths(first) != {}, one.said
    assert _depths(second) == {}, two.said
    one.kill()
    with bystander(database_url) as sql:  # the time until which it held the duty is over
        sql.execute("UPDATE dbos_runtime.duties SET until_ms = 0 WHERE duty = 'depths'")
    eventually(lambda: _depths(second), lambda depths: depths != {}, explain=lambda: two.said)
