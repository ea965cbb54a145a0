"""How fast work begins, and how much of it at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue
from integration.runtime.conftest import Launch
from support.waiting import eventually


@pytest.mark.parametrize("how", ["enqueued", "started"])
def test_a_hundred_blocking_workflows_run_a_hundred_at_a_time(launch: Launch, how: str) -> None:
    queue = Queue("work")
    everybody = threading.Barrier(100)

    @DBOS.workflow()
    def work() -> None:
        everybody.wait(60)

    launch()
    begin = queue.enqueue if how == "enqueued" else DBOS.start_workflow
    handles = [begin(work) for _ in range(100)]
    for handle in handles:
        handle.get_result()


def test_parents_that_wait_for_children_do_not_starve_them(launch: Launch) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    def child(number: int) -> int:
        return number

    @DBOS.workflow()
    def parent(number: int) -> int:
        started = DBOS.start_workflow(child, number).get_result()
        return started + queue.enqueue(child, number).get_result()

    launch()
    handles = [queue.enqueue(parent, number) for number in range(60)]
    assert [handle.get_result() for handle in handles] == [2 * number for number in range(60)]


def test_max_executor_threads_bounds_the_threads(launch: Launch) -> None:
    queue = Queue("work")
    names: set[str] = set()
    begun, go = threading.Semaphore(0), threading.Event()
    lock = threading.Lock()
    running = most = 0

    @DBOS.workflow()
    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            names.add(threading.current_thread().name)
        begun.release()
        assert go.wait(60)
        with lock:
            running -= 1

    launch(max_executor_threads=3)
    handles = [queue.enqueue(work) for _ in range(20)]
    for _ in range(3):
        assert begun.acquire(timeout=30)
    assert not begun.acquire(timeout=0.3)
    go.set()
    for handle in handles:
        handle.get_result()
    assert most == 3
    assert len(names) <= 3


def _latencies(launch: Launch, client: DBOSClient, rounds: int, **config: Any) -> list[float]:
    Queue("work")
    begun: list[float] = []
    done = threading.Semaphore(0)

    @DBOS.workflow(name="work")
    def work() -> None:
        begun.append(time.monotonic())
        done.release()

    launch(**config)
    client.enqueue({"workflow_name": "work", "queue_name": "work"}).get_result(polling_interval_sec=0.05)
    assert done.acquire(timeout=30)
    begun.clear()
    sent = []
    for _ in range(rounds):
        sent.append(time.monotonic())
        client.enqueue({"workflow_name": "work", "queue_name": "work"})
        assert done.acquire(timeout=30)
    return [then - before for before, then in zip(sent, begun, strict=True)]


def test_an_idle_worker_is_woken_at_once_by_another_process(launch: Launch, client: DBOSClient) -> None:
    latencies = _latencies(launch, client, 10)
    assert sorted(latencies)[5] < 0.5, latencies


def test_without_notifications_a_worker_polls(launch: Launch, client: DBOSClient) -> None:
    latencies = _latencies(launch, client, 2, use_listen_notify=False)
    assert max(latencies) < 30


def test_a_waiter_is_told_of_the_end_by_another_process(launch: Launch, database_url: str) -> None:
    Queue("work")
    begun, go = threading.Event(), threading.Event()

    @DBOS.workflow(name="work")
    def work() -> float:
        begun.set()
        go.wait(60)
        return time.monotonic()

    launch()
    with DBOSClient(system_database_url=database_url, use_listen_notify=True) as client:
        handle = client.enqueue({"workflow_name": "work", "queue_name": "work"})
        ended: list[float] = []
        waiter = threading.Thread(target=lambda: ended.append(handle.get_result(polling_interval_sec=100)))
        waiter.start()
        assert begun.wait(30)
        time.sleep(0.2)  # the waiter has looked once and waits for news now
        go.set()
        waiter.join(40)
        assert ended, "the end was not announced"
        assert time.monotonic() - ended[0] < 40


def test_a_new_queue_of_another_process_is_served(launch: Launch, client: DBOSClient, database_url: str) -> None:
    import psycopg

    @DBOS.workflow(name="work")
    def work() -> int:
        return 1

    launch()
    handle = client.enqueue({"workflow_name": "work", "queue_name": "later"})
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO dbos.queues (name, updated_at) VALUES ('later', 0)")
    eventually(lambda: handle.get_status().status, lambda status: status == "SUCCESS")
