"""PostgreSQL by psycopg 3: connections in autocommit, prepared statements, one round trip a statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, Protocol, TypeAlias

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

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
    chosen = {name: f"{int(seconds * 1000)}ms" for name, seconds in timeouts.items() if seconds > 0}
    # The planner prices counts with a LIMIT as if there were none: on a long backlog it would compile for
    # a second what then runs for a millisecond.
    if settings.prepared:
        chosen["jit"] = "off"
    if chosen:  # in one round trip: the first statement waits for it
        driver.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS chosen(name, value)",
            (list(chosen), list(chosen.values())),
        )


def _bound(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array_literal(value) if type(value) is list else value for name, value in parameters.items()}


def array_literal(values: Sequence[str | int | None]) -> str:
    """An array as PostgreSQL reads it (its manual, "Array Value Input"); the statement says of what.

    The driver looks at each character of each element, which takes longer than the server takes for its row.
    """
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: str | int | None) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "NULL" if value is None else str(value)


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
        cursor.execute(self._catalog.query(statement.name), _bound(statement.parameters))
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

    def execute_in_turn(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Perform statements one after the other in one round trip; one that fails undoes those before it."""
        with self.driver.pipeline():
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


class ConnectionSource(Protocol):
    """Connections of one database for one catalogue, whoever pools them."""

    @property
    def keeps_session(self) -> bool:
        """Whether what is set on a connection stays there: not behind a proxy that pools transactions."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The statements."""
        ...

    def connection(self) -> AbstractContextManager[PostgresConnection]:
        """A connection out of the pool, for the length of the block; one that broke meanwhile does not go back."""
        ...

    def dedicated(self) -> PostgresConnection:
        """A connection that is in no pool; the caller closes it."""
        ...

    def renew(self) -> None:
        """Drop the idle connections: one was lost, and the others probably with it."""
        ...

    def dispose(self) -> None:
        """Close every pooled connection."""
        ...


_LOST_CLASSES = ("08", "53", "57")


class PoolTimeoutError(Exception):
    """Every connection was in use for too long."""


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, failed: trying again on another one is right."""
    if isinstance(error, PoolTimeoutError):
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
