"""Which database it is: PostgreSQL or SQLite. Opened here, the same to everybody above."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import psycopg
from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dbos._error import DBOSInitializationError
from dbos.store.catalog import Catalog
from dbos.store.dialects import postgres, sqlite
from dbos.store.dialects.postgres import PoolSettings
from dbos.store.dialects.sqlite_text import translate
from dbos.store.migrations import administration
from dbos.store.migrations.requirements import absent
from dbos.store.migrations.runner import create_database_if_missing, ensure_schema, require_schema
from dbos.store.migrations.runtime_tables import ensure_runtime_schema, ensure_runtime_tables
from dbos.store.migrations.sqlite_runner import ensure_file, require_file
from dbos.store.operation import Row, Statement

STATEMENTS = "dbos.store.sql"
SQLITE_STATEMENTS = "dbos.store.sql.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the system database is and how it is used."""

    url: str | None = None
    engine: Engine | None = None
    schema: str = "dbos"
    use_listen_notify: bool = True
    create: bool = True
    """Whether a missing database or schema is created; without, it is refused."""
    retry: bool = True
    """Whether a lost connection is tried again without limit."""
    query_timeout_seconds: float | None = None
    """How long a listing may take; None: as long as it takes."""
    polling_concurrency: int | None = None
    """How many of those who wait may look at the database at once; None: half as many as there are connections."""
    pool: PoolSettings = field(default_factory=PoolSettings)


class Connection(Protocol):
    """A connection that knows the statements of the catalogue."""

    def execute(self, statement: Statement) -> list[Row]:
        """Perform one statement; its rows as dictionaries (empty when it returns none)."""
        ...

    def execute_together(
        self, statements: Sequence[Statement], *, local: Mapping[str, str] | None = None
    ) -> list[list[Row]]:
        """Perform statements in one transaction; `local` are settings for its length."""
        ...

    def execute_isolated(self, statement: Statement) -> list[Row]:
        """Perform one statement so that what it counts is still so when it writes."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction around what runs inside; an exception rolls it back."""
        ...

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set what holds until the connection is closed."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the connection is of no use any more."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Source(Protocol):
    """Connections of one database."""

    @property
    def keeps_session(self) -> bool:
        """Whether what is set on a connection stays there."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The statements."""
        ...

    def connection(self) -> AbstractContextManager[Connection]:
        """A connection out of the pool, for the length of the block."""
        ...

    def dedicated(self) -> Connection:
        """A connection that leaves the pool for good; the caller closes it."""
        ...

    def renew(self) -> None:
        """Drop idle connections: one was lost."""
        ...

    def dispose(self) -> None:
        """Close every pooled connection."""
        ...


class Backend(Protocol):
    """An opened system database. Nothing is connected yet."""

    engine: Engine
    schema: str | None
    """The schema that its tables are in; None where there are no schemas."""
    shared: bool
    """Whether other processes can open it."""

    @property
    def source(self) -> Source:
        """Its connections."""
        ...

    def prepare(self) -> None:
        """Create what is missing and verify the rest. Raises DBOSInitializationError."""
        ...

    def prepare_runtime_tables(self) -> str | None:
        """Create the runtime's own tables when absent; why they cannot be used, None when they can."""
        ...

    def grant(self, role: str) -> None:
        """Let a role use the tables. Raises DBOSInitializationError when it cannot be."""
        ...

    def reset(self, *, truncate: bool) -> None:
        """Drop the tables, or with `truncate` their rows only. Raises DBOSInitializationError."""
        ...


