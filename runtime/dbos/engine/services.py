"""What every part of the engine shares: the identity of this process, and where it reads and writes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from dbos.core.executors import ProcessToken, owner_token, process_token
from dbos.core.ids import OwnerToken
from dbos.engine.clock import clock
from dbos.engine.tracing import Tracing
from dbos.engine.waiting import Signals, Topic
from dbos.engine.watch import OwnershipWatch
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import Claimant
from dbos.store.writer import GroupCommitWriter
from dbos.telemetry import Telemetry


def epoch_ms() -> int:
    """The clock of this process in epoch milliseconds."""
    return clock().milliseconds()


def new_process() -> ProcessToken:
    """The token of this process, which the owner tokens of all that it runs begin with."""
    return process_token(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Rechecks:
    """How often a waiter looks by itself."""

    announced_seconds: float = 1.0
    """For what is announced, if anybody listens: then a look is but the net below."""
    polling_seconds: float = 1.0
    """For what may come without being announced."""
    kafka_seconds: float = 1.0
    """For queues of Kafka consumers that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Handed to every part of the engine by the composition root."""

    database: SystemDatabase
    writer: GroupCommitWriter
    claimant: Claimant
    application_id: str
    process: ProcessToken = field(default_factory=new_process)
    """Which process this is; executor IDs may be shared."""
    signals: Signals
    watch: OwnershipWatch
    rechecks: Rechecks = field(default_factory=Rechecks)
    telemetry: Telemetry = field(default_factory=Telemetry)
    tracing: Tracing | None = None
    """Records spans; None: nobody does."""
    wake_queue: Callable[[str], None]
    """Called after an enqueue: this process and others look at the queue at once."""
    schedules_changed: Callable[[], None] = lambda: None
    """Called after a change of schedules: this process and others read them again."""
    records_steps: bool = True
    """False for a client: its calls are no steps of the workflow that makes them."""
    serialization: str = "py_pickle"
    """The application's own format."""

    def new_owner(self) -> OwnerToken:
        """A fresh token for what this process begins to run."""
        return owner_token(self.process, uuid.uuid4())

    def recheck_seconds(self, topic: Topic) -> float:
        """How often who waits for this looks, news or not."""
        return self.rechecks.announced_seconds if topic.announced else self.rechecks.polling_seconds

    def tell(self, topic: Topic) -> None:
        """Wake whoever waits for this, here and in other processes; after the commit."""
        self.signals.ring(topic.key)
        self.writer.announce(topic=(topic.channel, topic.payload))
