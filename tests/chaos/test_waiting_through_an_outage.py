"""A database that vanishes while everybody waits: workers and clients go on when it is back, by themselves."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from chaos.conftest import Site
from dbos import DBOSClient
from support.waiting import eventually
from support.worker_process import WorkerProcess

APPLICATION = """
import asyncio
from dbos import DBOS, Queue

DBOS(config={"name": "orders"})
work = Queue("work")

@DBOS.workflow(name="tick")
def tick(scheduled_at, context):
    return context

@DBOS.workflow(name="receiver")
def receiver():
    message = DBOS.recv("go", 300)
    DBOS.set_event("answer", message)
    DBOS.write_stream("words", message)
    DBOS.close_stream("words")
    return message

@DBOS.workflow(name="receiver_async")
async def receiver_async():
    return await DBOS.recv_async("go", 300)

@DBOS.workflow(name="asker")
def asker(target):
    return DBOS.get_event(target, "answer", 300)

@DBOS.workflow(name="reader")
def reader(target):
    return list(DBOS.read_stream(target, "words"))

@DBOS.workflow(name="parent")
def parent():
    return work.enqueue(receiver_child).get_result()

@DBOS.workflow(name="receiver_child")
def receiver_child():
    return DBOS.recv("go", 300)

@DBOS.workflow(name="sleeper")
def sleeper():
    DBOS.sleep(1)
    return "slept"
"""
pytestmark = pytest.mark.timeout(400)  # several waits, each of which a busy machine stretches
RECEIVERS = ("receiver", "receiver_async", "parent-1")


def _worker(site: Site) -> WorkerProcess:
    environment = {"DBOS_SYSTEM_DATABASE_URL": site.url, "DBOS__VMID": "pod-1", "DBOS__APPVERSION": "v1"}
    return WorkerProcess(site.folder, APPLICATION, environment=environment)


def _start(client: DBOSClient, name: str, *args: Any) -> None:
    client.enqueue({"workflow_name": name, "queue_name": "work", "workflow_id": name}, *args)


def _rows(site: Site, statement: str) -> list[Any]:
    with psycopg.connect(site.url) as connection:
        return connection.execute(statement.encode()).fetchall()


def _wait_until_all_wait(site: Site) -> None:
    """Each workflow has reached the call in which it waits."""
    steps = "SELECT DISTINCT workflow_uuid FROM dbos.operation_outputs WHERE function_name = 'DBOS.sleep'"
    eventually(
        lambda: {row[0] for row in _rows(site, steps)},
        lambda waiting: {*RECEIVERS, "asker"} <= waiting,
        what="workflows that wait",
    )


async def _awaited(client: DBOSClient) -> list[Any]:
    handles = [await client.retrieve_workflow_async(name) for name in ("receiver", "receiver_async", "asker")]
    return list(await asyncio.gather(*(handle.get_result() for handle in handles)))


@pytest.mark.parametrize("listens", [True, False], ids=["listening", "polling"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_whoever_waits_goes_on_when_the_database_is_back(
    site: Site, caplog: pytest.LogCaptureFixture, how: str, *, listens: bool
) -> None:
    caplog.set_level(logging.WARNING, "dbos")
    with (
        _worker(site) as worker,
        DBOSClient(system_database_url=site.url, application_name="orders", use_listen_notify=listens) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        worker.wait_for("launched", within=60)
        client.create_schedule(schedule_name="ticks", workflow_name="tick", schedule="* * * * * *", context="tock")
        for name in ("receiver", "receiver_async", "parent", "sleeper"):
            _start(client, name)
        _start(client, "asker", "receiver")
        _start(client, "reader", "receiver")
        _wait_until_all_wait(site)
        waiting: dict[str, Future[Any]] = {
            name: pool.submit(client.retrieve_workflow(name).get_result) for name in ("parent", "sleeper", "reader")
        }
        waiting["event"] = pool.submit(client.get_event, "receiver", "answer", 300)
        waiting["stream"] = pool.submit(lambda: list(client.read_stream("receiver", "words")))
        waiting["coroutines"] = pool.submit(lambda: asyncio.run(_awaited(client)))

        getattr(site.server, how)()
        with DBOSClient(system_database_url=site.url, application_name="orders", lazy=True) as late:
            waiting["late"] = pool.submit(late.enqueue, {"workflow_name": "sleeper", "queue_name": "work"})
            worker.wait_for("does not answer")
            eventually(lambda: caplog.text, lambda text: "does not answer" in text, what="the client's warning")
            assert not any(future.done() for future in waiting.values() if future is not waiting["sleeper"])
            site.server.start()
            ticks = len(_rows(site, "SELECT 1 FROM dbos.workflow_status WHERE name = 'tick'"))
            for name in RECEIVERS:
                client.send(name, "hello", "go", idempotency_key=name)
            results = {name: future.result(timeout=90) for name, future in waiting.items()}
            assert results.pop("late").get_result() == "slept"
        assert results == {
            "parent": "hello",
            "sleeper": "slept",
            "reader": ["hello"],
            "event": "hello",
            "stream": ["hello"],
            "coroutines": ["hello", "hello", "hello"],
        }
        eventually(
            lambda: len(_rows(site, "SELECT 1 FROM dbos.workflow_status WHERE name = 'tick' AND status = 'SUCCESS'")),
            lambda now: now > ticks + 2,
            what="ticks after the outage",
        )
        assert worker.process.poll() is None
    attempts = "SELECT DISTINCT recovery_attempts FROM dbos.workflow_status WHERE status = 'SUCCESS'"
    assert _rows(site, attempts) == [(1,)], "a workflow was started again although its process lived"
