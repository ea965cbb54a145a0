"""Threads: few while work is short, more while they block, and what is taken back before it begins."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dbos.engine.threads import FEW, WorkerThreads

SECONDS = 60


class Task:
    """Begins, then waits for leave to end."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self._gate = gate

    def __call__(self) -> None:
        self.begun.set()
        if self._gate is not None:
            assert self._gate.wait(SECONDS)
        self.ended.set()


class OtherTask(Task):
    """A task of another kind."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opens at the end of the test at the latest."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_tasks_run_in_the_order_of_their_submission() -> None:
    threads, order, done = WorkerThreads(most=1), [], threading.Event()
    for number in range(50):
        threads.submit(lambda number=number: order.append(number))  # type: ignore[misc]
    threads.submit(done.set)
    assert done.wait(SECONDS)
    assert order == list(range(50))
    threads.close()


def test_threads_are_added_while_all_of_them_block(gate: threading.Event) -> None:
    threads = WorkerThreads()
    tasks = [Task(gate) for _ in range(5 * FEW)]
    for task in tasks:
        threads.submit(task)
    assert all(task.begun.wait(SECONDS) for task in tasks)
    assert threads.backlog == 0
    threads.close()


def test_the_bound_holds_while_all_of_them_block(gate: threading.Event) -> None:
    threads = WorkerThreads(most=2)
    tasks = [Task(gate) for _ in range(4)]
    for task in tasks:
        threads.submit(task)
    assert all(task.begun.wait(SECONDS) for task in tasks[:2])
    assert not tasks[2].begun.wait(0.1)
    assert threads.backlog == 2
    gate.set()
    assert all(task.ended.wait(SECONDS) for task in tasks)
    threads.close()


def test_what_has_not_begun_is_taken_back_by_kind(gate: threading.Event) -> None:
    threads = WorkerThreads(most=1)
    running, kept, taken = Task(gate), Task(), OtherTask()
    for task in (running, kept, taken):
        threads.submit(task)
    assert running.begun.wait(SECONDS)
    assert threads.withdraw(OtherTask) == [taken]
    gate.set()
    assert kept.ended.wait(SECONDS)
    assert not taken.begun.is_set()
    threads.close()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_task_that_fails_ends_no_thread(error: type[BaseException]) -> None:
    threads = WorkerThreads(most=1)

    def fail() -> None:
        raise error

    after = Task()
    threads.submit(fail)
    threads.submit(after)
    assert after.ended.wait(SECONDS)
    threads.close()


def test_closed_threads_finish_what_is_there() -> None:
    threads = WorkerThreads(most=1)
    tasks = [Task() for _ in range(10)]
    for task in tasks:
        threads.submit(task)
    threads.close()
    assert all(task.ended.wait(SECONDS) for task in tasks)