class PostgresBackend:
    """A schema of a PostgreSQL database."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Raises ValueError for a URL or an engine that is not PostgreSQL's by psycopg 3."""
        given = settings.engine
        if given is not None and given.dialect.driver != "psycopg":
            raise ValueError(f"expected an engine of postgresql+psycopg://, got {given.url.drivername}://")
        self._settings = settings
        self.shared = True
        self.schema: str | None = settings.schema
        self.engine = given or postgres.open_engine(postgres.parse_url(settings.url or ""), settings.pool)
        catalog = Catalog.load(STATEMENTS, schema=settings.schema)
        self.source = postgres.ConnectionSource(self.engine, catalog, keeps_session=settings.pool.prepared)

    def prepare(self) -> None:
        """As Backend."""
        settings = self._settings
        if settings.engine is None and settings.create:
            create_database_if_missing(self.engine.url)
        try:
            with self.source.connection() as connection:
                if settings.create:
                    ensure_schema(connection.driver, settings.schema, use_listen_notify=settings.use_listen_notify)
                else:
                    require_schema(connection.driver, settings.schema)
        except (psycopg.OperationalError, SQLAlchemyError) as error:
            raise _unusable(self.engine, error) from error

    def prepare_runtime_tables(self) -> str | None:
        """As Backend."""
        try:
            with self.source.connection() as connection:
                return ensure_runtime_schema(connection.driver, create=self._settings.create)
        except (psycopg.OperationalError, SQLAlchemyError) as error:
            raise _unusable(self.engine, error) from error

    def grant(self, role: str) -> None:
        """As Backend."""
        try:
            with self.source.connection() as connection:
                administration.grant(connection.driver, self._settings.schema, role)
        except (psycopg.Error, SQLAlchemyError) as error:
            raise DBOSInitializationError(f"the rights of {role!r} could not be granted: {told_by(error)}") from error

    def reset(self, *, truncate: bool) -> None:
        """As Backend."""
        if self._settings.engine is None and self._settings.create:
            create_database_if_missing(self.engine.url)
        act = administration.empty_schema if truncate else administration.remove_schema
        try:
            with self.source.connection() as connection:
                act(connection.driver, self._settings.schema)
        except (psycopg.Error, SQLAlchemyError) as error:
            raise DBOSInitializationError(f"the system database could not be reset: {told_by(error)}") from error


class SqliteBackend:
    """A file of SQLite."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Raises ValueError for an engine that is not the standard library's."""
        given = settings.engine
        if given is not None and given.dialect.driver != "pysqlite":
            raise ValueError(f"expected an engine of sqlite://, got {given.url.drivername}://")
        self._create = settings.create
        self.schema: str | None = None
        self.engine = given or sqlite.open_engine(
            make_url(settings.url or ""), size=settings.pool.size, options=settings.pool.engine_options
        )
        self.shared = sqlite.database_file(self.engine.url) is not None
        sqlite.add_functions(self.engine)
        catalog = Catalog.load(STATEMENTS, schema="", overrides=[SQLITE_STATEMENTS], translate=translate)
        self.source = sqlite.SqliteSource(self.engine, catalog)

    def prepare(self) -> None:
        """As Backend."""
        file = sqlite.database_file(self.engine.url)
        place = str(file or "the database in memory")
        try:
            if file is not None and self._create:
                file.parent.mkdir(parents=True, exist_ok=True)
            if file is not None and not self._create and not file.exists():
                raise DBOSInitializationError(absent(f"{place} does not exist"))
            with self.source.connection() as connection:
                ensure = ensure_file if self._create else require_file
                ensure(connection.driver, place)
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            raise _unusable(self.engine, error) from error

    def prepare_runtime_tables(self) -> str | None:
        """As Backend."""
        try:
            with self.source.connection() as connection:
                return ensure_runtime_tables(connection.driver, create=self._create)
        except (sqlite3.Error, SQLAlchemyError) as error:
            raise _unusable(self.engine, error) from error

    def grant(self, role: str) -> None:
        """As Backend: SQLite knows no roles."""
        raise DBOSInitializationError(f"the rights of {role!r} could not be granted: SQLite has no roles")

    def reset(self, *, truncate: bool) -> None:
        """As Backend."""
        file = sqlite.database_file(self.engine.url)
        if file is None or not file.exists():
            return
        act = administration.empty_file if truncate else administration.remove_tables
        try:
            with self.source.connection() as connection:
                act(connection.driver)
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            raise DBOSInitializationError(f"the system database could not be reset: {told_by(error)}") from error


def open_backend(settings: DatabaseSettings) -> PostgresBackend | SqliteBackend:
    """The database that the settings name.

    Raises ValueError, without the password, for what is neither PostgreSQL nor SQLite.
    """
    url = settings.engine.url if settings.engine is not None else read_url(settings.url or "")
    return SqliteBackend(settings) if url.get_backend_name() == "sqlite" else PostgresBackend(settings)


def read_url(text: str) -> URL:
    """A text as a URL. Raises ValueError, without a password, for text that is none."""
    try:
        return make_url(text)
    except ArgumentError:
        raise ValueError(
            "expected a database URL such as postgresql://user:password@host:5432/name or sqlite:///file.sqlite"
        ) from None


def _unusable(engine: Engine, error: Exception) -> DBOSInitializationError:
    where = engine.url.render_as_string(hide_password=True)
    return DBOSInitializationError(f"the system database {where} cannot be used: {told_by(error)}")


def told_by(error: Exception) -> str:
    """What a driver says is wrong, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
