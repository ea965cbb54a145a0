"""Whether the schema of a system database can be used: read in one statement, decided by a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import dict_row

from dbos.store.catalog import Catalog, quote_identifier
from dbos.store.migrations.requirements import (
    REQUIRED_COLUMNS,
    REQUIRED_UNIQUE_KEYS,
    SCHEMA_VERSION,
    SHARDING_COLUMN,
)

_NAMED_AT_MOST = 6


class SchemaKind(StrEnum):
    """What was found where the system tables are expected."""

    ABSENT = "Absent"
    OLDER = "Older"
    SUPPORTED = "Supported"
    NEWER = "Newer"
    UNUSABLE = "Unusable"
    SHARDED = "Sharded"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The verdict on a schema, with the version it records and, when it is unusable, what it lacks."""

    kind: SchemaKind
    version: int | None = None
    missing: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether workflows can be run and rows written here."""
        return self.kind in {SchemaKind.SUPPORTED, SchemaKind.NEWER}


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """What the catalogue says about a schema; only tables that a system database has are looked at."""

    schema_exists: bool = False
    tables: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    unique_keys: frozenset[str] = frozenset()
    version_readable: bool | None = None
    """None when there is no table that could hold a version."""
    version: int | None = None

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> SchemaFacts:
        """The facts in a row of the statement `inspect_schema`."""
        return cls(
            schema_exists=row["schema_exists"],
            tables=frozenset(row["tables"]),
            columns=frozenset(row["columns"]),
            unique_keys=frozenset(row["unique_keys"]),
            version_readable=row["version_readable"],
            version=row["version"],
        )


def inspect_schema(driver: psycopg.Connection[Any], schema: str) -> SchemaState:
    """The state of a schema, read in one statement that a role without any right on it may run too."""
    return judge(load_facts(driver, schema))


def load_facts(driver: psycopg.Connection[Any], schema: str) -> SchemaFacts:
    """What the catalogue says about the schema."""
    parameters = {"schema": schema, "tables": list(REQUIRED_COLUMNS)}
    with driver.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_statement(), parameters).fetchone()
    assert row is not None, "an aggregate without groups has one row"
    return SchemaFacts.parse(row)


@cache
def _statement() -> bytes:
    return Catalog.load("dbos.store.migrations", schema="")["inspect_schema"].encode()


def judge(facts: SchemaFacts) -> SchemaState:
    """Decide whether a schema can be used.

    A table of versions without a row counts as nothing where no other system table exists: that is how a
    migration begins. Beside other tables it means that one was interrupted.
    """
    if facts.version_readable is False:
        return SchemaState(SchemaKind.UNUSABLE, missing=("the right to read dbos_migrations",))
    if facts.version is None and not facts.tables - {"dbos_migrations"}:
        return SchemaState(SchemaKind.ABSENT)
    if SHARDING_COLUMN in facts.columns:
        return SchemaState(SchemaKind.SHARDED, facts.version)
    if facts.version is None:
        return SchemaState(SchemaKind.UNUSABLE, missing=("the row of dbos_migrations that tells the version",))
    return _judge_contents(facts, facts.version)


def _judge_contents(facts: SchemaFacts, version: int) -> SchemaState:
    if version < SCHEMA_VERSION:
        return SchemaState(SchemaKind.OLDER, version)
    if missing := tuple(_missing(facts)):
        return SchemaState(SchemaKind.UNUSABLE, version, missing)
    return SchemaState(SchemaKind.NEWER if version > SCHEMA_VERSION else SchemaKind.SUPPORTED, version)


def _missing(facts: SchemaFacts) -> list[str]:
    absent_tables = [table for table in REQUIRED_COLUMNS if table not in facts.tables]
    absent_columns = [
        f"{table}.{column}"
        for table, columns in REQUIRED_COLUMNS.items()
        if table in facts.tables
        for column in columns
        if f"{table}.{column}" not in facts.columns
    ]
    absent_keys = [
        key
        for key in REQUIRED_UNIQUE_KEYS
        if key not in facts.unique_keys and key.partition("(")[0] not in absent_tables
    ]
    return [
        *(f"table {name}" for name in absent_tables),
        *(f"column {name}" for name in absent_columns),
        *(f"unique index on {key}" for key in absent_keys),
    ]


def describe_problem(state: SchemaState, schema: str) -> str:
    """One sentence or two for the person who must act: what is wrong with the schema and what helps."""
    where = f"The schema {quote_identifier(schema)} of the system database"
    match state.kind:
        case SchemaKind.ABSENT:
            return f"{where} holds no DBOS tables yet."
        case SchemaKind.OLDER:
            return (
                f"{where} has version {state.version}; version {SCHEMA_VERSION} is needed. "
                "Run `dbos migrate` of the published package (pip install 'dbos>=3.4'), once, then start again."
            )
        case SchemaKind.SHARDED:
            return f"{where} is sharded (it has the column {SHARDING_COLUMN}), which this package does not support."
        case SchemaKind.UNUSABLE:
            return (
                f"{where} cannot be used: it lacks {_listed(state.missing)}. "
                "Restore what is missing, or let DBOS create its tables in an empty schema."
            )
        case SchemaKind.SUPPORTED | SchemaKind.NEWER:
            return f"{where} is usable: version {state.version}."


def _listed(missing: tuple[str, ...]) -> str:
    named = ", ".join(missing[:_NAMED_AT_MOST])
    left = len(missing) - _NAMED_AT_MOST
    return f"{named} and {left} more" if left > 0 else named
