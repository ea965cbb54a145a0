"""Group commit: the hot writes of all threads, one statement per kind and commit.

One connection, one writer at a time. Whatever gathered while the last statement ran goes into the next,
without a timer: alone, a record is written at once, by its own caller; under load, hundreds share a
commit. Each caller is answered after the commit that holds its record, so nothing is less durable than
a commit of its own.

    write(), submit() -> queue -> [ batch: steps | starts | children | outcomes ] -> one commit -> answers
                                    | a record spoils the batch      | the connection is lost
                                    +-> each record alone            +-> connect again, the same batch again
                                        | somebody holds its row
                                        +-> held: tried now and then, and nobody waits for it

Every statement is harmless when repeated: a start knows its row by `creator`, a step by its time, an
outcome by its token.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import Any

from dbos.core.outcome import Outcome
from dbos.core.retry import reconnect_delay
from dbos.store.backend import Connection, Source
from dbos.store.batches import Record, answers_of, payload_size, statements_of
from dbos.store.dialects.errors import is_conflict, is_connection_lost, public_error
from dbos.store.operation import DatabaseClosedError, Row, Statement

logger = logging.getLogger("dbos")

MAX_RECORDS = 500
MAX_BYTES = 4_000_000
NOTIFY_INTERVAL_SECONDS = 0.01
MAX_PAYLOAD_BYTES = 8000
"""What PostgreSQL refuses as a notification; whoever waits for such a topic polls."""
STOPPING_ATTEMPTS = 3
"""How often a writer that is asked to stop still tries to reach a database that does not answer."""
HELD_SECONDS = 0.2
"""How often a record whose row somebody else holds is tried again."""
STOPPING_SECONDS = 10.0
"""How long stop() waits for the last commit."""
PATIENCE, BRIEF = "100ms", "10ms"
"""How long a batch waits for a row that somebody holds, and how long a record that was held before."""
SESSION = {
    "lock_timeout": PATIENCE,
    "plan_cache_mode": "force_generic_plan",  # the plans of these statements do not depend on their parameters
    "enable_seqscan": "off",  # on a table that was never analysed, and small when the plan was made
}


class _Entry:
    """A record on its way, and whom to tell what became of it. Only who writes does."""

    __slots__ = ("_tell", "answered", "record", "size")

    def __init__(self, record: Record, tell: Callable[[Outcome], None]) -> None:
        self.record = record
        self.size = payload_size(record)
        self.answered = False
        self._tell = tell

    def answer(self, outcome: Outcome) -> None:
        """Say what became of the record; twice, where Ctrl-C came between."""
        try:
            self._tell(outcome)
        except Exception:  # whoever is told must not keep others from being told
            logger.exception("What follows a commit failed")
        self.answered = True


class _Together:
    """The outcomes of many records: one future for all of them, since one for each takes longer than its row."""

    def __init__(self, count: int) -> None:
        self.future: Future[Any] = _submitted()
        self._outcomes: list[Outcome | None] = [None] * count
        self._left = count
        if not count:
            self.future.set_result([])

    def settle(self, place: int, outcome: Outcome) -> None:
        if self._outcomes[place] is not None:
            return
        self._outcomes[place] = outcome
        self._left -= 1
        if not self._left:
            self.future.set_result(self._outcomes)


def _submitted() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # what is submitted is written, whoever stops waiting
    return future


def _resolve(future: Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    if outcome.error is None:
        future.set_result(outcome.value)
    else:
        future.set_exception(outcome.error)


class GroupCommitWriter:
    """Writes records durably. Thread-safe; a record is written once, in the order of its caller."""

    def __init__(
        self,
        source: Source,
        *,
        channel: str | None = None,
        payloads: Callable[[set[str], list[str]], list[str]] | None = None,
        retry: bool = True,
        notify_seconds: float = NOTIFY_INTERVAL_SECONDS,
    ) -> None:
        """`payloads` turns queue names and ended workflow IDs into notifications for `channel`.

        News are sent at most every `notify_seconds`, together; without a channel none are.
        """
        self._source = source
        self._channel = channel
        self._payloads = payloads
        self._retry = retry
        self._entries: deque[_Entry] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._held: list[_Entry] = []
        self._held_until = 0.0
        self._turn = threading.Lock()
        """Held by whoever writes: it owns the connection."""
        self._stopping = False
        self._queues: set[str] = set()
        self._ended: list[str] = []
        self._topics: set[tuple[str, str]] = set()
        self._notify_seconds = notify_seconds
        self._last_notify = 0.0
        self._alarmed = False
        """Whether the thread wakes by itself in time to send what is announced."""
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="dbos-writer", daemon=True)

    def start(self) -> None:
        """Begin to write; records submitted before wait for this."""
        self._thread.start()

    def submit(self, record: Record) -> Future[Any]:
        """Have a record written; the future is answered after its commit.

        StepAnswer for a step, StartAnswer for a start, and for an outcome whether it was recorded. Raises
        DatabaseClosedError after stop().
        """
        future = _submitted()
        self._append([_Entry(record, partial(_resolve, future))], wake=True)
        return future

    def post(self, record: Record, on_commit: Callable[[Outcome], None]) -> None:
        """As submit, for somebody who does not wait: `on_commit` is called with the outcome, by whoever writes."""
        self._append([_Entry(record, on_commit)], wake=True)

    def submit_all(self, records: Sequence[Record]) -> Future[list[Outcome]]:
        """As submit, for many records; the outcome of each, in their order, once all have one."""
        together = _Together(len(records))
        entries = [_Entry(record, partial(together.settle, place)) for place, record in enumerate(records)]
        self._append(entries, wake=True)
        return together.future

    def write(self, record: Record) -> Any:
        """Write a record and give its answer, as submit does.

        The calling thread does it while nobody else writes, which saves two changes of thread.
        """
        future = _submitted()
        self._append([_Entry(record, partial(_resolve, future))], wake=False)
        if self._turn.acquire(blocking=False):
            try:
                self._write_here()
                self._notify(force=False)
            finally:
                self._turn.release()
        if not future.done() or self._entries:
            with self._wake:
                self._wake.notify()
        return future.result()

    def announce(
        self, *, queue: str | None = None, workflow: str | None = None, topic: tuple[str, str] | None = None
    ) -> None:
        """Tell other processes, soon and together with other news, that a queue has work or a workflow ended.

        `topic` is a channel and a payload of its own.
        """
        if self._channel is None:
            return
        with self._wake:
            if queue is not None:
                self._queues.add(queue)
            if workflow is not None:
                self._ended.append(workflow)
            if topic is not None:
                self._topics.add(topic)
            if not self._alarmed or (self._notify_delay() or 0.0) <= 0:
                self._wake.notify()

    def stop(self) -> None:
        """Write what was submitted, then end; a database that hangs is not waited for. Idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()  # a caller that writes itself may wait here for its next try
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOPPING_SECONDS)
            if self._thread.is_alive():
                logger.error("The system database does not answer; what was not written is recovered elsewhere")

    def _write_here(self) -> None:
        batch = self._take()
        try:
            if batch:
                self._write(batch)
        except BaseException:  # Ctrl-C hit the thread that wrote for others too: the next writer does it again
            self._drop_connection()
            with self._wake:
                self._entries.extendleft(reversed([entry for entry in batch if not entry.answered]))
                self._wake.notify()
            raise

    def _append(self, entries: Sequence[_Entry], *, wake: bool) -> None:
        with self._wake:
            if self._stopping:
                raise DatabaseClosedError
            self._entries.extend(entries)
            if wake:
                self._wake.notify()

    def _run(self) -> None:
        while True:
            last = self._wait()
            with self._turn:
                batch = self._take()
                if batch:
                    self._write(batch)
                self._write_held(force=last)
                self._notify(force=last)
                if last and not self._entries:
                    self._drop_connection()
                    return

    def _wait(self) -> bool:
        with self._wake:
            while not self._entries and not self._stopping:
                delays = [delay for delay in (self._notify_delay(), self._held_delay()) if delay is not None]
                if delays and min(delays) <= 0:
                    break
                # A caller that writes sends due news itself, without a change of thread: it goes first.
                self._alarmed = bool(delays)
                self._wake.wait(min(delays) + self._notify_seconds / 2 if delays else None)
            self._alarmed = False
            return self._stopping

    def _take(self) -> list[_Entry]:
        with self._wake:
            batch: list[_Entry] = []
            size = 0
            while self._entries and len(batch) < MAX_RECORDS:
                size += self._entries[0].size
                if batch and size > MAX_BYTES:
                    break
                batch.append(self._entries.popleft())
            return batch

    def _write(self, batch: list[_Entry], *, patience: str = PATIENCE) -> None:
        attempt = 0
        records = [entry.record for entry in batch]
        while True:
            try:
                answers = answers_of(records, self._perform(statements_of(records), patience))
            except Exception as error:  # noqa: BLE001 -- the writer's boundary: every caller must be answered
                if is_connection_lost(error) and self._may_retry(attempt):
                    attempt += 1
                    self._reconnect_after(attempt, error)
                    continue
                self._write_alone(batch, error)
            else:
                for entry, answer in zip(batch, answers, strict=True):
                    entry.answer(Outcome(answer))
            return

    def _perform(self, statements: list[Statement], patience: str) -> list[list[Row]]:
        connection = self._connected()
        if not self._source.keeps_session:
            return connection.execute_together(statements, local={"lock_timeout": patience})
        if patience != PATIENCE:
            connection.configure({"lock_timeout": patience})
        try:
            if len(statements) == 1:
                return [connection.execute(statements[0])]
            return connection.execute_together(statements)
        finally:
            if patience != PATIENCE and not connection.closed:
                connection.configure({"lock_timeout": PATIENCE})

    def _write_held(self, *, force: bool) -> None:
        with self._wake:
            delay = self._held_delay()
            if delay is None or (delay > 0 and not force):
                return
            held, self._held = self._held, []
        for entry in held:
            self._write([entry], patience=BRIEF)

    def _held_delay(self) -> float | None:
        return self._held_until - monotonic() if self._held else None

    def _may_retry(self, attempt: int) -> bool:
        return self._retry and not (self._stopping and attempt >= STOPPING_ATTEMPTS)

    def _write_alone(self, batch: list[_Entry], error: Exception) -> None:
        if len(batch) > 1:
            for entry in batch:
                self._write([entry])
            return
        if is_connection_lost(error):
            self._drop_connection()
        if is_conflict(error) and not self._stopping:
            with self._wake:
                self._held.append(batch[0])
                self._held_until = monotonic() + HELD_SECONDS
                self._wake.notify()  # the thread tries it again, whoever met the conflict
            return
        batch[0].answer(Outcome(error=error if self._retry else public_error(error)))

    def _notify_delay(self) -> float | None:
        if not self._queues and not self._ended and not self._topics:
            return None
        return self._notify_seconds - (monotonic() - self._last_notify)

    def _notify(self, *, force: bool) -> None:
        with self._wake:
            delay = self._notify_delay()
            if delay is None or (delay > 0 and not force):
                return
            queues, self._queues = self._queues, set()
            ended, self._ended = self._ended, []
            topics, self._topics = self._topics, set()
        self._last_notify = monotonic()
        try:
            payloads = [] if self._payloads is None else self._payloads(queues, ended)
            news = [(self._channel, payload) for payload in payloads]
            news += [topic for topic in sorted(topics) if len(topic[1].encode()) < MAX_PAYLOAD_BYTES]
            columns = {"channels": [channel for channel, _ in news], "payloads": [payload for _, payload in news]}
            self._connected().execute(Statement("notify", columns))
        except Exception as error:  # a lost wake-up costs time only: whoever waits polls too
            logger.warning("A wake-up could not be sent; waiters find out at their next poll", exc_info=error)
            if is_connection_lost(error):
                self._drop_connection()

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self._source.dedicated()
            if self._source.keeps_session:
                connection.configure(SESSION)
            self._connection = connection
        return self._connection

    def _reconnect_after(self, attempt: int, error: Exception) -> None:
        self._drop_connection()
        if attempt == 1:
            self._source.renew()  # a restart that is over already costs nobody a second
            return
        delay = reconnect_delay(attempt - 1, random.uniform(0.5, 1.5))  # noqa: S311 -- spreads reconnections, no secret
        logger.warning("The system database does not answer; trying again in %.1f s", delay, exc_info=error)
        with self._wake:
            self._wake.wait_for(lambda: self._stopping, timeout=delay)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
