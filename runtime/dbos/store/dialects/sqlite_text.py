"""Statements written for PostgreSQL as SQLite takes them.

The catalogue is written once, for PostgreSQL. Where SQLite only spells the same thing differently, it is
respelt here; where it needs another statement, `store/sql/sqlite` holds one of the same name, and where it
needs several, `sqlite_scripts` does.
"""

from __future__ import annotations

import re

CLOCK = "CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)"
"""The time in epoch milliseconds, in every release of SQLite."""

_CLOCKS = re.compile(r"\(EXTRACT\(epoch FROM now\(\)\) \* 1000(?:\.0)?\)(?:::bigint)?", re.IGNORECASE)
_LOCKS = re.compile(
    r"\s+FOR (?:NO KEY UPDATE|KEY SHARE|UPDATE|SHARE)(?: OF \w+)?(?: SKIP LOCKED| NOWAIT)?", re.IGNORECASE
)
_CASTS = re.compile(r"CAST\((:\w+|'null') AS (?:jsonb?|text\[\]|bigint\[\])\)|('null')::jsonb", re.IGNORECASE)
_SUFFIXES = re.compile(r"::(?:bigint|text|int|jsonb?|text\[\])\b", re.IGNORECASE)
_ANY = re.compile(r"=\s*ANY\s*\((:\w+)\)", re.IGNORECASE)
_NOT_ANY = re.compile(r"<>\s*ALL\s*\((:\w+)\)", re.IGNORECASE)
_RECORDS = re.compile(r"json_to_recordset\(\s*(:\w+)\s*\)\s+AS\s+(\w+)\s*\(([^()]*)\)", re.IGNORECASE)
_UNNEST = re.compile(r"unnest\(\s*(:\w+)\s*\)\s+AS\s+(\w+)\s*\(\s*(\w+)\s*\)", re.IGNORECASE)
_NULL_SAFE = (
    (re.compile(r"IS NOT DISTINCT FROM", re.IGNORECASE), "IS"),
    (re.compile(r"IS DISTINCT FROM", re.IGNORECASE), "IS NOT"),
)
_COLUMN = re.compile(r"\s*(\w+)\s+(\w+)\s*")


def translate(statement: str) -> str:
    """A statement of the catalogue, with `{schema}.` and `:parameter` still in it, for SQLite."""
    text = statement.replace("{schema}.", "").replace("dbos_runtime.", "dbos_runtime_")
    text = _CLOCKS.sub(CLOCK, text)
    text = _LOCKS.sub("", text)
    text = _CASTS.sub(lambda cast: cast[1] or cast[2], text)
    text = _SUFFIXES.sub("", text)
    text = _RECORDS.sub(_records, text)
    text = _UNNEST.sub(r"(SELECT value AS \3 FROM json_each(\1)) AS \2", text)
    text = _ANY.sub(r"IN (SELECT value FROM json_each(\1))", text)
    text = _NOT_ANY.sub(r"NOT IN (SELECT value FROM json_each(\1))", text)
    for distinct, spelling in _NULL_SAFE:
        text = distinct.sub(spelling, text)
    return text.replace("chr(31)", "char(31)").replace("ctid", "rowid")


def _records(use: re.Match[str]) -> str:
    columns = []
    for column in use[3].split(","):
        parts = _COLUMN.fullmatch(column)
        if parts is None:
            raise ValueError(f"expected `name type` in json_to_recordset, got {column!r}")
        name, kind = parts[1], parts[2]
        # An object inside a record stays JSON text; json_extract gives that for objects as it is.
        value = f"json_extract(value, '$.{name}')"
        columns.append(f"CAST({value} AS TEXT) AS {name}" if kind == "text" else f"{value} AS {name}")
    return f"(SELECT {', '.join(columns)} FROM json_each({use[1]})) AS {use[2]}"  # noqa: S608 -- our own text
