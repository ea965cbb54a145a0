"""Checkpoints of workflows that ended are removed from the databases of the user, where there are any."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakSet

logger = logging.getLogger("dbos")


class HoldsCheckpoints(Protocol):
    """A database of the user in which transactions leave checkpoints."""

    def forget(self, workflow_id: str, first_step: int = 0) -> None:
        """Remove the checkpoints of a workflow from a step on. Blocks."""
        ...

    def find_checkpoints(self, workflow_ids: Sequence[str]) -> list[str]:
        """Those of the workflows that have left any. Blocks."""
        ...


known_databases: WeakSet[HoldsCheckpoints] = WeakSet()
"""Every database of the user that this process opened."""


class Janitor:
    """Removes checkpoints of workflows that ended, one after the other, on a thread of its own while there are any."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[HoldsCheckpoints, str]] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._works = False

    def forget(self, database: HoldsCheckpoints, workflow_id: str) -> None:
        """Remove a workflow's checkpoints soon; where that fails they stay, and do no harm."""
        with self._changed:
            self._waiting.append((database, workflow_id))
            if not self._works:
                self._works = True
                threading.Thread(target=self._work, name="dbos-checkpoints", daemon=True).start()

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is left to remove; whether that came about in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._works, timeout=seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._works = False
                    self._changed.notify_all()
                    return
                database, workflow_id = self._waiting.popleft()
            try:
                database.forget(workflow_id)
            except Exception as error:  # noqa: BLE001 -- the thread's boundary; a checkpoint that stays does no harm
                logger.info(
                    "The checkpoints of a workflow's transactions stay: %s", error, extra={"workflow_id": workflow_id}
                )
