"""What a system database offers, PostgreSQL or SQLite: the same to everybody above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dbos._error import DBOSInitializationError
from dbos.store.catalog import Catalog
from dbos.store.dialects.postgres import PoolSettings
from dbos.store.operation import Row, Statement

if TYPE_CHECKING:
    from sqlalchemy import Engine

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


@dataclass(frozen=True, slots=True)
class QueryBound:
    """How long a composed query may take; None: as long as it takes."""

    seconds: float | None
    preset: bool
    """Whether the connections of the engine know it already."""


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

    def execute_in_turn(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Perform statements one after the other, in one round trip where there are any."""
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

    schema: str | None
    """The schema that its tables are in; None where there are no schemas."""
    shared: bool
    """Whether other processes can open it."""
    bounds_queries: bool
    """Whether each connection of the engine has the time limit of queries from its beginning."""

    @property
    def engine(self) -> Engine:
        """An engine of SQLAlchemy on it, for what reads by composed queries; made when it is first asked for."""
        ...

    @property
    def source(self) -> Source:
        """Its connections."""
        ...

    def dispose(self) -> None:
        """Close every pooled connection."""
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


def unusable(where: str, error: Exception) -> DBOSInitializationError:
    """The error for a database that cannot be used; `where` holds no password."""
    return DBOSInitializationError(f"the system database {where} cannot be used: {told_by(error)}")


def told_by(error: Exception) -> str:
    """What a driver says is wrong, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
