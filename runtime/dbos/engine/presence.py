"""Says that this process lives, and goes on with the workflows of processes that do not.

every heartbeat: one statement notes it and lists suspects --> is one gone? --> its workflows go back to their queues

The thread is its own because it must not wait: not for a claim, not for the retries of an outage, not for a
workflow. Connections come from the pool, while the lock is held by the listener's: two witnesses of one life.
"""

from __future__ import annotations

import logging
import random
import threading
from functools import partial

from dbos.config.recovery import RecoveryOptions
from dbos.core.executors import Executor, ProcessToken, is_gone, is_predecessor, lock_key
from dbos.core.ids import INTERNAL_QUEUE
from dbos.engine.machine import has_ended, this_place
from dbos.engine.services import Services
from dbos.store.executors import Identity, Observation, forget, leave, note_heartbeat, take_over
from dbos.store.operation import DatabaseClosedError
from dbos.telemetry import WorkflowsRecovered

logger = logging.getLogger("dbos")

RETRY_SECONDS = 1.0
"""How soon a heartbeat that failed is tried again, if the next one is not due before."""
STOP_SECONDS = 2.0
"""How long a statement that hangs may hold up the end."""


class Presence:
    """The entry of one process among the executors of its application."""

    def __init__(self, services: Services, options: RecoveryOptions, *, locked: bool) -> None:
        """`locked`: a connection of this process holds its advisory lock."""
        self._services = services
        self._database = services.database
        self._seconds = options.heartbeat_seconds
        self.identity = _identity(services, options, locked=locked)
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="dbos-presence", daemon=True)

    def register(self) -> list[ProcessToken]:
        """Enter this process; the living ones of the same executor ID, whose workflows are not this one's to take."""
        observed = self._database.run(partial(note_heartbeat, self.identity, closely=True))
        return [
            other.process
            for other in observed.others
            if other.executor_id == self.identity.executor_id
            and not is_predecessor(other, ended=self._has_ended(other))
            and not is_gone(other, steady_ms=observed.steady_ms, ended=False)
        ]

    def start(self) -> None:
        """Begin to send heartbeats and to look after others."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and leave: what this process still runs is taken over at once. Idempotent."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)
        try:
            self._database.attempt(partial(leave, self.identity))
        except Exception as error:  # the process ends all the same
            logger.info("This executor could not sign off; others notice by themselves that it is gone", exc_info=error)

    def _run(self) -> None:
        delay = self._seconds
        while not self._stopping.wait(delay * random.uniform(0.9, 1.0)):  # noqa: S311 -- spreads heartbeats
            try:
                self._beat()
                self._failing, delay = False, self._seconds
            except DatabaseClosedError:
                return
            except Exception as error:  # the thread's boundary: silence is what others act upon
                delay = min(RETRY_SECONDS, self._seconds)
                if not self._failing:
                    logger.warning("The heartbeat of this executor could not be stored; trying again", exc_info=error)
                self._failing = True

    def _beat(self) -> None:
        observed = self._look()
        if observed.steady_ms == 0:
            logger.warning(
                "This executor was not heard for a while. Others may have taken over its workflows; "
                "an execution here that was taken over ends at its next step"
            )
        gone = [other for other in observed.others if other.gone_ms is None and self._is_gone(other, observed)]
        forgettable = [other for other in observed.others if (other.gone_for_ms or 0) >= other.lease_ms]
        if gone or forgettable:
            self._take_over([*gone, *forgettable])
        if forgettable:
            self._database.attempt(partial(forget, self.identity.system_schema, forgettable))

    def _look(self) -> Observation:
        observed = self._database.attempt(partial(note_heartbeat, self.identity, closely=False))
        if any(other.locked is None and other.gone_ms is None and self._has_ended(other) for other in observed.others):
            steady_ms = observed.steady_ms
            observed = self._database.attempt(partial(note_heartbeat, self.identity, closely=True))
            return Observation(steady_ms, observed.others)
        return observed

    def _is_gone(self, other: Executor, observed: Observation) -> bool:
        return is_gone(other, steady_ms=observed.steady_ms, ended=self._has_ended(other))

    def _has_ended(self, other: Executor) -> bool:
        here = self.identity.machine
        return here is not None and other.machine == here and has_ended(other.pid, other.process_started)

    def _take_over(self, gone: list[Executor]) -> None:
        services = self._services
        for taken in self._database.attempt(partial(take_over, self.identity.system_schema, gone)):
            if not taken.workflows:
                continue
            other = next(each for each in gone if each.process == taken.process)
            logger.warning(
                "Executor %s (process %d on %s) is gone; %d of its workflows are runnable again",
                other.executor_id,
                other.pid,
                other.host,
                len(taken.workflows),
            )
            services.telemetry.emit(WorkflowsRecovered(len(taken.workflows)))
            for queue in sorted({queue or INTERNAL_QUEUE for _, queue in taken.workflows}):
                services.wake_queue(queue)


def _identity(services: Services, options: RecoveryOptions, *, locked: bool) -> Identity:
    place, claimant = this_place(), services.claimant
    return Identity(
        system_schema=services.database.schema,
        process=services.process,
        application=claimant.application,
        executor_id=claimant.executor_id,
        version=claimant.version,
        host=place.host,
        pid=place.pid,
        machine=place.machine,
        process_started=place.started,
        lock_key=lock_key(services.process) if locked else None,
        grace_ms=int(options.grace_seconds * 1000),
        lease_ms=int(options.lease_seconds * 1000),
    )
