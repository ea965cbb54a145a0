"""Arrays as the store writes them reach the server as they are, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbos.store.dialects.postgres import array_literal
from support.postgres import PostgresServer

ANY_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection to any database."""
    with psycopg.connect(postgres_server.url, autocommit=True) as opened:
        yield opened


@example(['"', "\\", '\\"', "NULL", "null", "", " ", "{", "}", ",", "a,b", "\n", "é", None])
@given(st.lists(st.none() | ANY_TEXT))
def test_texts(connection: psycopg.Connection, values: list[str | None]) -> None:
    row = connection.execute("SELECT CAST(%s AS text[])", [array_literal(values)]).fetchone()
    assert row == (values,)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_numbers(connection: psycopg.Connection, values: list[int | None]) -> None:
    row = connection.execute("SELECT CAST(%s AS bigint[])", [array_literal(values)]).fetchone()
    assert row == (values,)
