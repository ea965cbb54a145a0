"""A worker that is killed while it receives, forwards, publishes and streams: nothing is lost, nothing comes twice."""

from __future__ import annotations

import psycopg
import pytest

from chaos.conftest import Site
from dbos import DBOSClient
from support.waiting import eventually
from support.worker_process import WorkerProcess

MESSENGER = """
from dbos import DBOS, Queue

DBOS(config={"name": "orders"})
Queue("work")

@DBOS.workflow(name="collect")
def collect(count):
    return [DBOS.recv("in", 600) for _ in range(count)]

@DBOS.workflow(name="forward")
def forward(target, count):
    seen = []
    for _ in range(count):
        message = DBOS.recv(None, 600)
        DBOS.send(target, message, "in")
        DBOS.set_event("last", message)
        DBOS.write_stream("seen", message)
        seen.append(message)
        DBOS.sleep(0.001)
    DBOS.close_stream("seen")
    return seen
"""
COUNT = 120
pytestmark = pytest.mark.timeout(400)  # four processes in a row, which a busy machine stretches


def _worker(site: Site) -> WorkerProcess:
    environment = {"DBOS_SYSTEM_DATABASE_URL": site.url, "DBOS__VMID": "pod-1", "DBOS__APPVERSION": "v1"}
    return WorkerProcess(site.folder, MESSENGER, environment=environment)


def test_messages_are_received_and_forwarded_exactly_once_over_kills(site: Site) -> None:
    with DBOSClient(system_database_url=site.url, application_name="orders") as client:

        def enqueue(name: str, *args: object) -> None:
            client.enqueue(
                {"workflow_name": name, "queue_name": "work", "workflow_id": name, "app_version": "v1"}, *args
            )

        enqueue("collect", COUNT)
        enqueue("forward", "collect", COUNT)
        sent = 0
        with psycopg.connect(site.url, autocommit=True) as sql:
            streamed = "SELECT count(*) FROM dbos.streams"
            for part in (1, 2, 3):
                # More than the worker is waited for, and never all: however late the kill, something is left.
                for number in range(sent, part * COUNT // 4):
                    client.send("forward", number, None, f"message-{number}")
                sent = part * COUNT // 4
                with _worker(site):
                    eventually(
                        lambda: sql.execute(streamed).fetchone(),
                        lambda row, part=part: row is not None and row[0] >= part * COUNT // 5,
                        within=60,
                    )
            assert client.get_event("forward", "last", 0) < COUNT - 1
            for number in range(sent, COUNT):
                client.send("forward", number, None, f"message-{number}")
            with _worker(site) as worker:
                site.settle(2, worker)
        expected = list(range(COUNT))
        for name in ("collect", "forward"):
            assert client.retrieve_workflow(name).get_result() == expected
        assert list(client.read_stream("forward", "seen")) == expected
        assert client.get_event("forward", "last") == COUNT - 1
