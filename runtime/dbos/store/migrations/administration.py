"""What an administrator does to a system database: grant, empty, remove."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
from psycopg import errors

from dbos.store.catalog import quote_identifier
from dbos.store.migrations.requirements import REQUIRED_COLUMNS
from dbos.store.migrations.runtime_tables import (
    LAYOUT_TABLE,
    RUNTIME_SCHEMA,
    forget_system_schema,
    runtime_grants,
)

_VERSION_TABLE = "dbos_migrations"
_TABLES = (*(table for table in REQUIRED_COLUMNS if table != _VERSION_TABLE), "event_dispatch_kv")
"""Every table but the one of the version; the last one is PostgreSQL's alone."""
_FUNCTIONS = ("enqueue_workflow", "send_message", "notifications_function")


def grant_statements(schema: str, role: str) -> list[str]:
    """What lets a role use a system schema that somebody else created, in order."""
    place, grantee = quote_identifier(schema), quote_identifier(role)
    defaults = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {place} GRANT"
    return [
        f"GRANT USAGE ON SCHEMA {place} TO {grantee}",
        f"GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA {place} TO {grantee}",
        f"GRANT ALL PRIVILEGES ON ALL SEQUENCES IN SCHEMA {place} TO {grantee}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {place} TO {grantee}",
        f"{defaults} ALL ON TABLES TO {grantee}",
        f"{defaults} ALL ON SEQUENCES TO {grantee}",
        f"{defaults} EXECUTE ON FUNCTIONS TO {grantee}",
    ]


def grant(driver: psycopg.Connection[Any], schema: str, role: str) -> None:
    """Give a role those rights, and the use of the runtime's own tables if they are there: all of them or none."""
    with driver.transaction():
        for statement in grant_statements(schema, role):
            driver.execute(statement.encode())
        if driver.execute("SELECT FROM pg_namespace WHERE nspname = %s", (RUNTIME_SCHEMA,)).fetchone() is not None:
            for statement in runtime_grants(role):
                driver.execute(statement.encode())


def empty_schema(driver: psycopg.Connection[Any], schema: str) -> None:
    """Delete every row of the system tables, in one transaction; the tables stay."""
    place = quote_identifier(schema)
    with driver.transaction():
        found = _tables_of(driver, schema)
        if found:
            tables = ", ".join(f"{place}.{quote_identifier(table)}" for table in found if table != _VERSION_TABLE)
            driver.execute(f"TRUNCATE {tables}".encode())
        forget_system_schema(driver, schema)


def remove_schema(driver: psycopg.Connection[Any], schema: str) -> None:
    """Drop the system tables and functions, in one transaction, and the schema unless it holds something else."""
    place = quote_identifier(schema)
    with driver.transaction():
        for table in _tables_of(driver, schema):
            driver.execute(f"DROP TABLE {place}.{quote_identifier(table)} CASCADE".encode())
        found = driver.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND proname = ANY(%s)",
            (schema, list(_FUNCTIONS)),
        ).fetchall()
        for (function,) in found:
            driver.execute(f"DROP FUNCTION {function}".encode())
        forget_system_schema(driver, schema)
    try:
        driver.execute(f"DROP SCHEMA IF EXISTS {place}".encode())
    except (errors.DependentObjectsStillExist, errors.InsufficientPrivilege):
        return  # what else is in there is not ours, and neither is a schema of an administrator


def empty_file(driver: sqlite3.Connection) -> None:
    """As empty_schema, for a file of SQLite."""
    tables = [table for table in _tables_in(driver) if table not in {_VERSION_TABLE, LAYOUT_TABLE}]
    _in_one_transaction(driver, [f'DELETE FROM "{table}"' for table in tables])  # noqa: S608 -- our own names


def remove_tables(driver: sqlite3.Connection) -> None:
    """As remove_schema, for a file of SQLite; the file stays."""
    _in_one_transaction(driver, [f'DROP TABLE "{table}"' for table in _tables_in(driver)])


def _in_one_transaction(driver: sqlite3.Connection, statements: list[str]) -> None:
    driver.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            driver.execute(statement)
    except BaseException:
        driver.execute("ROLLBACK")
        raise
    driver.execute("COMMIT")


def _tables_of(driver: psycopg.Connection[Any], schema: str) -> list[str]:
    rows = driver.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename = ANY(%s) ORDER BY tablename",
        (schema, [*_TABLES, _VERSION_TABLE]),
    ).fetchall()
    return [row[0] for row in rows]


def _tables_in(driver: sqlite3.Connection) -> list[str]:
    """The tables that are there, those that refer to others first."""
    present = {row[0] for row in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    children_first = [table for table in (*_TABLES, _VERSION_TABLE) if table != "workflow_status"]
    own = sorted(table for table in present if table.startswith(f"{RUNTIME_SCHEMA}_"))
    return [table for table in (*children_first, "workflow_status") if table in present] + own
