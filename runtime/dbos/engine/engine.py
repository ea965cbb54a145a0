"""The engine of one process: its parts, started and stopped in order."""

from __future__ import annotations

import logging
import time
from functools import partial

from dbos._error import DBOSInitializationError
from dbos.config.settings import Settings
from dbos.core.ids import INTERNAL_QUEUE
from dbos.core.limits import QueueLimits
from dbos.engine.duties import Duties
from dbos.engine.executor import Executor
from dbos.engine.kafka import KafkaConsumers
from dbos.engine.presence import Presence
from dbos.engine.queue_worker import POLL_SECONDS, QueueWorker
from dbos.engine.registry import Registry
from dbos.engine.retention import RETENTION_DUTY, Retention
from dbos.engine.scheduler import Scheduler
from dbos.engine.services import Services, epoch_ms
from dbos.engine.uuids import new_uuid
from dbos.engine.wakeups import make_listener
from dbos.store.depths import forget_refusals, record_refusals
from dbos.store.dequeue import recover_workflows
from dbos.store.queues import register_queue
from dbos.store.rows import ClaimedWorkflow
from dbos.store.versions import load_latest_version, register_version
from dbos.telemetry import WorkflowsRecovered

logger = logging.getLogger("dbos")

STALE_POLL_SECONDS = 15.0
STOP_SECONDS = 2.0
"""How long a claim that hangs may hold up the end."""
REFUSAL_SECONDS = 30.0
"""How much longer than its pause it is told that a process lacks a function: it may be handed it again, or is gone."""


