"""Fires schedules: one thread for all of them, each run at its time and once.

rows (read at launch, when one changes, and now and then) --+
functions declared with @DBOS.scheduled --------------------+--> clocks, by the next moment of each
                                                                   |  due
                                          enqueued in one transaction; the ID keeps out what another process fired
                                                                   |  not reached: kept, and tried again
                                                                   v
                                                                 workers
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, Protocol

from dbos._error import DBOSException
from dbos.core.cron import CronRule
from dbos.core.ids import WorkflowId
from dbos.core.schedule_ids import schedule_workflow_id
from dbos.core.timetable import due_moments, missed_moments
from dbos.engine.schedules import context_of, parse_rule, run_of, wake
from dbos.engine.services import Services
from dbos.serialization.encoding import encode_inputs
from dbos.store.dialects.postgres import is_connection_lost
from dbos.store.operation import DatabaseClosedError
from dbos.store.schedules import ScheduledRun, ScheduleRow, enqueue_runs, load_active_schedules
from dbos.telemetry import ScheduleFired

logger = logging.getLogger("dbos")

EAGER_SECONDS = 1.0
"""How often the rows are read in the first minute: applications declare their schedules then."""
EAGER_FOR_SECONDS = 60.0
RETRY_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 1.0
"""How long the thread waits at most: the clock may be set meanwhile, or the machine sleep."""
ASLEEP = timedelta(seconds=2)
"""A process that comes this much later than it wanted has slept: suspended, stopped, or starved."""
BATCH = 500
MOST_KEPT = 10_000
"""How many due runs are kept while the database does not answer; then the oldest are given up."""


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """The present moment."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


@dataclass(slots=True)
class Entry:
    """A schedule that is followed: its rule, and the next moment of it."""

    name: str
    rule: CronRule
    next_due: datetime
    row: ScheduleRow | None = None
    """None for a workflow that was declared to run now and then; it has the name of the workflow."""
    context: Any = None
    current: bool = True
    """Whether it still is what the row says."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A run that is due, and when it was."""

    run: ScheduledRun
    entry: Entry
    due: datetime
    backfilled: bool = False


