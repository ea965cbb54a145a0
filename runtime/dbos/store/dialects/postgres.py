"""PostgreSQL by psycopg 3: connections in autocommit, prepared statements, one round trip a statement.

SQLAlchemy is the pool that connections come from; statements go to the driver directly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine, create_engine, event, func, select, true
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dbos._error import DBOSQueryTimeoutError
from dbos.store.catalog import Catalog
from dbos.store.operation import Row, Statement

Driver: TypeAlias = "psycopg.Connection[Any]"
DriverCursor: TypeAlias = "psycopg.Cursor[dict[str, Any]]"


KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that vanishes without a word is noticed within half a minute, not after the quarter of an hour of TCP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many connections, and how each introduces and limits itself."""

    size: int = 20
    application_name: str = "dbos_transact"
    connect_timeout_seconds: int = 10
    idle_transaction_timeout_seconds: float = 60
    statement_timeout_seconds: float | None = None
    recycle_seconds: float = -1
    """Age at which a connection is replaced at its next checkout; -1 keeps it."""
    prepared: bool = True
    """False behind a proxy that pools transactions."""
    engine_options: Mapping[str, Any] = field(default_factory=dict)


def parse_url(text: str) -> URL:
    """The URL of a PostgreSQL database, for psycopg 3.

    Raises ValueError, without the password, for text that is no URL or names another database.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("expected a database URL such as postgresql://user:password@host:5432/name") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"expected a postgresql:// URL, got {url.drivername}://")
    if not url.database:
        raise ValueError(f"expected a database name at the end of {url.render_as_string(hide_password=True)}")
    return url.set(drivername="postgresql+psycopg")


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


def configure(driver: Driver, settings: PoolSettings) -> None:
    """Set what every new connection needs, once.

    Behind a proxy that pools transactions a session is not ours: what is set there would reach others.
    """
    driver.autocommit = True
    driver.prepare_threshold = 1 if settings.prepared else None
    timeouts = {}
    if settings.prepared:
        timeouts["idle_in_transaction_session_timeout"] = settings.idle_transaction_timeout_seconds
    if settings.statement_timeout_seconds is not None:
        timeouts["statement_timeout"] = settings.statement_timeout_seconds
    for name, seconds in timeouts.items():
        if seconds > 0:
            driver.execute("SELECT set_config(%s, %s, false)", (name, f"{int(seconds * 1000)}ms"))
    # The planner prices counts with a LIMIT as if there were none: on a long backlog it would compile for
    # a second what then runs for a millisecond.
    if settings.prepared:
        driver.execute("SELECT set_config('jit', 'off', false)")


class PostgresConnection:
    """A driver connection that knows the statements of a catalogue."""

    __slots__ = ("_catalog", "driver")

    def __init__(self, driver: Driver, catalog: Catalog) -> None:
        self.driver = driver
        self._catalog = catalog

    def execute(self, statement: Statement) -> list[Row]:
        """Perform one statement; its rows as dictionaries (empty when it returns none)."""
        return self.rows(self.queue(statement))

    def queue(self, statement: Statement) -> DriverCursor:
        """Send a statement; inside a pipeline its rows are there once the pipeline ends."""
        cursor = self.driver.cursor(row_factory=dict_row)
        cursor.execute(self._catalog.query(statement.name), statement.parameters)
        return cursor

    def rows(self, cursor: DriverCursor) -> list[Row]:
        """The rows that a sent statement returned."""
        result = cursor.pgresult  # `description` would make an object for each column first
        return list(cursor.fetchall()) if result is not None and result.nfields else []

    def execute_together(
        self, statements: Sequence[Statement], *, local: Mapping[str, str] | None = None
    ) -> list[list[Row]]:
        """Perform statements in one round trip and one transaction: all of them or none.

        `local` are settings for the length of the transaction.
        """
        with self._pipelined("BEGIN"):
            for name, value in (local or {}).items():
                self.driver.execute("SELECT set_config(%s, %s, true)", (name, value))
            cursors = [self.queue(statement) for statement in statements]
        return [self.rows(cursor) for cursor in cursors]

    def execute_isolated(self, statement: Statement) -> list[Row]:
        """Perform one statement in a REPEATABLE READ transaction of its own, in one round trip."""
        with self._pipelined("BEGIN ISOLATION LEVEL REPEATABLE READ"):
            cursor = self.queue(statement)
        return self.rows(cursor)

    @contextmanager
    def _pipelined(self, begin: LiteralString) -> Iterator[None]:
        """A transaction around what is sent inside, which goes out in one round trip with its begin and its end.

        The driver's own transactions wait for the answers to their BEGIN and COMMIT.
        """
        try:
            with self.driver.pipeline():
                self.driver.execute(begin)
                yield
                self.driver.execute("COMMIT")
        finally:
            if not self.driver.closed:
                self.driver.rollback()  # does nothing after the COMMIT

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set what holds until the connection is closed."""
        for name, value in settings.items():
            self.driver.execute("SELECT set_config(%s, %s, false)", (name, value))

    @property
    def closed(self) -> bool:
        """Whether the connection is of no use any more."""
        return bool(self.driver.closed)

    def close(self) -> None:
        """Close the driver's connection."""
        self.driver.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction around what runs inside; an exception rolls it back."""
        with self.driver.transaction():
            yield


class ConnectionSource:
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
        pooled = self._engine.raw_connection()
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
        pooled = self._engine.raw_connection()
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


@contextmanager
def bounded_query(engine: Engine, seconds: float | None) -> Iterator[Connection]:
    """A connection for reading whose statements may take that long.

    Raises DBOSQueryTimeoutError for one that takes longer.
    """
    with engine.connect() as connection:
        if not seconds or engine.dialect.name != "postgresql":
            yield connection
            return
        connection.execution_options(isolation_level="READ COMMITTED")  # the setting lasts as long as a transaction
        limit = f"{max(1, int(seconds * 1000))}ms"
        connection.execute(select(func.set_config("statement_timeout", limit, true())))
        try:
            yield connection
        except DBAPIError as error:
            if isinstance(error.orig, errors.QueryCanceled):
                raise DBOSQueryTimeoutError(seconds) from error
            raise


_LOST_CLASSES = ("08", "53", "57")


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, failed: trying again on another one is right."""
    if isinstance(error, PoolTimeout):
        return True
    original = getattr(error, "orig", None) or error
    if not isinstance(original, psycopg.Error) or isinstance(
        original, psycopg.errors.PipelineAborted | errors.QueryCanceled
    ):
        return False
    state = original.sqlstate
    if state is None:
        return isinstance(original, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_LOST_CLASSES) or state == "25P03"


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way: serialization failure, deadlock, lock not available."""
    return isinstance(error, errors.SerializationFailure | errors.DeadlockDetected | errors.LockNotAvailable)
