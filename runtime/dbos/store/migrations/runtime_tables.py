"""Creates the tables of the runtime's own: who runs, and who does what only one should do.

They lie beside the system schema, which stays as every SDK expects it: in the schema `dbos_runtime` of
PostgreSQL, which several system schemas share, and with the prefix `dbos_runtime_` in a file of SQLite.
"""

from __future__ import annotations

import logging
import sqlite3
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors

from dbos.store.catalog import quote_identifier
from dbos.store.migrations.statements import split_statements

logger = logging.getLogger("dbos")

RUNTIME_SCHEMA = "dbos_runtime"
RUNTIME_TABLES = ("executors", "duties", "refusals", "layout")
LAYOUT_TABLE = f"{RUNTIME_SCHEMA}_layout"
"""On SQLite, the table of the version."""
_ROOM = " WITH (fillfactor = 50)"
_CREATE_LAYOUT = "CREATE TABLE {runtime}layout (version integer NOT NULL)"
"""The version of these tables: how many scripts were run. One row."""
_NOT_ALLOWED = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)
_USABLE = """
SELECT bool_and(has_table_privilege(relation.oid, 'SELECT') AND has_table_privilege(relation.oid, 'INSERT')
                AND has_table_privilege(relation.oid, 'UPDATE') AND has_table_privilege(relation.oid, 'DELETE'))
  FROM pg_class AS relation JOIN pg_namespace AS place ON place.oid = relation.relnamespace
 WHERE place.nspname = 'dbos_runtime' AND relation.relname = ANY(%s) AND has_schema_privilege(place.oid, 'USAGE')
"""


def ensure_runtime_schema(driver: psycopg.Connection[Any], *, create: bool = True) -> str | None:
    """Make sure that `dbos_runtime` can be used, creating it when absent; what is wrong, None when nothing is.

    Of any number of processes that start at once exactly one creates it. Tables of a later release are left as
    they are. The connection is in autocommit and idle.
    """
    try:
        if (_version(driver) or 0) < len(_scripts()):
            if not create:
                return "its tables are missing"
            with driver.transaction():
                # Under a stricter default, statements after the lock would still see the database as it was before.
                driver.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                driver.execute("SELECT pg_advisory_xact_lock(hashtextextended('dbos_runtime', 0))")
                _upgrade(driver)
        found = driver.execute(_USABLE, (list(RUNTIME_TABLES),)).fetchone()
    except _NOT_ALLOWED as error:
        return error.diag.message_primary
    return None if found is not None and found[0] else "its tables belong to another role"


def runtime_grants(role: str) -> list[str]:
    """What lets a role use the schema that somebody else created, in order."""
    grantee = quote_identifier(role)
    return [
        f"GRANT USAGE ON SCHEMA {RUNTIME_SCHEMA} TO {grantee}",
        f"GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA {RUNTIME_SCHEMA} TO {grantee}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {RUNTIME_SCHEMA} GRANT ALL ON TABLES TO {grantee}",
    ]


def runtime_script(*, sqlite: bool) -> str:
    """Everything that creates these tables in an empty database, for administrators who run it themselves."""
    prefix, rewritten = (f"{RUNTIME_SCHEMA}_", "") if sqlite else (f"{RUNTIME_SCHEMA}.", _ROOM)
    texts = [script.replace("{runtime}", prefix).replace("{rewritten}", rewritten) for script in _scripts()]
    schema = [] if sqlite else [f"CREATE SCHEMA {RUNTIME_SCHEMA};"]
    layout = _CREATE_LAYOUT.replace("{runtime}", prefix)
    version = f"INSERT INTO {prefix}layout (version) VALUES ({len(texts)});"  # noqa: S608 -- our own name
    return "\n".join([*schema, f"{layout};", *texts, version])


