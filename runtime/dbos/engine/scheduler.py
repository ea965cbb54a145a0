"""Fires schedules: one thread for all of them, each run at its time and once.

rows (read at launch, when one changes, and now and then) --+
functions declared with @DBOS.scheduled --------------------+--> agenda, by the next moment of each
                                                                   |  due
                                          enqueued in one transaction; the ID keeps out what another process fired
                                                                   |  not reached: kept, and tried again
                                                                   v
                                                                 workers
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

from dbos._error import DBOSException
from dbos.core.cron import CronRule
from dbos.core.ids import WorkflowId
from dbos.core.schedule_ids import schedule_workflow_id
from dbos.core.timetable import Agenda, as_utc, just_after, just_before, latest_moment, missed_moments
from dbos.engine.clock import clock, epoch_seconds
from dbos.engine.schedules import context_of, parse_rule, run_of, wake
from dbos.engine.services import Services
from dbos.serialization.encoding import encode_inputs
from dbos.store.dialects.errors import is_connection_lost
from dbos.store.operation import DatabaseClosedError
from dbos.store.schedules import ScheduledRun, ScheduleRow, enqueue_runs, load_active_schedules
from dbos.telemetry import ScheduleFired

logger = logging.getLogger("dbos")

REFRESH_SECONDS = 0.05
"""Changes within this time are read together."""
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
    """The clock of this process."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.fromtimestamp(epoch_seconds(), UTC)


