"""News of other processes on SQLite: the file has changed, so everybody looks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from dbos.engine.waiting import Signals
from dbos.store.dialects.sqlite import SqliteSource

logger = logging.getLogger("dbos")

LOOK_SECONDS = 0.05
RETRY_SECONDS = 1.0


class FileWatch:
    """Asks SQLite twenty times a second whether another connection committed; that costs no disk access."""

    def __init__(
        self,
        source: SqliteSource,
        signals: Signals,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`signals` are rung and `on_change` is called whenever the file changed."""
        self._source = source
        self._signals = signals
        self._on_change = on_change
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dbos-file-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more, and close the connection."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(RETRY_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except Exception as error:  # the thread's boundary: polling serves until this works again
                logger.warning("Watching the database file failed; polling goes on meanwhile", exc_info=error)
                self._stopping.wait(RETRY_SECONDS)

    def _watch(self) -> None:
        connection = self._source.dedicated()
        try:
            seen = connection.data_version()
            while not self._stopping.wait(LOOK_SECONDS):
                version = connection.data_version()
                if version != seen:
                    seen = version
                    self._on_change()
                    self._signals.ring_all()
        finally:
            connection.close()