def forget_system_schema(driver: psycopg.Connection[Any], schema: str) -> None:
    """Delete what is known of the processes of one system schema, which is reset; other schemas share the tables."""
    found = driver.execute(
        "SELECT relation.relname FROM pg_class AS relation"
        "  JOIN pg_namespace AS place ON place.oid = relation.relnamespace"
        "  JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid"
        " WHERE place.nspname = 'dbos_runtime' AND relation.relkind = 'r' AND attribute.attname = 'system_schema'"
        "   AND has_schema_privilege(place.oid, 'USAGE') AND has_table_privilege(relation.oid, 'SELECT')"
        "   AND has_table_privilege(relation.oid, 'DELETE')"
    ).fetchall()
    for (table,) in found:
        place = f"{RUNTIME_SCHEMA}.{quote_identifier(table)}"
        driver.execute(f"DELETE FROM {place} WHERE system_schema = %s".encode(), (schema,))  # noqa: S608 -- our own names


def ensure_runtime_tables(driver: sqlite3.Connection, *, create: bool = True) -> str | None:
    """As ensure_runtime_schema, for a file of SQLite."""
    if (_file_version(driver) or 0) >= len(_scripts()):
        return None
    if not create:
        return "its tables are missing"
    driver.execute("BEGIN IMMEDIATE")
    try:
        version = _file_version(driver)
        prefix = f"{RUNTIME_SCHEMA}_"
        if version is None:
            driver.execute(_CREATE_LAYOUT.replace("{runtime}", prefix))
            driver.execute(f"INSERT INTO {prefix}layout (version) VALUES (0)")  # noqa: S608 -- our own name
        for script in _scripts()[version or 0 :]:
            for statement in split_statements(script.replace("{runtime}", prefix).replace("{rewritten}", "")):
                driver.execute(statement)
        driver.execute(f"UPDATE {prefix}layout SET version = max(version, ?)", (len(_scripts()),))  # noqa: S608
    except BaseException:
        driver.execute("ROLLBACK")
        raise
    driver.execute("COMMIT")
    return None


def _upgrade(driver: psycopg.Connection[Any]) -> None:
    prefix = f"{RUNTIME_SCHEMA}."
    version = _version(driver)
    if version is None:
        if driver.execute("SELECT to_regnamespace('dbos_runtime')::text").fetchone() == (None,):
            # IF NOT EXISTS would ask for the right to create schemas even where an administrator made this one.
            driver.execute(f"CREATE SCHEMA {RUNTIME_SCHEMA}".encode())
        driver.execute(_CREATE_LAYOUT.replace("{runtime}", prefix).encode())
        driver.execute(f"INSERT INTO {prefix}layout (version) VALUES (0)".encode())  # noqa: S608 -- our own name
    for script in _scripts()[version or 0 :]:
        # Rows are written over every few seconds: room in their pages keeps new versions out of the index.
        text = script.replace("{runtime}", prefix).replace("{rewritten}", _ROOM)
        driver.execute(text.encode())
    driver.execute(f"UPDATE {prefix}layout SET version = greatest(version, %s)".encode(), (len(_scripts()),))  # noqa: S608
    logger.info("created the schema of the runtime", extra={"schema": RUNTIME_SCHEMA, "version": len(_scripts())})


def _version(driver: psycopg.Connection[Any]) -> int | None:
    found = driver.execute(
        "SELECT FROM pg_class WHERE relname = 'layout'"
        " AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'dbos_runtime')"
    ).fetchone()
    if found is None:
        return None
    row = driver.execute("SELECT max(version) FROM dbos_runtime.layout").fetchone()
    return None if row is None else row[0]


def _file_version(driver: sqlite3.Connection) -> int | None:
    name = f"{RUNTIME_SCHEMA}_layout"
    if driver.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone() is None:
        return None
    version = driver.execute(f"SELECT max(version) FROM {name}").fetchone()[0]  # noqa: S608 -- our own name
    return 0 if version is None else int(version)


def _scripts() -> list[str]:
    """What was added to these tables, release by release, in order."""
    folder = files("dbos.store.migrations") / "runtime"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in found]