@dataclass(slots=True)
class Entry:
    """A schedule that is followed: its rule, and the next moment of it."""

    name: str
    rule: CronRule
    next_due: datetime
    row: ScheduleRow | None = None
    """None for a workflow that @DBOS.scheduled declares; it has the name of the workflow."""
    context: Any = None
    current: bool = True
    """Whether it still is what the row says."""
    prepared: ScheduledRun | None = None
    """The next run, made before it is due."""


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run that is to be enqueued now."""

    run: ScheduledRun
    entry: Entry
    due: datetime
    made_up: bool = False
    """Whether it was missed, and is made up for on request."""


class Scheduler:
    """Fires the schedules of one application."""

    def __init__(
        self, services: Services, declared: Mapping[str, str], *, poll_seconds: float, clock: Clock | None = None
    ) -> None:
        """`declared` are cron texts by the names of the workflows that they start."""
        self._services = services
        self._declared = declared
        self._poll_seconds = poll_seconds
        self._clock = clock or SystemClock()
        self._agenda: Agenda[Entry] = Agenda()
        self._entries: dict[str, Entry] = {}
        """The schedules that have a row, by name."""
        self._declarations: list[Entry] = []
        self._due: deque[DueRun] = deque()
        self._made_up: deque[Iterator[DueRun]] = deque()
        self._refused: dict[str, tuple[str | None, ...]] = {}
        """Rows that cannot be fired here, so that each is told once."""
        self._first_load = True
        self._reachable = True
        self._loaded = time.monotonic()
        self._digest: str | None = None
        self._next_load = 0.0
        self._expected = self._clock.now()
        """When the thread wanted to look next."""
        self._wake = threading.Condition(threading.Lock())
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dbos-scheduler", daemon=True)

    def start(self) -> None:
        """Begin to fire."""
        self._expected = self._clock.now()
        self._declare()
        if clock().runs:
            self._thread.start()

    def stop(self, *, within: float | None = None) -> None:
        """Fire nothing more; returns when the last runs are enqueued, or when the time is over."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(within)

    def refresh(self, *, within: float = REFRESH_SECONDS) -> None:
        """Read the rows again, that many seconds after the last time: one was, or may have been, changed."""
        with self._wake:
            self._next_load = min(self._next_load, self._loaded + within)
            self._wake.notify()

    def compare(self, digest: str) -> None:
        """Read the rows again when what is told of them differs from the last time: any SDK may have changed one."""
        if digest != self._digest:
            self._digest = digest
            self.refresh()

    def seconds_until_next(self) -> float | None:
        """How long until a schedule is due that is followed; None when there is none."""
        return self._agenda.seconds_until_next(self._clock.now())

    def catch_up(self) -> None:
        """Read the rows and fire what is due now, on the calling thread: for a clock that does not run."""
        self._next_load = 0.0
        self._expected = self._clock.now()  # it was moved here: nobody slept
        self.turn()

    def _declare(self) -> None:
        for workflow, text in self._declared.items():
            rule = CronRule.parse(text)
            entry = Entry(name=workflow, rule=rule, next_due=rule.next_after(self._expected))
            self._declarations.append(entry)
            self._agenda.put(entry)

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
            try:
                self.turn()
            except DatabaseClosedError:
                return
            except Exception:  # the thread's boundary: the next turn tries again
                logger.exception("Firing schedules failed; it is tried again")
                self._next_load = time.monotonic() + RETRY_SECONDS
            self._wait()

    def turn(self) -> None:
        """Look once: read the rows when it is time for it, and fire what is due."""
        now = self._clock.now()
        slept = self._slept(now)
        if slept:
            logger.info("This process slept; of what was due meanwhile each schedule fires its last run")
        if slept or time.monotonic() >= self._next_load:
            self._load(now)
        due = self._agenda.take_due(now)
        try:
            for entry in due:
                self._take(entry, now, slept=slept)
            self._take_made_up()
            self._fire()
        finally:
            for entry in due:  # only now: computing moments takes longer than enqueuing runs
                self._move_on(entry, now if slept else entry.next_due)
        self._expected = max(self._clock.now(), now)  # what the database took was no sleep

    def _wait(self) -> None:
        with self._wake:
            if self._stopping:
                return
            now = self._clock.now()
            seconds = min(LONGEST_WAIT_SECONDS, self._next_load - time.monotonic())
            until_due = self._agenda.seconds_until_next(now)
            if until_due is not None:
                seconds = min(seconds, until_due)
            if not self._reachable:
                seconds = max(seconds, RETRY_SECONDS)
            elif self._due or self._made_up:
                seconds = 0.0
            self._expected = now + timedelta(seconds=max(seconds, 0.0))
            if seconds > 0:
                self._wake.wait(seconds)

    def _slept(self, now: datetime) -> bool:
        if now < self._expected - ASLEEP - timedelta(seconds=LONGEST_WAIT_SECONDS):
            # The clock was set back: what comes true again has its ID already and is not run twice.
            for entry in [*self._entries.values(), *self._declarations]:
                self._move_on(entry, now)
            return False
        return now - self._expected > ASLEEP

    def _take(self, entry: Entry, now: datetime, *, slept: bool) -> None:
        if not slept:
            self._add(entry, entry.next_due, entry.prepared)
        elif entry.row is not None and entry.row.automatic_backfill:
            self._make_up(entry, just_before(entry.next_due), just_after(now))
        else:
            moment = latest_moment(entry.rule, just_before(entry.next_due), now)
            if moment is not None:
                self._add(entry, moment)

    def _add(self, entry: Entry, moment: datetime, prepared: ScheduledRun | None = None) -> None:
        run = prepared or self._run_at(entry, moment)
        if run is not None:
            self._due.append(DueRun(run, entry, moment))

    def _take_made_up(self) -> None:
        while self._made_up and len(self._due) < BATCH:
            runs = list(islice(self._made_up[0], BATCH))
            self._due.extend(runs)
            if len(runs) < BATCH:
                self._made_up.popleft()

    def _make_up(self, entry: Entry, after: datetime, before: datetime) -> None:
        moments = missed_moments(entry.rule, after, before)
        runs = ((self._run_at(entry, moment), moment) for moment in moments)
        self._made_up.append(DueRun(run, entry, moment, made_up=True) for run, moment in runs if run is not None)

    def _move_on(self, entry: Entry, after: datetime) -> None:
        entry.next_due = entry.rule.next_after(after)
        self._agenda.put(entry)
        # A declared run also says when it is fired.
        entry.prepared = None if entry.row is None else self._run_at(entry, entry.next_due)

    def _run_at(self, entry: Entry, moment: datetime) -> ScheduledRun | None:
        try:
            return self._run_of(entry, moment)
        except Exception:  # the context is the application's: it raises anything when it is stored
            logger.exception("A run of schedule %s cannot be stored, and is left out", entry.name)
            return None

    def _run_of(self, entry: Entry, moment: datetime) -> ScheduledRun:
        services = self._services
        if entry.row is not None:
            run = run_of(services, entry.row, entry.context, moment)
            return replace(run, seen=entry.row, moment=moment.isoformat())
        return ScheduledRun(
            workflow_id=WorkflowId(schedule_workflow_id(entry.name, moment)),
            workflow_name=entry.name,
            inputs=encode_inputs((moment, self._clock.now()), {}, services.serialization),
            application_name=services.claimant.application,
            serialization=services.serialization,
        )

    def _load(self, now: datetime) -> None:
        application = self._services.claimant.application
        with self._wake:  # before the rows are read: who changes one meanwhile has them read again
            self._loaded = time.monotonic()
            self._next_load = self._loaded + self._poll_seconds
        try:
            rows = self._services.database.attempt(lambda: load_active_schedules(application))
        except Exception as error:
            if not is_connection_lost(error):
                raise
            self._unreachable(error)
            self._next_load = time.monotonic() + RETRY_SECONDS
            return
        self._reachable = True
        self._follow(rows, now)
        self._first_load = False

    def _follow(self, rows: Sequence[ScheduleRow], now: datetime) -> None:
        wanted = {row.schedule_name: row for row in rows}
        for name, entry in list(self._entries.items()):
            if name not in wanted:
                self._drop(entry)
        for name, row in wanted.items():
            known = self._entries.get(name)
            if known is None or known.row is None or known.row.essence != row.essence:
                self._take_up(row, known, now)

    def _take_up(self, row: ScheduleRow, before: Entry | None, now: datetime) -> None:
        if self._refused.get(row.schedule_name) == row.essence:
            return
        if before is not None:
            self._drop(before)
        try:
            rule = parse_rule(row.schedule_name, row.schedule, row.cron_timezone)
            context = context_of(self._services, row.schedule_name, row.context)
        except (DBOSException, TypeError) as error:
            logger.warning("Schedule %s cannot be fired here: %s", row.schedule_name, error)
            self._refused[row.schedule_name] = row.essence
            return
        # With the same rule the next moment stays, even if it has just passed: a new context drops no run.
        keeps = before is not None and before.rule == rule
        after = just_before(before.next_due) if keeps and before is not None else now
        entry = Entry(name=row.schedule_name, rule=rule, next_due=now, row=row, context=context)
        self._entries[entry.name] = entry
        self._move_on(entry, after)
        if self._first_load and row.automatic_backfill and row.last_fired_at is not None:
            self._make_up_since(entry, row.last_fired_at, now)

    def _make_up_since(self, entry: Entry, last_fired_at: str, now: datetime) -> None:
        try:
            last = as_utc(datetime.fromisoformat(last_fired_at))
        except ValueError:
            logger.warning("Schedule %s was last fired at %r, which is no time", entry.name, last_fired_at)
        else:
            self._make_up(entry, last, just_after(now))

    def _drop(self, entry: Entry) -> None:
        entry.current = False
        del self._entries[entry.name]

    def _fire(self) -> None:
        excess = len(self._due) - MOST_KEPT
        if excess > 0:
            logger.error("%d runs that were due are given up: the database has not answered for long", excess)
            for _ in range(excess):
                self._due.popleft()
        while self._due:
            batch = [self._due.popleft() for _ in range(min(BATCH, len(self._due)))]
            try:
                self._enqueue(batch)
            except DatabaseClosedError:
                raise
            except Exception as error:  # noqa: BLE001 -- one run that cannot be stored stops no other
                if is_connection_lost(error):
                    self._due.extendleft(reversed(batch))
                    self._unreachable(error)
                    return
                self._enqueue_singly(batch, error)
            self._reachable = True

    def _enqueue(self, batch: list[DueRun]) -> None:
        runs = [due.run for due in batch]
        started = set(self._services.database.attempt(lambda: enqueue_runs(runs)))
        now = self._clock.now()
        new = [due for due in batch if due.run.workflow_id in started]
        wake(self._services, (due.run for due in new))
        for due in new:
            if not due.made_up:
                self._services.telemetry.emit(ScheduleFired(due.entry.name, max(0.0, (now - due.due).total_seconds())))
        left = [due for due in batch if due.run.workflow_id not in started and due.entry.row is not None]
        if left:
            self._look_again(left)

    def _look_again(self, left: list[DueRun]) -> None:
        """Somebody else fired them, or their rows have changed: then they run as the rows say now."""
        self._load(self._clock.now())
        for due in left:
            entry = self._entries.get(due.entry.name)
            if entry is not None and entry is not due.entry and entry.rule == due.entry.rule:
                self._add(entry, due.due)

    def _enqueue_singly(self, batch: list[DueRun], error: Exception) -> None:
        if len(batch) == 1:
            logger.error("A run of schedule %s cannot be enqueued", batch[0].entry.name, exc_info=error)
            return
        for position, due in enumerate(batch):
            try:
                self._enqueue([due])
            except Exception as alone:
                if is_connection_lost(alone):
                    self._due.extend(batch[position:])
                    return
                logger.exception("A run of schedule %s cannot be enqueued", due.entry.name)

    def _unreachable(self, error: Exception) -> None:
        if self._reachable:
            logger.warning("The system database does not answer; due runs are kept until it does", exc_info=error)
        self._reachable = False
