"""A system database in PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from dbos._error import DBOSInitializationError
from dbos.store.backend import STATEMENTS, DatabaseSettings, told_by, unusable
from dbos.store.catalog import Catalog
from dbos.store.dialects.postgres import ConnectionSource, PoolTimeoutError
from dbos.store.dialects.postgres_pool import PoolSource, connection_arguments
from dbos.store.dialects.postgres_urls import shown_url
from dbos.store.migrations import administration
from dbos.store.migrations.requirements import NothingThereError
from dbos.store.migrations.runner import create_database_if_missing, ensure_schema, has_database, require_schema
from dbos.store.migrations.runtime_tables import ensure_runtime_schema

if TYPE_CHECKING:  # only composed queries and engines of the application need SQLAlchemy
    from sqlalchemy import Engine

_LISTING_SHARE = 4
"""One connection in so many is for composed queries, which come through an engine."""


class PostgresBackend:
    """A schema of a PostgreSQL database.

    Statements of the catalogue go over a pool of our own; over SQLAlchemy's where the application brings an
    engine or options for one.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        """Raises ValueError for a URL or an engine that is not PostgreSQL's by psycopg 3."""
        given, url, pool = settings.engine, settings.url or "", settings.pool
        if given is not None and given.dialect.driver != "psycopg":
            raise ValueError(f"expected an engine of postgresql+psycopg://, got {given.url.drivername}://")
        self._settings = settings
        self.shared = True
        self.bounds_queries = False
        self.schema: str | None = settings.schema
        self._arguments = None if given is not None else connection_arguments(url)
        self._where = given.url.render_as_string(hide_password=True) if given is not None else shown_url(url)
        self._lock = threading.Lock()
        self._engine = given
        self._engine_pool = pool
        catalog = Catalog.load(STATEMENTS, schema=settings.schema)
        if self._arguments is None or pool.engine_options or pool.size == 1:
            from dbos.store.dialects.postgres_engine import EngineSource  # noqa: PLC0415 -- see above

            self.source: ConnectionSource = EngineSource(self.engine, catalog, keeps_session=pool.prepared)
        else:
            listings = max(1, pool.size // _LISTING_SHARE)
            # Behind a proxy that pools transactions what a connection is told would reach others.
            self.bounds_queries = pool.prepared
            bound = settings.query_timeout_seconds if self.bounds_queries else None
            self._engine_pool = replace(pool, size=listings, statement_timeout_seconds=bound)
            self.source = PoolSource(self._arguments, replace(pool, size=max(1, pool.size - listings)), catalog)

    @property
    def engine(self) -> Engine:
        """As Backend."""
        with self._lock:
            if self._engine is None:
                from dbos.store.dialects.postgres_engine import open_engine, parse_url  # noqa: PLC0415 -- see above

                self._engine = open_engine(parse_url(self._settings.url or ""), self._engine_pool)
            return self._engine

    def dispose(self) -> None:
        """As Backend."""
        self.source.dispose()
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()

    def prepare(self) -> None:
        """As Backend."""
        settings = self._settings
        if self._arguments is not None and settings.create:
            create_database_if_missing(self._arguments)
        try:
            with self.source.connection() as connection:
                if settings.create:
                    ensure_schema(connection.driver, settings.schema, use_listen_notify=settings.use_listen_notify)
                else:
                    require_schema(connection.driver, settings.schema)
        except (psycopg.OperationalError, PoolTimeoutError) as error:
            if self._arguments is not None and not settings.create and not has_database(self._arguments):
                name = self._arguments["dbname"]
                raise NothingThereError(f"there is no database {name!r} on that server ({self._where})") from error
            raise unusable(self._where, error) from error

    def prepare_runtime_tables(self) -> str | None:
        """As Backend."""
        try:
            with self.source.connection() as connection:
                return ensure_runtime_schema(connection.driver, create=self._settings.create)
        except (psycopg.OperationalError, PoolTimeoutError) as error:
            raise unusable(self._where, error) from error

    def grant(self, role: str) -> None:
        """As Backend."""
        try:
            with self.source.connection() as connection:
                administration.grant(connection.driver, self._settings.schema, role)
        except (psycopg.Error, PoolTimeoutError) as error:
            raise DBOSInitializationError(f"the rights of {role!r} could not be granted: {told_by(error)}") from error

    def reset(self, *, truncate: bool) -> None:
        """As Backend."""
        if self._arguments is not None and self._settings.create:
            create_database_if_missing(self._arguments)
        act = administration.empty_schema if truncate else administration.remove_schema
        try:
            with self.source.connection() as connection:
                act(connection.driver, self._settings.schema)
        except (psycopg.Error, PoolTimeoutError) as error:
            raise DBOSInitializationError(f"the system database could not be reset: {told_by(error)}") from error
