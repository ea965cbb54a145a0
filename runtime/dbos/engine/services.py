"""What every part of the engine shares: the identity of this process, and where it reads and writes."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from dbos.engine.waiting import Signals
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import Claimant
from dbos.store.writer import GroupCommitWriter
from dbos.telemetry import Telemetry


def new_uuid() -> str:
    """A fresh ID for a workflow, an owner or a row: version 7 where Python has it, as other SDKs do."""
    if sys.version_info >= (3, 14):
        return str(uuid.uuid7())
    return str(uuid.uuid4())


def epoch_ms() -> int:
    """The clock of this process in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Handed to every part of the engine by the composition root."""

    database: SystemDatabase
    writer: GroupCommitWriter
    claimant: Claimant
    application_id: str
    signals: Signals = field(default_factory=Signals)
    telemetry: Telemetry = field(default_factory=Telemetry)
    wake_queue: Callable[[str], None]
    """Called after an enqueue: this process and others look at the queue at once."""
    records_steps: bool = True
    """False for a client: its calls are no steps of the workflow that makes them."""
    serialization: str = "py_pickle"
    """The application's own format."""
