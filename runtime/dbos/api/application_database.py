"""The application's own database, in which @DBOS.transaction runs: opened at launch, or by the first transaction."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dbos.config.settings import Settings
from dbos.engine.forgetting import janitor

if TYPE_CHECKING:
    from dbos.store.user_database import SyncUserDatabase

SETTLE_SECONDS = 2.0
"""How long the removal of checkpoints may hold up the end of the process."""


class ApplicationDatabase:
    """The database that `application_database_url` names, else the system database's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: SyncUserDatabase | None = None

    def launch(self) -> None:
        """Open the database when the configuration names one. Raises DBOSInitializationError."""
        if self._settings.application_database_url is not None:
            self.open()

    def open(self) -> SyncUserDatabase:
        """The database, with its table of checkpoints. Raises DBOSInitializationError when it cannot be used."""
        with self._lock:
            if self._opened is None:
                from dbos.api.opened_database import open_database  # noqa: PLC0415 -- imports SQLAlchemy

                self._opened = open_database(self._settings)
            return self._opened

    @property
    def opened(self) -> SyncUserDatabase | None:
        """The database, once it was opened."""
        return self._opened

    def close(self) -> None:
        """Let the removal of checkpoints come to its end, and close every connection."""
        janitor.settle(SETTLE_SECONDS)
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.dispose()
