"""Takes work from queues: woken by news, by free slots and once a second, it claims in bounded batches.

news (NOTIFY, enqueue here, a slot is free) --> hot queues --> claim <= free slots --> dispatch
every second, in one round trip: all queues and what waits there, delays and deadlines that end, whether schedules
changed
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from dbos.core.limits import QueueLimits, claim_budget
from dbos.engine.services import Services, epoch_ms
from dbos.store.dequeue import (
    ClaimRequest,
    claim_statement,
    claimed_workflow,
    list_partitions,
    load_eligible,
    sweep_due_rows,
)
from dbos.store.dialects.errors import is_conflict
from dbos.store.operation import Operation, Row, Statement
from dbos.store.queues import INTERNAL_QUEUES, load_queues
from dbos.store.rows import ClaimedWorkflow, QueueRow
from dbos.store.schedules import digest_active_schedules

logger = logging.getLogger("dbos")

BATCH = 100
POLL_SECONDS = 1.0
BACKLOG_SECONDS = 0.01
"""How often to look whether claimed work that waited has begun, so that there is room for more."""
CONFLICT_SECONDS = 0.03
"""Mean wait after another executor was faster at a shared limit."""
LANES = 150
"""How many partitions one claim looks at."""
UNKNOWN_BACKOFF_SECONDS = (5.0, 60.0)
"""How long a function that is not here is left to other processes: the first time, and at most."""

Dispatch = Callable[[list[ClaimedWorkflow]], None]


class QueueWorker:
    """Claims for one executor. One thread, whatever the number of queues."""

    def __init__(
        self,
        services: Services,
        *,
        dispatch: Dispatch,
        backlog: Callable[[], int],
        listened: Collection[str] | None = None,
        unstored: Mapping[str, QueueLimits] | None = None,
    ) -> None:
        """`backlog` tells how much claimed work has not begun; `listened` names the queues to serve (None: all).

        `unstored` are queues that have no row and are always served, besides the internal one.
        """
        self._unstored = {**INTERNAL_QUEUES, **(unstored or {})}
        self._listened = None if listened is None else frozenset(listened)
        self._services = services
        self._dispatch = dispatch
        self._backlog = backlog
        self._queues = {name: QueueRow(name=name, limits=limits) for name, limits in self._unstored.items()}
        self._hot: set[str] = set()
        self._wanting: set[str] = set()
        """Queues whose last claim was cut short by a budget of this process: a free slot makes them hot."""
        self._running: Counter[str] = Counter()
        self._lanes: Counter[tuple[str, str]] = Counter()
        """How much of each partition runs here."""
        self._after: dict[str, str] = {}
        """How far the partitions of a queue were looked at, where there are too many for one look."""
        self._skipped: dict[str, tuple[float, float]] = {}
        self._next_poll = 0.0
        self._retry_at: dict[str, float] = {}
        self._wake = threading.Condition(threading.Lock())
        self._stopping = False
        self._resting = False
        """Whether the thread waits for news, or for the time of its next look."""
        self.claiming = False
        """Whether a claim is under way: what it takes is not counted as running yet."""
        self.on_poll: Callable[[], None] = lambda: None
        """Called after each poll, about once a second; it must not wait."""
        self.on_schedules: Callable[[str], None] = lambda _: None
        """Called at each poll with what changes when schedules do; it must not wait."""
        self.last_poll = time.monotonic()
        """When the database last answered a poll, on the monotonic clock."""
        self._thread = threading.Thread(target=self._run, name="dbos-claims", daemon=True)

    def start(self) -> None:
        """Begin to claim."""
        self._thread.start()

    def stop(self, *, within: float | None = None) -> None:
        """Claim nothing more; returns when the last claim is dispatched, or when the time is over."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(within)

    @property
    def resting(self) -> bool:
        """Whether everything that is known to wait was looked at, and nothing is being claimed."""
        with self._wake:
            return self._resting and not self._hot and not self._retry_at and time.monotonic() < self._next_poll

    def wake(self, queues: Iterable[str]) -> None:
        """Look at queues at once."""
        with self._wake:
            self._hot.update(queues)
            self._wake.notify()

    def refresh(self) -> None:
        """Read the queues again at once: one was registered or changed."""
        with self._wake:
            self._next_poll = 0.0
            self._wake.notify()

    def ended(self, queue: str, partition: str | None = None) -> None:
        """A workflow that was claimed from a queue, and from a lane of it, no longer runs here."""
        with self._wake:
            self._running[queue] -= 1
            if partition is not None:
                self._lanes[queue, partition] -= 1
                if self._lanes[queue, partition] <= 0:
                    del self._lanes[queue, partition]
            if queue in self._wanting and (partition is not None or self._slots(queue) * 2 >= self._room(queue)):
                self._hot.add(queue)
                self._wake.notify()

    def skip(self, key: str) -> float:
        """Leave workflows of a function to other processes for a while, longer each time; how many seconds."""
        first, longest = UNKNOWN_BACKOFF_SECONDS
        forgotten = time.monotonic() - longest
        self._skipped = {known: skipped for known, skipped in self._skipped.items() if skipped[0] > forgotten}
        _, before = self._skipped.get(key, (0.0, 0.0))
        pause = min(max(first, before * 2), longest)
        self._skipped[key] = (time.monotonic() + pause, pause)
        return pause

    @property
    def unstored(self) -> list[str]:
        """The queues that have no row and are always served."""
        return list(self._unstored)

    def shares_limits(self, queue: str) -> bool:
        """Whether other executors wait for slots that end here."""
        row = self._queues.get(queue)
        return row is not None and (row.limits.concurrency, row.limits.partition_concurrency) != (None, None)

    @property
    def running(self) -> dict[str, int]:
        """How many claimed workflows of each queue this process holds."""
        with self._wake:
            return {queue: count for queue, count in self._running.items() if count}

    def _run(self) -> None:
        while True:
            hot = self._wait()
            if hot is None:
                return
            if time.monotonic() >= self._next_poll:
                try:
                    self._poll()
                except Exception:  # the thread's boundary: the next poll tries again
                    logger.exception("Reading the queues failed; it is tried again within a second")
                    self._next_poll = time.monotonic() + POLL_SECONDS
            for queue in hot:
                try:
                    self._claim(queue)
                except Exception:  # one queue stops no other, and the next poll looks at it again
                    logger.exception("Claiming from a queue failed", extra={"queue": queue})

    def _wait(self) -> list[str] | None:
        with self._wake:
            while True:
                self._resting = False
                if self._stopping:
                    return None
                now = time.monotonic()
                for queue, when in list(self._retry_at.items()):
                    if when <= now:
                        del self._retry_at[queue]
                        self._hot.add(queue)
                ready = [queue for queue in self._hot if queue not in self._retry_at]
                if ready or now >= self._next_poll:
                    self._hot.difference_update(ready)
                    return ready
                waiting = self._backlog()
                until = min([self._next_poll, *self._retry_at.values()])
                self._resting = True
                self._wake.wait(BACKLOG_SECONDS if waiting else max(0.0, until - now))
                if waiting and self._backlog() * 2 <= BATCH:  # there is room for more of it
                    self._hot.update(queue for queue in self._wanting if self._slots(queue) > 0)

    def _poll(self) -> None:
        with self._wake:
            self._next_poll = math.inf  # a refresh from here on may be about what this poll does not see yet
        services = self._services
        application = services.claimant.application
        swept, rows, schedules = services.database.run_together(
            lambda: sweep_due_rows(application, services.database.schema, now_ms=epoch_ms()),
            lambda: load_queues(application, unstored=self._unstored),
            lambda: digest_active_schedules(application),
        )
        self.on_schedules(schedules)
        for workflow_id in swept.cancelled:
            services.signals.ring(workflow_id)
            services.writer.announce(workflow=workflow_id)
        self._queues = {row.name: row for row in rows if self._serves(row.name)}
        self.last_poll = time.monotonic()
        interval = min((row.limits.polling_interval_seconds for row in self._queues.values()), default=POLL_SECONDS)
        seconds = min(max(interval, 0.05), POLL_SECONDS) * random.uniform(0.95, 1.05)  # noqa: S311
        with self._wake:
            self._next_poll = min(self._next_poll, self.last_poll + seconds)
            self._hot.update(row.name for row in rows if row.runnable and self._serves(row.name))
            self._hot.update(swept.queues)
        self.on_poll()

    def _room(self, queue: str) -> int:
        row = self._queues[queue]
        return BATCH if row.limits.worker_concurrency is None else min(BATCH, row.limits.worker_concurrency)

    def _slots(self, queue: str) -> int:
        row = self._queues.get(queue)
        if row is None:
            return 0
        free = max(0, BATCH - self._backlog())
        return claim_budget(row.limits, running=self._running[queue], batch=free)

    def has_work(self) -> bool:
        """Whether a workflow waits that this process may run, now or once a limit lets it. Reads the database."""
        database, claimant = self._services.database, self._services.claimant
        rows = database.run(lambda: load_queues(claimant.application, unstored=self._unstored))
        skipped = self._skipped_keys()
        return any(
            database.run(partial(load_eligible, row.name, row.limits, claimant, skipped=skipped))
            for row in rows
            if row.runnable and self._serves(row.name)
        )

    def _claim(self, queue: str) -> None:
        self.claiming = True
        try:
            self._claim_and_dispatch(queue)
        finally:
            self.claiming = False

    def _claim_and_dispatch(self, queue: str) -> None:
        row = self._queues.get(queue)
        if row is None:
            return
        limit = self._slots(queue)
        with self._wake:
            self._wanting.add(queue)
        if limit < 1:
            return
        lanes = self._free_lanes(queue, row.limits, limit)
        if row.limits.partitioned and not lanes:
            return
        owner = self._services.new_owner()
        request = ClaimRequest(
            queue=queue, limits=row.limits, owner=owner, limit=limit, skipped=self._skipped_keys(), lanes=lanes
        )
        rows = self._take(claim_statement(request, self._services.claimant, now_ms=epoch_ms()), row.limits)
        if rows is None:
            self._retry_at[queue] = time.monotonic() + random.uniform(0.5, 1.5) * CONFLICT_SECONDS  # noqa: S311
            return
        with self._wake:
            self._running[queue] += len(rows)
            self._lanes.update((queue, claim["queue_partition_key"]) for claim in rows if claim["queue_partition_key"])
            if lanes:
                if len(rows) == limit:
                    self._hot.add(queue)
            elif len(rows) < limit and not (row.limits.shared and self._running[queue]):
                self._wanting.discard(queue)
            elif self._slots(queue) > 0 and not row.limits.shared:
                self._hot.add(queue)
        if rows:
            self._dispatch([claimed_workflow(claimed, owner) for claimed in rows])

    def _free_lanes(self, queue: str, limits: QueueLimits, limit: int) -> dict[str, int]:
        """Partitions in which something waits and may run here, in random order, and how much of each.

        Where there are very many, each look begins where the last one ended.
        """
        if not limits.partitioned:
            return {}
        application, after = self._services.claimant.application, self._after.pop(queue, "")
        keys = self._services.database.run(lambda: list_partitions(queue, application, after=after, limit=LANES))
        if len(keys) == LANES:
            self._after[queue] = keys[-1]
            with self._wake:
                self._hot.add(queue)
        most = limits.partition_worker_concurrency
        lanes = {key: limit if most is None else min(limit, most - self._lanes[queue, key]) for key in keys}
        free = [key for key, slots in lanes.items() if slots > 0]
        random.shuffle(free)  # no partition comes first for its name
        return {key: lanes[key] for key in free}

    def _serves(self, queue: str) -> bool:
        return self._listened is None or queue in self._listened or queue in self._unstored

    def _take(self, statement: Statement, limits: QueueLimits) -> list[Row] | None:
        if not limits.shared:
            return self._services.database.run(lambda: _single(statement))
        try:
            return self._services.database.take_turn(statement)
        except Exception as error:
            if not is_conflict(error):
                raise
            return None

    def _skipped_keys(self) -> list[str]:
        now = time.monotonic()
        return [key for key, (until, _) in self._skipped.items() if until > now]


def _single(statement: Statement) -> Operation[list[Row]]:
    return (yield statement)