class Engine:
    """Serves queues and runs workflows between start() and stop()."""

    def __init__(self, services: Services, registry: Registry, settings: Settings) -> None:
        """Nothing is read or started yet."""
        self.services = services
        self.registry = registry
        self.executor = Executor(services, registry, max_threads=settings.max_executor_threads)
        self.kafka = KafkaConsumers(services, registry)
        self.queues = QueueWorker(
            services,
            dispatch=self.executor.dispatch,
            backlog=lambda: self.executor.threads.backlog,
            listened=registry.listened,
            unstored=self.kafka.queues,
        )
        self.executor.on_end = self._ended
        self.executor.on_unknown = self._refused
        self._refuses = False
        """Whether others were told that a function is not here."""
        self.duties = Duties(services.database, services.claimant.application)
        self.retention = (
            None
            if settings.retention is None
            else Retention(
                services, settings.retention, hold=lambda seconds: self.duties.hold(RETENTION_DUTY, seconds=seconds)
            )
        )
        if self.retention is not None:
            self.queues.on_poll = self.retention.tick
        self.scheduler = Scheduler(services, registry.scheduled, poll_seconds=settings.scheduler_polling_seconds)
        self.queues.on_schedules = self.scheduler.compare
        self._presence = self._make_presence(settings)
        self._listener = (
            make_listener(
                services.database.source,
                services.database.schema,
                services.signals,
                on_queues=self.queues.wake,
                on_schedules=self.scheduler.refresh,
                on_change=self._on_change,
                lock_key=None if self._presence is None else self._presence.identity.lock_key,
            )
            if settings.database.use_listen_notify
            else None
        )
        self._draining = False

    def start(self) -> None:
        """Register this version and the declared queues, recover what a former process left, then serve.

        The recovery is over before the first claim, or it could take back what was just claimed. Raises
        DBOSInitializationError when another application owns the version or a queue, and for a Kafka consumer
        that cannot be.
        """
        self.kafka.open()
        services, database = self.services, self.services.database
        claimant = services.claimant
        version_id = new_uuid()
        database.run(lambda: register_version(claimant.version, claimant.application, version_id=version_id))
        self._declare_queues()
        services.writer.start()
        living = [] if self._presence is None else self._presence.register()
        recovered = database.run(lambda: recover_workflows(claimant, living))
        if recovered:
            logger.info("Recovered %d workflows of executor %s", len(recovered), claimant.executor_id)
            services.telemetry.emit(WorkflowsRecovered(len(recovered)))
        if self._listener is not None:
            self._listener.start()
        if self._presence is not None:
            self._presence.start()
        self.queues.start()
        self.scheduler.start()
        self.kafka.start()

    def _make_presence(self, settings: Settings) -> Presence | None:
        database, recovery = self.services.database, settings.recovery
        if not recovery.enabled or not database.has_runtime_tables or not database.shared:
            return None
        locked = settings.database.use_listen_notify and database.table_schema is not None
        return Presence(self.services, recovery, locked=locked)

    def declare_queue(self, name: str, limits: QueueLimits) -> None:
        """Write the row of a queue that was declared after the start, and serve it."""
        self._write_queue(name, limits, update=self._runs_latest())
        self.queues.refresh()

    def _runs_latest(self) -> bool:
        claimant = self.services.claimant
        return self.services.database.run(lambda: load_latest_version(claimant.application)) == claimant.version

    def _declare_queues(self) -> None:
        """Write the rows of declared queues; an older version than the latest changes none that is there."""
        latest = self._runs_latest()
        for name, limits in self.registry.queues.items():
            self._write_queue(name, limits, update=latest)

    def _write_queue(self, name: str, limits: QueueLimits, *, update: bool) -> None:
        application = self.services.claimant.application
        done = self.services.database.run(
            lambda: register_queue(name, limits, application, update=update, now_ms=epoch_ms())
        )
        if done.owner is not None:
            raise DBOSInitializationError(f"Queue {name!r} belongs to application {done.owner!r}; choose another name")

    def drained(self) -> bool:
        """Whether nothing runs here and nothing waits that this process may run.

        A delay that is not over is not work yet.
        """
        begun = self.executor.begun
        if self._busy() or self.queues.has_work():
            return False
        return not self._busy() and self.executor.begun == begun  # nothing came and went meanwhile

    def _busy(self) -> bool:
        return self.executor.active > 0 or self.queues.claiming

    def drain(self, seconds: float) -> bool:
        """Claim nothing more, hand back what has not begun, let the rest finish; whether it did in time."""
        self._draining = True
        until = time.monotonic() + seconds
        self.services.database.give_up_after(seconds)
        self.kafka.stop(within=STOP_SECONDS)
        self.scheduler.stop(within=STOP_SECONDS)
        self.queues.stop(within=max(seconds, STOP_SECONDS))
        self._give_up_duties()
        released = self.executor.hand_back()
        if released:
            logger.info("Handed back %d workflows that had not begun", len(released))
        return self.executor.drain(max(0.0, until - time.monotonic()))

    def stop(self) -> None:
        """Stop every part. What still runs is taken over by others, or by the next process with this executor's ID."""
        self._draining = True
        self.kafka.stop(within=STOP_SECONDS)
        self.scheduler.stop(within=STOP_SECONDS)
        self.queues.stop(within=STOP_SECONDS)
        self._give_up_duties()
        self.executor.hand_back()
        self.executor.close()
        self.services.writer.stop()
        if self._presence is not None:
            self._presence.stop()
        if self._listener is not None:
            self._listener.stop()
        self.services.watch.stop()
        self.services.database.close()
        self.services.signals.ring_all()  # who waits finds the database closed, and ends

    def _refused(self, key: str) -> None:
        """A function is not here: leave its workflows to other processes, and tell everybody."""
        pause = self.queues.skip(key)
        if not self.services.database.has_runtime_tables:
            return
        self._refuses = True
        try:
            self.services.database.run(
                partial(
                    record_refusals, [key], process=self.duties.holder, seconds=pause + REFUSAL_SECONDS, **self._place
                )
            )
        except Exception as error:  # noqa: BLE001 -- that it is told is worth less than that its workflows are put back
            logger.warning("That a function is missing here could not be told to others: %s", error)

    @property
    def _place(self) -> dict[str, str]:
        services = self.services
        return {"system_schema": services.database.schema, "application": services.claimant.application}

    def _give_up_duties(self) -> None:
        """Let another process have at once what this one did for the application."""
        if self.retention is not None:
            self.retention.stop(within=STOP_SECONDS)
        try:
            self.duties.drop()
            if self._refuses:
                self._refuses = False
                self.services.database.attempt(partial(forget_refusals, process=self.duties.holder, **self._place))
        except Exception as error:  # noqa: BLE001 -- the process ends all the same
            logger.info("Duties pass on to other processes only when their time ends: %s", error)

    @property
    def ready(self) -> bool:
        """Whether this process takes work: it is not draining, and the database answered its last polls."""
        return not self._draining and time.monotonic() - self.queues.last_poll < STALE_POLL_SECONDS + POLL_SECONDS

    def _on_change(self) -> None:
        """Something was written by somebody: where nothing is told, everybody looks."""
        self.queues.refresh()
        self.scheduler.refresh(within=POLL_SECONDS)

    def _ended(self, claimed: ClaimedWorkflow) -> None:
        queue = claimed.queue_name
        self.queues.ended(queue, claimed.partition_key)
        if queue != INTERNAL_QUEUE and self.queues.shares_limits(queue):
            self.services.writer.announce(queue=queue)
