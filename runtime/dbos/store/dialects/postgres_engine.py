"""PostgreSQL through an engine of SQLAlchemy: one that an application brings, or that its options describe.

SQLAlchemy is the pool that connections come from; statements go to the driver directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import Engine, Select, create_engine, event, func, select, true
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeout
from sqlalchemy.pool import PoolProxiedConnection

from dbos._error import DBOSQueryTimeoutError
from dbos.store.backend import QueryBound
from dbos.store.catalog import Catalog
from dbos.store.dialects.postgres import (
    KEEPALIVES,
    PoolSettings,
    PoolTimeoutError,
    PostgresConnection,
    configure,
    is_connection_lost,
)
from dbos.store.dialects.postgres_urls import UNREADABLE, check_host
from dbos.store.operation import Row


def parse_url(text: str) -> URL:
    """The URL of a PostgreSQL database, for psycopg 3.

    Raises ValueError, without the password, for text that is no URL or names another database.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter tells what stands for a port
        raise ValueError(UNREADABLE) from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"expected a postgresql:// URL, got {url.drivername}://")
    if not url.database:
        raise ValueError(f"expected a database name at the end of {url.render_as_string(hide_password=True)}")
    url = url.set(drivername="postgresql+psycopg")
    try:
        check_host(url_arguments(url))
    except ArgumentError:
        raise ValueError(UNREADABLE) from None
    return url


def url_arguments(url: URL) -> dict[str, Any]:
    """What a URL says, as psycopg takes it."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    return dict(arguments)


def open_engine(url: URL, settings: PoolSettings) -> Engine:
    """A pool of connections in autocommit. Nothing is connected yet."""
    options: dict[str, Any] = {
        "pool_size": settings.size,
        "max_overflow": 0,
        "pool_timeout": 30,
        "pool_recycle": settings.recycle_seconds,
        "isolation_level": "AUTOCOMMIT",
        **settings.engine_options,
    }
    arguments = {
        "application_name": settings.application_name,
        "connect_timeout": settings.connect_timeout_seconds,
        **KEEPALIVES,
        **options.pop("connect_args", {}),
    }
    engine = create_engine(url, connect_args=arguments, **options)
    event.listen(engine, "connect", lambda driver, _record: configure(driver, settings))
    return engine


class EngineSource:
    """Connections of one engine for one catalogue."""

    def __init__(self, engine: Engine, catalog: Catalog, *, keeps_session: bool = True) -> None:
        """`keeps_session` is False behind a proxy that pools transactions."""
        self._engine = engine
        self.catalog = catalog
        self.keeps_session = keeps_session

    @contextmanager
    def connection(self) -> Iterator[PostgresConnection]:
        """A connection out of the pool, for the length of the block.

        A connection that broke meanwhile does not go back.
        """
        pooled = _checked_out(self._engine)
        driver = pooled.driver_connection
        assert isinstance(driver, psycopg.Connection)
        before = driver.autocommit
        try:
            if not before:
                driver.autocommit = True
            yield PostgresConnection(driver, self.catalog)
        except BaseException as error:
            if is_connection_lost(error):
                pooled.invalidate(error)
            raise
        finally:
            if not before and not driver.closed:
                driver.autocommit = False  # the pool of an application's own engine: its transactions must stay
            pooled.close()

    def dedicated(self) -> PostgresConnection:
        """A connection that leaves the pool for good; the caller closes its driver."""
        pooled = _checked_out(self._engine)
        driver = pooled.driver_connection
        assert isinstance(driver, psycopg.Connection)
        pooled.detach()
        driver.autocommit = True
        return PostgresConnection(driver, self.catalog)

    def renew(self) -> None:
        """Drop the idle connections: one was lost, and the others probably with it."""
        self._engine.dispose()

    def dispose(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


def _checked_out(engine: Engine) -> PoolProxiedConnection:
    """A connection out of the pool; what fails is told in the driver's words."""
    try:
        return engine.raw_connection()
    except SQLAlchemyTimeout as error:
        raise PoolTimeoutError(str(error)) from error
    except DBAPIError as error:
        raise (error.orig or error) from None


def read(engine: Engine, query: Select[Any], bound: QueryBound) -> list[Row]:
    """The rows of a composed query, which may take so long.

    Raises DBOSQueryTimeoutError when it takes longer; what else fails is told in the driver's words.
    """
    try:
        try:
            return _read(engine, query, bound)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return _read(engine, query, bound)  # it was lost while it was idle, and the pool dropped all that were
    except SQLAlchemyTimeout as error:
        raise PoolTimeoutError(str(error)) from error
    except DBAPIError as error:
        if bound.seconds and isinstance(error.orig, errors.QueryCanceled):
            raise DBOSQueryTimeoutError(bound.seconds) from error
        raise (error.orig or error) from None


def _read(engine: Engine, query: Select[Any], bound: QueryBound) -> list[Row]:
    with engine.connect() as connection:
        if bound.seconds and not bound.preset and engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="READ COMMITTED")  # it lasts as long as a transaction
            limit = f"{max(1, int(bound.seconds * 1000))}ms"
            connection.execute(select(func.set_config("statement_timeout", limit, true())))
        result = connection.execute(query)
        columns = list(result.keys())
        return [dict(zip(columns, row, strict=True)) for row in result.all()]
