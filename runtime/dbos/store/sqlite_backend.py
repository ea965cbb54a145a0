"""A system database in a file of SQLite."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import SQLAlchemyError

from dbos._error import DBOSInitializationError
from dbos.store.backend import SQLITE_STATEMENTS, STATEMENTS, DatabaseSettings, told_by, unusable
from dbos.store.catalog import Catalog
from dbos.store.dialects.sqlite import SqliteSource, database_file
from dbos.store.dialects.sqlite_engine import add_functions, open_engine
from dbos.store.dialects.sqlite_text import translate
from dbos.store.migrations import administration
from dbos.store.migrations.requirements import NothingThereError
from dbos.store.migrations.runtime_tables import ensure_runtime_tables
from dbos.store.migrations.sqlite_runner import ensure_file, require_file
from dbos.store.urls import read_url


class SqliteBackend:
    """A file of SQLite."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Raises ValueError for an engine that is not the standard library's."""
        given = settings.engine
        if given is not None and given.dialect.driver != "pysqlite":
            raise ValueError(f"expected an engine of sqlite://, got {given.url.drivername}://")
        self._create = settings.create
        self.schema: str | None = None
        self.engine = given or open_engine(
            read_url(settings.url or ""), size=settings.pool.size, options=settings.pool.engine_options
        )
        self.bounds_queries = False
        self.shared = database_file(self.engine.url) is not None
        add_functions(self.engine)
        catalog = Catalog.load(STATEMENTS, schema="", overrides=[SQLITE_STATEMENTS], translate=translate)
        self.source = SqliteSource(self.engine, catalog)
        self._where = self.engine.url.render_as_string(hide_password=True)

    def dispose(self) -> None:
        """As Backend."""
        self.source.dispose()

    def prepare(self) -> None:
        """As Backend."""
        file = database_file(self.engine.url)
        place = str(file or "the database in memory")
        try:
            if file is not None and self._create:
                file.parent.mkdir(parents=True, exist_ok=True)
            if file is not None and not self._create and not file.exists():
                raise NothingThereError(f"{place} does not exist")
            with self.source.connection() as connection:
                ensure = ensure_file if self._create else require_file
                ensure(connection.driver, place)
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            raise unusable(self._where, error) from error

    def prepare_runtime_tables(self) -> str | None:
        """As Backend."""
        try:
            with self.source.connection() as connection:
                return ensure_runtime_tables(connection.driver, create=self._create)
        except (sqlite3.Error, SQLAlchemyError) as error:
            raise unusable(self._where, error) from error

    def grant(self, role: str) -> None:
        """As Backend: SQLite knows no roles."""
        raise DBOSInitializationError(f"the rights of {role!r} could not be granted: SQLite has no roles")

    def reset(self, *, truncate: bool) -> None:
        """As Backend."""
        file = database_file(self.engine.url)
        if file is None or not file.exists():
            return
        act = administration.empty_file if truncate else administration.remove_tables
        try:
            with self.source.connection() as connection:
                act(connection.driver)
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            raise DBOSInitializationError(f"the system database could not be reset: {told_by(error)}") from error
