"""Plain SQL beside the runtime, on either database, in the words of PostgreSQL."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row

from dbos.store.dialects.sqlite_text import translate

Row = dict[str, Any]
Values = Sequence[Any] | Mapping[str, Any]


class Answer(Protocol):
    """The rows of a statement."""

    rowcount: int

    def fetchone(self) -> Row | None:
        """The next row."""
        ...

    def fetchall(self) -> list[Row]:
        """The other rows."""
        ...


class Bystander(Protocol):
    """A connection in autocommit."""

    def execute(self, query: str, params: Values = (), /) -> Answer:
        """Perform a statement; `%s` stands for values and `dbos.` before tables."""
        ...


class _SqliteBystander:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, params: Values = (), /) -> Answer:
        text = re.sub(r"\bdbos\.", "", translate(query))
        text = re.sub(r"%\((\w+)\)s", r":\1", text).replace("%s", "?")
        # Somebody who asks for JSON as text wants the text.
        as_text = "attributes::text" in query or "CAST(attributes AS text)" in query
        self._connection.row_factory = _row if as_text else _decoding_row
        return self._connection.execute(text, params)  # type: ignore[return-value]


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _decoding_row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    row = _row(cursor, values)
    if isinstance(row.get("attributes"), str):  # JSON to PostgreSQL
        row["attributes"] = json.loads(row["attributes"])
    return row


@contextmanager
def bystander(url: str) -> Iterator[Bystander]:
    """A connection to the database at a URL."""
    if not url.startswith("sqlite"):
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as postgres:
            yield postgres  # type: ignore[misc]
        return
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
    try:
        yield _SqliteBystander(connection)
    finally:
        connection.close()
