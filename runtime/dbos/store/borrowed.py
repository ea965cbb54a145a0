"""Operations inside a transaction that belongs to the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from dbos.store.catalog import Catalog
from dbos.store.dialects.sqlite import bound, perform_statement, with_flags
from dbos.store.operation import Operation, Row, Statement, perform

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

T = TypeVar("T")
CallersTransaction: TypeAlias = "Connection | Session"

_DRIVERS = {"postgresql": ("psycopg", "psycopg_async"), "sqlite": ("pysqlite", "aiosqlite")}
"""The drivers that our statements are written for, by dialect."""


def perform_in(transaction: CallersTransaction, operation: Operation[T], catalog: Catalog, *, dialect: str) -> T:
    """Perform an operation on a connection or session of SQLAlchemy: it takes effect when the caller commits.

    Raises TypeError for anything else, as an asynchronous session is, and for one of another kind of database
    than `dialect`.
    """
    connection = _connection_of(transaction)
    found = connection.dialect
    if found.name != dialect or found.driver not in _DRIVERS[dialect]:
        wanted = "postgresql+psycopg" if dialect == "postgresql" else dialect
        raise TypeError(
            f"expected a transaction of the system database by {wanted}://, got one of {found.name}+{found.driver}://"
        )
    lite = dialect == "sqlite"
    if lite and not getattr(connection.connection.driver_connection, "in_transaction", True):
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins by itself before few kinds of statements

    def run(statement: Statement) -> list[Row]:
        parameters = bound(statement.parameters) if lite else dict(statement.parameters)
        result = connection.exec_driver_sql(catalog[statement.name], parameters)
        rows = [dict(row) for row in result.mappings()] if result.returns_rows else []
        return [with_flags(row) for row in rows] if lite else list(rows)

    return perform(operation, (lambda statement: perform_statement(statement, run)) if lite else run)


def _connection_of(transaction: Any) -> Connection:
    """The connection of a transaction. Raises TypeError for what has none that a thread can use."""
    if hasattr(transaction, "sync_session") or hasattr(transaction, "sync_connection"):
        raise TypeError(
            f"expected a Connection or a Session of SQLAlchemy, got {type(transaction).__name__}: "
            "make the call by its `await ….run_sync(lambda transaction: …)`"
        )
    connect = getattr(transaction, "connection", None)
    connection = connect() if callable(connect) else transaction
    if not callable(getattr(connection, "exec_driver_sql", None)):
        raise TypeError(f"expected a Connection or a Session of SQLAlchemy, got {transaction!r}")
    return connection  # type: ignore[no-any-return]
