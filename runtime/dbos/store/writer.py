"""Group commit: the hot writes of all threads, one statement per kind and commit.

One thread, one connection. Whatever gathered while the last statement ran goes into the next, without a
timer: alone, a record is written at once; under load, hundreds share a commit. Each caller is answered
after the commit that holds its record, so nothing is less durable than a commit of its own.

    submit() -> queue -> [ batch: steps | starts | outcomes ] -> one round trip, one commit -> answers
                              | a record spoils the batch           | the connection is lost
                              +-> each record alone                 +-> connect again, the same batch again

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
from time import monotonic
from typing import Any, TypeAlias

from dbos.core.retry import reconnect_delay
from dbos.store.dialects.postgres import ConnectionSource, PostgresConnection, is_conflict, is_connection_lost
from dbos.store.operation import Row, Statement
from dbos.store.records import StepAnswer, answer_steps, insert_statement, outcome_statement, step_statement
from dbos.store.rows import NewWorkflow, OutcomeRecord, StepRecord

logger = logging.getLogger("dbos")

Record: TypeAlias = StepRecord | NewWorkflow | OutcomeRecord
Answer: TypeAlias = Any
"""StepAnswer for a step; for a start, the row of `insert_workflows`; for an outcome, whether it was recorded."""

MAX_RECORDS = 500
MAX_BYTES = 4_000_000
NOTIFY_INTERVAL_SECONDS = 0.005
STOPPING_ATTEMPTS = 3
"""How often a writer that is asked to stop still tries to reach a database that does not answer."""
LOCK_TIMEOUT = "2s"
"""How long a batch waits for a row that somebody else holds, before each record tries alone."""


class _Entry:
    __slots__ = ("future", "record", "size")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.future: Future[Answer] = Future()
        self.future.set_running_or_notify_cancel()  # what is submitted is written, whoever stops waiting
        self.size = _payload_size(record)


class GroupCommitWriter:
    """Writes records durably. Thread-safe; a record is written once, in the order of its caller."""

    def __init__(
        self,
        source: ConnectionSource,
        *,
        channel: str | None = None,
        payloads: Callable[[set[str], list[str]], list[str]] | None = None,
        retry: bool = True,
    ) -> None:
        """`payloads` turns queue names and ended workflow IDs into notifications for `channel`."""
        self._source = source
        self._channel = channel
        self._payloads = payloads
        self._retry = retry
        self._entries: deque[_Entry] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._stopping = False
        self._queues: set[str] = set()
        self._ended: list[str] = []
        self._last_notify = 0.0
        self._connection: PostgresConnection | None = None
        self._thread = threading.Thread(target=self._run, name="dbos-writer", daemon=True)

    def start(self) -> None:
        """Begin to write; records submitted before wait for this."""
        self._thread.start()

    def submit(self, record: Record) -> Future[Answer]:
        """Have a record written; the future is answered after its commit.

        Raises RuntimeError after stop().
        """
        entry = _Entry(record)
        with self._wake:
            if self._stopping:
                raise RuntimeError("The system database is closed; launch DBOS, or make a client, again")
            self._entries.append(entry)
            self._wake.notify()
        return entry.future

    def announce(self, *, queue: str | None = None, workflow: str | None = None) -> None:
        """Tell other processes, soon and together with other news, that a queue has work or a workflow ended."""
        if self._channel is None:
            return
        with self._wake:
            if queue is not None:
                self._queues.add(queue)
            if workflow is not None:
                self._ended.append(workflow)
            self._wake.notify()

    def stop(self) -> None:
        """Write what was submitted, then end. Idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            batch, last = self._take()
            if batch:
                self._write(batch)
            self._notify(force=last)
            if last and not batch:
                break
        self._drop_connection()

    def _take(self) -> tuple[list[_Entry], bool]:
        with self._wake:
            while not self._entries and not self._stopping:
                delay = self._notify_delay()
                if delay is not None and delay <= 0:
                    return [], False
                self._wake.wait(delay)
            batch: list[_Entry] = []
            size = 0
            while (
                self._entries and len(batch) < MAX_RECORDS and (not batch or size + self._entries[0].size < MAX_BYTES)
            ):
                entry = self._entries.popleft()
                size += entry.size
                batch.append(entry)
            return batch, self._stopping

    def _write(self, batch: list[_Entry]) -> None:
        attempt = 0
        while True:
            try:
                answers = self._perform([entry.record for entry in batch])
            except Exception as error:  # noqa: BLE001 -- the thread's boundary: every caller must be answered
                if is_connection_lost(error) and self._may_retry(attempt):
                    attempt += 1
                    self._reconnect_after(attempt, error)
                    continue
                self._write_alone(batch, error)
            else:
                for entry, answer in zip(batch, answers, strict=True):
                    entry.future.set_result(answer)
            return

    def _may_retry(self, attempt: int) -> bool:
        return self._retry and not (self._stopping and attempt >= STOPPING_ATTEMPTS)

    def _write_alone(self, batch: list[_Entry], error: Exception) -> None:
        if len(batch) > 1:
            for entry in batch:
                self._write([entry])
            return
        if is_conflict(error) and not self._stopping:
            with self._wake:  # somebody holds the row: behind the others, so that nobody waits for it
                self._entries.append(batch[0])
            return
        batch[0].future.set_exception(error)

    def _perform(self, records: Sequence[Record]) -> list[Answer]:
        connection = self._connected()
        steps = [record for record in records if isinstance(record, StepRecord)]
        starts = [record for record in records if isinstance(record, NewWorkflow)]
        outcomes = [record for record in records if isinstance(record, OutcomeRecord)]
        statements: list[Statement] = []
        if steps:
            statements.append(step_statement(steps))
        if starts:
            statements.append(insert_statement(starts))
        if outcomes:
            statements.append(outcome_statement(outcomes))
        if len(statements) == 1:
            results = [connection.execute(statements[0])]
        else:
            results = connection.execute_together(statements)
        return _answers(records, steps, starts, outcomes, iter(results))

    def _notify_delay(self) -> float | None:
        if not self._queues and not self._ended:
            return None
        return NOTIFY_INTERVAL_SECONDS - (monotonic() - self._last_notify)

    def _notify(self, *, force: bool) -> None:
        with self._wake:
            delay = self._notify_delay()
            if delay is None or (delay > 0 and not force):
                return
            queues, self._queues = self._queues, set()
            ended, self._ended = self._ended, []
        if self._payloads is None:
            return
        self._last_notify = monotonic()
        try:
            payloads = self._payloads(queues, ended)
            self._connected().execute(Statement("notify", {"channel": self._channel, "payloads": payloads}))
        except Exception as error:  # a lost wake-up costs time only: whoever waits polls too
            logger.warning("A wake-up could not be sent; waiters find out at their next poll", exc_info=error)
            if is_connection_lost(error):
                self._drop_connection()

    def _connected(self) -> PostgresConnection:
        if self._connection is None:
            self._connection = self._source.dedicated()
            self._connection.driver.execute("SELECT set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
        return self._connection

    def _reconnect_after(self, attempt: int, error: Exception) -> None:
        delay = reconnect_delay(attempt, random.uniform(0.5, 1.5))  # noqa: S311 -- spreads reconnections, no secret
        logger.warning("The system database does not answer; trying again in %.1f s", delay, exc_info=error)
        self._drop_connection()
        if attempt == 1:
            return  # a restart that is over already costs nobody a second
        with self._wake:
            self._wake.wait_for(lambda: self._stopping, timeout=delay)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.driver.close()
            self._connection = None


def _answers(
    records: Sequence[Record],
    steps: list[StepRecord],
    starts: list[NewWorkflow],
    outcomes: list[OutcomeRecord],
    results: Any,
) -> list[Answer]:
    by_step: dict[tuple[str, int], StepAnswer] = answer_steps(next(results)) if steps else {}
    by_creator: dict[str, Row] = {row["creator_xid"]: row for row in next(results)} if starts else {}
    ended: set[str] = {row["workflow_uuid"] for row in next(results)} if outcomes else set()
    answers: list[Answer] = []
    for record in records:
        if isinstance(record, StepRecord):
            answers.append(by_step[record.workflow_id, record.function_id])
        elif isinstance(record, NewWorkflow):
            answers.append(by_creator[record.creator])
        else:
            answers.append(record.workflow_id in ended)
    return answers


def _payload_size(record: Record) -> int:
    if isinstance(record, NewWorkflow):
        return len(record.inputs) + 500
    return len(record.output or "") + len(record.error or "") + 300
