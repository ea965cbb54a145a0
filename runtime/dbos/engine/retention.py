"""Deletes workflows that ended: now and then, in batches, by one process of an application at a time.

every interval: hold the duty? --no--> next interval
                     | yes
                find what is to go --> delete a batch --> rest as long as it took --> next batch
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dbos.config.retention import RetentionOptions
from dbos.engine.forgetting import forget_left_behind
from dbos.engine.services import Services
from dbos.store.operation import DatabaseClosedError
from dbos.store.retention import Deleted, delete_completed, find_completion_cutoff
from dbos.telemetry import WorkflowsDeleted

logger = logging.getLogger("dbos")

RETENTION_DUTY = "retention"
FULL_PASS_SECONDS = 3600.0
"""How often everything that ended is looked at; in between what ended since the last look."""
LEAST_REST_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Rule:
    """Which workflows are to go; as RetentionOptions."""

    max_age_ms: int | None
    keep: int | None
    batch: int

    @classmethod
    def of(cls, options: RetentionOptions) -> Rule:
        """The rule that the settings make."""
        age = options.max_age_seconds
        return cls(None if age is None else int(age * 1000), options.max_workflows, options.batch_size)


class Retention:
    """Keeps a system database small. Its thread lives while there is something to delete."""

    def __init__(self, services: Services, options: RetentionOptions, *, hold: Callable[[float], bool]) -> None:
        """`hold` takes the duty for that many seconds, or goes on holding it, and tells whether it is this process's.

        It reads the database, and so is called on the thread of this only.
        """
        self._services = services
        self._options = options
        self._hold = hold
        self._rule = Rule.of(options)
        self._next_turn = time.monotonic()
        self._next_full_pass = 0.0
        self._done_ms = 0
        """What ended before was looked at."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        """Begin to look when it is time for it; returns at once."""
        if time.monotonic() < self._next_turn or self._stopping.is_set():
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="dbos-retention", daemon=True)
            self._thread.start()

    def stop(self, *, within: float | None = None) -> None:
        """Delete nothing more; returns when the last batch is committed, or when the time is over."""
        self._stopping.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(within)

    def _run(self) -> None:
        try:
            self.turn()
        except DatabaseClosedError:
            return
        except Exception:  # the thread's boundary: what is left is deleted in the next turn
            logger.warning("Deleting old workflows failed; it is tried again at the next interval", exc_info=True)
        finally:
            self._next_turn = time.monotonic() + self._options.interval_seconds

    def turn(self) -> int:
        """Delete what is to go now, if the duty is this process's; how many workflows went."""
        if not self._hold(self._lease):
            self.forget_progress()  # another process's work is not known here
            return 0
        application = self._services.claimant.application
        rule, database = self._rule, self._services.database
        cutoff = database.run(lambda: find_completion_cutoff(application, max_age_ms=rule.max_age_ms, keep=rule.keep))
        if cutoff is None:
            return 0
        full = time.monotonic() >= self._next_full_pass or self._done_ms == 0
        deleted, finished = self._delete_until(cutoff, after_ms=0 if full else self._done_ms, stamped=True)
        if finished and full:
            older, finished = self._delete_until(cutoff, after_ms=0, stamped=False)
            deleted += older
            self._next_full_pass = time.monotonic() + FULL_PASS_SECONDS
        if finished:
            self._done_ms = cutoff
        if deleted:
            logger.info("Deleted %d workflows that ended, as the retention settings say", deleted)
        return deleted

    def forget_progress(self) -> None:
        """Look at everything that ended in the next turn, not only at what ended since the last."""
        self._done_ms = 0

    def _delete_until(self, cutoff_ms: int, *, after_ms: int, stamped: bool) -> tuple[int, bool]:
        """Delete batch after batch; how many workflows went, and whether all did."""
        services, rule = self._services, self._rule
        deleted, after = 0, after_ms
        while not self._stopping.is_set():
            began = time.monotonic()
            batch: Deleted = services.database.transact(
                partial(
                    delete_completed,
                    services.claimant.application,
                    after_ms=after,
                    cutoff_ms=cutoff_ms,
                    batch=rule.batch,
                    stamped=stamped,
                )
            )
            if batch.workflow_ids:
                deleted += len(batch.workflow_ids)
                services.telemetry.emit(WorkflowsDeleted(len(batch.workflow_ids)))
                forget_left_behind(batch.workflow_ids)
            if len(batch.workflow_ids) < rule.batch or batch.last_ms is None:
                return deleted, True
            after = batch.last_ms
            # Others write half of the time at least: on SQLite there is one writer, and disks are shared.
            self._stopping.wait(max(LEAST_REST_SECONDS, time.monotonic() - began))
            if not self._hold(self._lease):
                return deleted, False
        return deleted, False

    @property
    def _lease(self) -> float:
        """Longer than until the next turn: a process that lives goes on with what it knows."""
        return self._options.interval_seconds + 60.0
