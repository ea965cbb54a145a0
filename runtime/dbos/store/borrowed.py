"""Operations inside a transaction that belongs to the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from dbos.store.catalog import Catalog
from dbos.store.dialects.sqlite import bound, perform_statement, with_flags
from dbos.store.operation import Operation, Row, Statement, perform

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

T = TypeVar("T")
CallersTransaction: TypeAlias = "Connection | Session"


def perform_in(transaction: CallersTransaction, operation: Operation[T], catalog: Catalog) -> T:
    """Perform an operation on a connection or session of SQLAlchemy: it takes effect when the caller commits.

    Raises TypeError for anything else, as an asynchronous session is.
    """
    connect = getattr(transaction, "connection", None)
    connection = connect() if callable(connect) else transaction
    execute = getattr(connection, "exec_driver_sql", None)
    if not callable(execute) or getattr(connection, "sync_connection", None) is not None:
        raise TypeError(f"expected a Connection or a Session of SQLAlchemy, got {transaction!r}")

    lite = getattr(getattr(connection, "dialect", None), "name", "") == "sqlite"

    def run(statement: Statement) -> list[Row]:
        parameters = bound(statement.parameters) if lite else dict(statement.parameters)
        result = execute(catalog[statement.name], parameters)
        rows = [dict(row) for row in result.mappings()] if result.returns_rows else []
        return [with_flags(row) for row in rows] if lite else list(rows)

    return perform(operation, (lambda statement: perform_statement(statement, run)) if lite else run)
