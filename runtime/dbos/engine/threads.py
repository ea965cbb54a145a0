"""Threads for workflows: few while work is short, more while threads block.

Hundreds of threads fight for the interpreter lock, so a burst of short workflows is served by a few. When
work waits and none of it begins (every thread sleeps or waits for the network), threads are added.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

logger = logging.getLogger("dbos")

TaskT = TypeVar("TaskT", bound=Callable[[], None])

FEW = 16
IDLE_SECONDS = 10.0
RELIEF_SECONDS = 0.01
"""How often threads are added while tasks wait and every thread is blocked."""


class WorkerThreads:
    """Runs tasks in order of submission. Threads end when idle for a while."""

    def __init__(self, *, most: int | None = None) -> None:
        """`most` bounds the threads; None: as many as block at once."""
        self._most = most
        self._few = FEW if most is None else min(FEW, most)
        self._tasks: deque[Callable[[], None]] = deque()
        self._ready = threading.Condition(threading.Lock())
        self._threads = 0
        self._idle = 0
        self._begun = 0
        self._begun_before = 0
        self._watched = False
        self._closed = False

    @property
    def backlog(self) -> int:
        """How many tasks have not begun."""
        return len(self._tasks)

    def submit(self, *tasks: Callable[[], None]) -> None:
        """Run tasks as soon as threads are free."""
        with self._ready:
            self._tasks.extend(tasks)
            self._ready.notify(min(len(tasks), self._idle))
            missing = len(self._tasks) - self._idle
            for _ in range(min(missing, self._few - self._threads)):
                self._add_thread()
                missing -= 1
            if missing > 0 and not self._watched and self._threads != self._most:
                self._watched, self._begun_before = True, self._begun
                threading.Thread(target=self._watch, name="dbos-relief", daemon=True).start()

    def withdraw(self, kind: type[TaskT]) -> list[TaskT]:
        """Take back the tasks of a kind that have not begun."""
        waiting: list[Callable[[], None]] = []
        with self._ready:
            while self._tasks:
                with suppress(IndexError):  # a thread was faster
                    waiting.append(self._tasks.popleft())
            self._tasks.extend(task for task in waiting if not isinstance(task, kind))
        return [task for task in waiting if isinstance(task, kind)]

    def close(self) -> None:
        """Let the threads end once nothing is left."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _watch(self) -> None:
        """Relieve the threads for as long as tasks wait, whoever submitted them and whatever else hangs."""
        time.sleep(RELIEF_SECONDS)
        while self._relieve():
            time.sleep(RELIEF_SECONDS)

    def _relieve(self) -> bool:
        """Add threads when tasks wait and none has begun since the last call; whether to look again."""
        with self._ready:
            self._watched = bool(self._tasks) and not self._closed
            if self._watched and self._begun == self._begun_before:
                room = len(self._tasks) if self._most is None else self._most - self._threads
                for _ in range(min(len(self._tasks), room)):
                    self._add_thread()
            self._begun_before = self._begun
            return self._watched

    def _add_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name=f"dbos-worker-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except BaseException:  # the thread's boundary: tasks record their own failures
                logger.exception("A workflow's task failed outside of its workflow")

    def _next(self) -> Callable[[], None] | None:
        while True:
            try:
                task = self._tasks.popleft()  # without the lock, which all threads would queue for
            except IndexError:
                if not self._await_task():
                    return None
            else:
                self._begun += 1  # a count that two threads lose is no harm: any change tells that work begins
                return task

    def _await_task(self) -> bool:
        """Wait until there is a task; False when the thread is to end."""
        with self._ready:
            while not self._tasks:
                self._idle += 1
                woken = not self._closed and self._ready.wait(IDLE_SECONDS)
                self._idle -= 1
                if not woken and not self._tasks:
                    self._threads -= 1
                    return False
        return True
