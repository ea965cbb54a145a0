"""Fresh IDs: UUIDs, of which those of workflows sort by when they were made."""

from __future__ import annotations

import secrets
import threading
import time
from uuid import UUID, uuid4

from dbos.core.ids import WorkflowId

_COUNTER_BITS = 12


class OrderedUuids:
    """Makes UUIDs of version 7 (RFC 9562); the later one is always the greater one, also as text. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        """Milliseconds since the epoch and a counter, which may run over into them."""

    def make(self) -> UUID:
        """A UUID that nobody else has, of this moment; of a little later while the clock stands or goes back."""
        moment = time.time_ns() // 1_000_000 << _COUNTER_BITS | secrets.randbits(_COUNTER_BITS - 1)
        with self._lock:
            self._last = moment = max(moment, self._last + 1)
        milliseconds, counter = divmod(moment, 1 << _COUNTER_BITS)
        return UUID(int=milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | secrets.randbits(62))


_workflows = OrderedUuids()


def new_workflow_id() -> WorkflowId:
    """A fresh ID for a workflow.

    Lists of what was stored in the same millisecond are in the order of their IDs: as one process made them.
    """
    return WorkflowId(str(_workflows.make()))


def new_uuid() -> str:
    """A fresh ID for a start, a message or a row, which says nothing: version 4, as other SDKs give them."""
    return str(uuid4())
