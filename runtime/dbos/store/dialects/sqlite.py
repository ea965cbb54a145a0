"""SQLite by the standard library: one file, one writer at a time, several processes.

Whoever changes something takes the write lock first (BEGIN IMMEDIATE), so that what was read in the same
transaction still holds; limits of queues are exact across processes. Files that we create keep a
write-ahead log, so that readers do not wait for the writer; files of others stay as they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbos.store.catalog import Catalog
from dbos.store.dialects.sqlite_scripts import LOOKED_AT_FIRST, SCRIPTS
from dbos.store.operation import Row, Statement, perform

if TYPE_CHECKING:  # only who opens a file needs SQLAlchemy
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

BUSY_SECONDS = 30.0
"""How long a statement waits for another process's transaction before it is tried again."""
CONTAINS_FUNCTION = "dbos_contains"
_TRUE_OR_FALSE = frozenset({
    "allowed", "automatic_backfill", "consumed", "created", "is_debounced", "owned", "partition_queue", "partitioned",
    "priority_enabled", "rate_limited", "replayed", "runnable", "was_forked_from", "written",
})  # fmt: skip
"""Columns that hold 0 and 1 here."""


def configure(driver: sqlite3.Connection) -> None:
    """Set what every connection needs."""
    driver.isolation_level = None
    driver.execute("PRAGMA foreign_keys = ON")
    driver.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")


class SqliteConnection:
    """A driver connection that knows the statements of a catalogue."""

    __slots__ = ("_catalog", "driver")

    def __init__(self, driver: sqlite3.Connection, catalog: Catalog) -> None:
        self.driver = driver
        self._catalog = catalog

    def execute(self, statement: Statement) -> list[Row]:
        """Perform one statement of the catalogue, all of it or nothing; its rows as dictionaries."""
        script = SCRIPTS.get(statement.name)
        if script is None:
            return self._run(statement)
        look, nothing = LOOKED_AT_FIRST.get(statement.name, ("", []))
        if look and not self.driver.in_transaction and not self._run(Statement(look, statement.parameters)):
            return nothing
        with self.transaction():
            return perform(script(statement.parameters), self._run)

    def execute_together(
        self, statements: Sequence[Statement], *, local: Mapping[str, str] | None = None
    ) -> list[list[Row]]:
        """Perform statements in one transaction: all of them or none. `local` are settings of the connection."""
        self.configure(local or {})
        with self.transaction():
            return [self.execute(statement) for statement in statements]

    def execute_in_turn(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Perform statements one after the other, each by itself: there are no round trips to save."""
        return [self.execute(statement) for statement in statements]

    def execute_isolated(self, statement: Statement) -> list[Row]:
        """Perform one statement while nobody else writes."""
        return self.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction with the write lock around what runs inside; an exception rolls it back."""
        if self.driver.in_transaction:
            yield
            return
        self.driver.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.driver.in_transaction:
                self.driver.execute("ROLLBACK")
            raise
        self.driver.execute("COMMIT")

    def configure(self, settings: Mapping[str, str]) -> None:
        """Take settings of a session; the one that means something here is how long to wait for a lock."""
        if "lock_timeout" in settings:
            self.driver.execute(f"PRAGMA busy_timeout = {int(settings['lock_timeout'].removesuffix('ms'))}")

    def data_version(self) -> int:
        """A number that changes when another connection commits."""
        return int(self.driver.execute("PRAGMA data_version").fetchone()[0])

    @property
    def closed(self) -> bool:
        """Whether the connection was closed; SQLite loses none by itself."""
        return False

    def close(self) -> None:
        """Close the driver's connection."""
        self.driver.close()

    def _run(self, statement: Statement) -> list[Row]:
        cursor = self.driver.execute(self._catalog[statement.name], bound(statement.parameters))
        if cursor.description is None:
            return []
        names = [column[0] for column in cursor.description]
        return [with_flags(dict(zip(names, values, strict=True))) for values in cursor.fetchall()]


def perform_statement(statement: Statement, run: Callable[[Statement], list[Row]]) -> list[Row]:
    """Perform one statement inside a transaction of somebody else, by what runs a single statement."""
    script = SCRIPTS.get(statement.name)
    return run(statement) if script is None else perform(script(statement.parameters), run)


def with_flags(row: dict[str, Any]) -> Row:
    """A row with True and False where SQLite has 1 and 0."""
    return row | {name: bool(row[name]) for name in row.keys() & _TRUE_OR_FALSE if row[name] is not None}


def bound(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as the driver takes them: a list becomes JSON."""
    return {
        name: json.dumps(list(value)) if isinstance(value, list | tuple | set | frozenset) else value
        for name, value in parameters.items()
    }


class SqliteSource:
    """Connections of one engine for one catalogue."""

    keeps_session = True

    def __init__(self, engine: Engine, catalog: Catalog) -> None:
        self._engine = engine
        self.catalog = catalog

    @contextmanager
    def connection(self) -> Iterator[SqliteConnection]:
        """A connection out of the pool, for the length of the block."""
        pooled = self._engine.raw_connection()
        driver = pooled.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        before = driver.isolation_level
        driver.isolation_level = None
        try:
            yield SqliteConnection(driver, self.catalog)
        finally:
            driver.isolation_level = before  # the pool of an application's own engine
            pooled.close()

    def dedicated(self) -> SqliteConnection:
        """A connection that leaves the pool for good; the caller closes it."""
        pooled = self._engine.raw_connection()
        driver = pooled.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        pooled.detach()
        driver.isolation_level = None
        return SqliteConnection(driver, self.catalog)

    def renew(self) -> None:
        """Nothing to do: no connection is lost."""

    def dispose(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


def is_busy(error: BaseException) -> bool:
    """Whether another connection held the lock for too long: trying again is right."""
    original = getattr(error, "orig", None) or error
    return isinstance(original, sqlite3.OperationalError) and ("locked" in str(original) or "busy" in str(original))


def database_file(url: URL) -> Path | None:
    """The file of a database; None for one in memory."""
    return None if url.database in {None, "", ":memory:"} else Path(str(url.database))
