"""Fresh IDs: UUIDs of version 7 (RFC 9562), which sort by when they were made."""

from __future__ import annotations

import secrets
import threading
import time
from uuid import UUID

_COUNTER_BITS = 12


class UuidMaker:
    """Makes UUIDs of which the later one is always the greater one, also as text. Thread-safe."""

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


_process = UuidMaker()


def new_uuid() -> str:
    """A fresh ID for a workflow, an owner or a row.

    Lists of what was stored in the same millisecond are in the order of these: as one process made them.
    """
    return str(_process.make())
