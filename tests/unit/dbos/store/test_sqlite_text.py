"""PostgreSQL's words as SQLite's."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from dbos.store.backend import SQLITE_STATEMENTS, STATEMENTS
from dbos.store.catalog import Catalog
from dbos.store.dialects.sqlite_scripts import LOOKED_AT_FIRST, SCRIPTS
from dbos.store.dialects.sqlite_text import CLOCK, translate
from dbos.store.migrations.runtime_tables import ensure_runtime_tables
from dbos.store.migrations.sqlite_runner import ensure_file


@pytest.mark.parametrize(
    ("postgresql", "sqlite"),
    [
        ("SELECT 1 FROM {schema}.queues", "SELECT 1 FROM queues"),
        ("SET a = (EXTRACT(epoch FROM now()) * 1000)::bigint", f"SET a = {CLOCK}"),
        ("SELECT a FROM t ORDER BY a FOR NO KEY UPDATE", "SELECT a FROM t ORDER BY a"),
        ("SELECT a FROM t FOR UPDATE OF t SKIP LOCKED", "SELECT a FROM t"),
        ("SELECT a FROM t FOR KEY SHARE", "SELECT a FROM t"),
        ("WHERE a = ANY(:ids)", "WHERE a IN (SELECT value FROM json_each(:ids))"),
        ("WHERE a = ANY(CAST(:ids AS text[]))", "WHERE a IN (SELECT value FROM json_each(:ids))"),
        ("WHERE a IS NOT DISTINCT FROM :b", "WHERE a IS :b"),
        ("WHERE a IS DISTINCT FROM :b", "WHERE a IS NOT :b"),
        ("COALESCE(a, 'null'::jsonb)", "COALESCE(a, 'null')"),
        ("CAST(:a AS jsonb)", ":a"),
        ("CAST(:a AS text) IS NULL", "CAST(:a AS text) IS NULL"),
    ],
)
def test_what_is_only_spelt_otherwise_is_respelt(postgresql: str, sqlite: str) -> None:
    assert translate(postgresql) == sqlite


def test_a_list_of_records_is_read_from_json() -> None:
    text = translate("SELECT r.name, r.size FROM json_to_recordset(:rows) AS r(name text, size int) ORDER BY size")
    rows = [{"name": "b", "size": 2}, {"name": "a", "size": 1}, {"size": 3}]
    found = sqlite3.connect(":memory:").execute(text, {"rows": json.dumps(rows)}).fetchall()
    assert found == [("a", 1), ("b", 2), (None, 3)]


def test_the_clock_counts_milliseconds() -> None:
    connection = sqlite3.connect(":memory:")
    [ours, seconds] = connection.execute(f"SELECT {CLOCK}, strftime('%s', 'now')").fetchone()
    assert isinstance(ours, int)
    assert abs(ours / 1000 - int(seconds)) <= 1


@pytest.fixture
def driver() -> sqlite3.Connection:
    """An empty system database."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    ensure_file(connection, "the database")
    ensure_runtime_tables(connection)
    return connection


def _catalog() -> Catalog:
    return Catalog.load(STATEMENTS, schema="", overrides=[SQLITE_STATEMENTS], translate=translate)


def _fragments() -> set[str]:
    """Statements that are only parts of others: SQLite is never asked for them alone."""
    read = Catalog.load(STATEMENTS, schema="", overrides=[SQLITE_STATEMENTS], translate=lambda text: text)
    starts = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}
    return {name for name, text in read.items() if text.split(maxsplit=1)[0] not in starts}


@pytest.mark.parametrize("name", sorted(_catalog().keys() - SCRIPTS.keys() - _fragments()))
def test_sqlite_understands_every_statement_that_it_is_asked(driver: sqlite3.Connection, name: str) -> None:
    statement = _catalog()[name]
    driver.execute(f"EXPLAIN {statement}", _Anything())


def test_what_several_statements_perform_is_in_the_catalogue_too() -> None:
    known = set(Catalog.load(STATEMENTS, schema="dbos"))
    assert known >= SCRIPTS.keys()
    assert SCRIPTS.keys() >= LOOKED_AT_FIRST.keys()
    assert _catalog().keys() >= {look for look, _ in LOOKED_AT_FIRST.values()}


class _Anything(dict[str, Any]):
    """Any parameter that a statement has."""

    def __missing__(self, key: str) -> str:
        return "[]"