class Scheduler:
    """Fires the schedules of one application."""

    def __init__(
        self,
        services: Services,
        declared: Mapping[str, str],
        *,
        poll_seconds: float,
        clock: Clock | None = None,
    ) -> None:
        """`declared` are cron texts by the names of the workflows that they start."""
        self._services = services
        self._declared = declared
        self._poll_seconds = poll_seconds
        self._clock = clock or SystemClock()
        self._entries: dict[str, Entry] = {}
        """The schedules that have a row, by name."""
        self._declarations: list[Entry] = []
        self._heap: list[tuple[float, int, Entry]] = []
        self._sequence = count()
        self._kept: deque[_Kept] = deque()
        self._backfills: deque[Iterator[_Kept]] = deque()
        self._refused: dict[str, ScheduleRow] = {}
        """Rows that cannot be fired here, so that each is told once."""
        self._first_load = True
        self._reachable = True
        self._started = time.monotonic()
        self._next_load = 0.0
        self._expected = self._clock.now()
        """When the thread wanted to look next."""
        self._wake = threading.Condition(threading.Lock())
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dbos-scheduler", daemon=True)

    @property
    def names(self) -> list[str]:
        """The schedules that are followed."""
        return sorted(self._entries)

    def start(self) -> None:
        """Begin to fire."""
        self._started = time.monotonic()
        self._expected = self._clock.now()
        self._declare()
        self._thread.start()

    def stop(self, *, within: float | None = None) -> None:
        """Fire nothing more; returns when the last runs are enqueued, or when the time is over."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(within)

    def refresh(self) -> None:
        """Read the rows again at once: one was changed."""
        with self._wake:
            self._next_load = 0.0
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
            try:
                self._turn()
            except DatabaseClosedError:
                return
            except Exception:  # the thread's boundary: the next turn tries again
                logger.exception("Firing schedules failed; it is tried again")
                self._next_load = time.monotonic() + RETRY_SECONDS
            self._wait()

    def _turn(self) -> None:
        now = self._clock.now()
        slept = self._slept(now)
        if slept:
            logger.info("This process slept; of what was due meanwhile each schedule fires its last run")
        if slept or time.monotonic() >= self._next_load:
            self._load(now)
        for entry in self._due(now):
            due = due_moments(entry.rule, entry.next_due, now, slept=slept and not _makes_up(entry))
            self._kept.extend(self._kept_run(entry, moment) for moment in due.moments)
            self._push(entry, due.next_due)
        while self._backfills and len(self._kept) < BATCH:
            slice_ = list(islice(self._backfills[0], BATCH))
            self._kept.extend(slice_)
            if len(slice_) < BATCH:
                self._backfills.popleft()
        self._fire()
        self._expected = max(self._clock.now(), now)  # what the database took was no sleep

    def _wait(self) -> None:
        with self._wake:
            if self._stopping or time.monotonic() >= self._next_load:
                return
            seconds = min(LONGEST_WAIT_SECONDS, self._next_load - time.monotonic())
            if self._kept or self._backfills:
                seconds = min(seconds, 0.0 if self._reachable else RETRY_SECONDS)
            if self._heap:
                seconds = min(seconds, self._heap[0][0] - self._clock.now().timestamp())
            self._expected = self._clock.now() + timedelta(seconds=max(seconds, 0.0))
            if seconds > 0:
                self._wake.wait(seconds)

    def _slept(self, now: datetime) -> bool:
        if now < self._expected - ASLEEP - timedelta(seconds=LONGEST_WAIT_SECONDS):
            # The clock was set back: what comes true again has its ID already and is not run twice.
            for entry in [*self._entries.values(), *self._declarations]:
                self._push(entry, entry.rule.next_after(now))
            return False
        return now - self._expected > ASLEEP

    def _load(self, now: datetime) -> None:
        application = self._services.claimant.application
        eager = time.monotonic() - self._started < EAGER_FOR_SECONDS
        with self._wake:  # before the rows are read: who changes one meanwhile has them read again
            pause = min(EAGER_SECONDS, self._poll_seconds) if eager else self._poll_seconds
            self._next_load = time.monotonic() + pause
        try:
            rows = self._services.database.attempt(lambda: load_active_schedules(application))
        except Exception as error:
            if not is_connection_lost(error):
                raise
            self._unreachable(error)
            self._next_load = time.monotonic() + RETRY_SECONDS
            return
        self._follow(rows, now)
        self._first_load = False

    def _follow(self, rows: Sequence[ScheduleRow], now: datetime) -> None:
        wanted = {row.schedule_name: row for row in rows}
        for name, entry in list(self._entries.items()):
            if entry.row is not None and name not in wanted:
                self._drop(entry)
        for name, row in wanted.items():
            known = self._entries.get(name)
            if known is None or known.row is None or _rule_of(known.row) != _rule_of(row):
                self._take_up(row, known, now)

    def _take_up(self, row: ScheduleRow, before: Entry | None, now: datetime) -> None:
        if self._refused.get(row.schedule_name) == _rule_of(row):
            return
        try:
            rule = parse_rule(row.schedule_name, row.schedule, row.cron_timezone)
            context = context_of(self._services, row.schedule_name, row.context)
        except (DBOSException, TypeError) as error:
            logger.warning("Schedule %s cannot be fired here: %s", row.schedule_name, error)
            self._refused[row.schedule_name] = _rule_of(row)
            if before is not None:
                self._drop(before)
            return
        same_clock = before is not None and before.rule == rule
        next_due = before.next_due if before is not None and same_clock else rule.next_after(now)
        if before is not None:
            before.current = False
        entry = Entry(name=row.schedule_name, rule=rule, next_due=next_due, row=row, context=context)
        self._entries[entry.name] = entry
        self._push(entry, next_due)
        if self._first_load and row.automatic_backfill:
            self._backfill(entry, row, now)

    def _backfill(self, entry: Entry, row: ScheduleRow, now: datetime) -> None:
        if row.last_fired_at is None:
            return
        try:
            last = datetime.fromisoformat(row.last_fired_at)
        except ValueError:
            logger.warning("Schedule %s was last fired at %r, which is no time", row.schedule_name, row.last_fired_at)
            return
        if last.tzinfo is None:
            last = last.replace(tzinfo=UTC)
        moments = missed_moments(entry.rule, last, now + timedelta(microseconds=1))
        self._backfills.append(self._kept_run(entry, moment, backfilled=True) for moment in moments)

    def _declare(self) -> None:
        now = self._clock.now()
        for workflow, text in self._declared.items():
            rule = CronRule.parse(text)
            entry = Entry(name=workflow, rule=rule, next_due=rule.next_after(now))
            self._declarations.append(entry)
            self._push(entry, entry.next_due)

    def _push(self, entry: Entry, next_due: datetime) -> None:
        entry.next_due = next_due
        heapq.heappush(self._heap, (next_due.timestamp(), next(self._sequence), entry))

    def _drop(self, entry: Entry) -> None:
        entry.current = False
        del self._entries[entry.name]

    def _due(self, now: datetime) -> list[Entry]:
        due = {}
        while self._heap and self._heap[0][0] <= now.timestamp():
            at, _, entry = heapq.heappop(self._heap)
            if entry.current and at == entry.next_due.timestamp():
                due[id(entry)] = entry
        return list(due.values())

    def _kept_run(self, entry: Entry, moment: datetime, *, backfilled: bool = False) -> _Kept:
        due = moment.astimezone(UTC)
        if entry.row is None:
            return _Kept(self._declared_run(entry, due), entry, due)
        run = run_of(self._services, entry.row, entry.context, moment)
        application = entry.row.application_name or self._services.claimant.application
        run = replace(run, seen=entry.row, moment=moment.isoformat(), application_name=application)
        return _Kept(run, entry, due, backfilled)

    def _declared_run(self, entry: Entry, moment: datetime) -> ScheduledRun:
        services = self._services
        return ScheduledRun(
            workflow_id=WorkflowId(schedule_workflow_id(entry.name, moment)),
            workflow_name=entry.name,
            inputs=encode_inputs((moment, self._clock.now()), {}, services.serialization),
            application_name=services.claimant.application,
            serialization=services.serialization,
        )

    def _fire(self) -> None:
        if len(self._kept) > MOST_KEPT:
            logger.error("%d due runs are given up: the database has not answered", len(self._kept) - MOST_KEPT)
        while len(self._kept) > MOST_KEPT:
            self._kept.popleft()
        while self._kept:
            batch = [self._kept.popleft() for _ in range(min(BATCH, len(self._kept)))]
            try:
                self._enqueue(batch)
            except DatabaseClosedError:
                raise
            except Exception as error:  # noqa: BLE001 -- one run that cannot be stored stops no other
                if is_connection_lost(error):
                    self._kept.extendleft(reversed(batch))
                    self._unreachable(error)
                    return
                self._enqueue_alone(batch, error)
            self._reachable = True

    def _enqueue(self, batch: list[_Kept]) -> None:
        runs = sorted((kept.run for kept in batch), key=lambda run: run.workflow_id)
        started = set(self._services.database.attempt(lambda: enqueue_runs(runs), together=True))
        now = self._clock.now()
        new = [kept for kept in batch if kept.run.workflow_id in started]
        wake(self._services, (kept.run for kept in new))
        for kept in new:
            if not kept.backfilled:
                late = max(0.0, (now - kept.due).total_seconds())
                self._services.telemetry.emit(ScheduleFired(kept.entry.name, late))
        left = [kept for kept in batch if kept.run.workflow_id not in started and kept.entry.row is not None]
        if left:
            self._look_again(left)

    def _look_again(self, left: list[_Kept]) -> None:
        """Somebody else fired them, or their rows have changed: then they run as the rows say now."""
        self._load(self._clock.now())
        for kept in left:
            now_followed = self._entries.get(kept.entry.name)
            if now_followed is not None and now_followed is not kept.entry and now_followed.rule == kept.entry.rule:
                self._kept.append(self._kept_run(now_followed, kept.due.astimezone(kept.entry.rule.zone)))

    def _enqueue_alone(self, batch: list[_Kept], error: Exception) -> None:
        for kept in batch if len(batch) > 1 else ():
            try:
                self._enqueue([kept])
            except Exception as alone:
                if is_connection_lost(alone):
                    self._kept.append(kept)
                    continue
                logger.exception("A run of schedule %s cannot be enqueued", kept.entry.name)
        if len(batch) == 1:
            logger.error("A run of schedule %s cannot be enqueued", batch[0].entry.name, exc_info=error)

    def _unreachable(self, error: Exception) -> None:
        if self._reachable:
            logger.warning("The system database does not answer; due runs are kept until it does", exc_info=error)
        self._reachable = False


def _makes_up(entry: Entry) -> bool:
    return entry.row is not None and entry.row.automatic_backfill


def _rule_of(row: ScheduleRow) -> ScheduleRow:
    """What of a row decides about its runs."""
    return replace(row, last_fired_at=None, automatic_backfill=False, status="ACTIVE")
