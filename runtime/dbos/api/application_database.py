"""The application's own database, in which @DBOS.transaction runs: opened at launch, or by the first transaction."""

from __future__ import annotations

import threading

from sqlalchemy.exc import SQLAlchemyError

from dbos._error import DBOSInitializationError
from dbos.config.settings import Settings
from dbos.engine.transactions import janitor
from dbos.store.checkpoints import TRANSACTIONS
from dbos.store.migrations.runner import create_database_if_missing
from dbos.store.user_database import SyncUserDatabase, UserDatabaseSettings

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
                self._opened = self._prepared()
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

    def _prepared(self) -> SyncUserDatabase:
        options = self._settings.database
        url = self._settings.application_database_url
        shared = options.engine if url is None else None
        try:
            database = SyncUserDatabase(
                UserDatabaseSettings(
                    kind=TRANSACTIONS,
                    url=url or self._settings.system_database_url,
                    schema=options.schema,
                    engine=shared,
                    engine_options=options.engine_options,
                )
            )
        except ValueError as error:
            raise DBOSInitializationError(f"application_database_url: {error}") from error
        if url is not None and database.engine.dialect.driver == "psycopg":
            create_database_if_missing(database.engine.url)
        try:
            database.run(database.table.prepare)
        except SQLAlchemyError as error:
            where = database.engine.url.render_as_string(hide_password=True)
            told = " ".join(str(getattr(error, "orig", None) or error).split())
            database.dispose()
            raise DBOSInitializationError(f"the application database {where} cannot be used: {told}") from error
        return database
