"""Creates the schema of a SQLite file; refuses one that it cannot work with."""

from __future__ import annotations

import sqlite3
from importlib.resources import files

from dbos._error import DBOSInitializationError
from dbos.store.dialects.sqlite_text import CLOCK
from dbos.store.migrations.requirements import REQUIRED_COLUMNS, SCHEMA_VERSION, NothingThereError
from dbos.store.migrations.statements import split_statements

_SCRIPTS = ("0001_tables.sql", "0002_indexes.sql")


def ensure_file(driver: sqlite3.Connection, place: str) -> None:
    """Make sure that the file can be used, creating the tables when there are none.

    Of any number of processes that start at once exactly one creates them, in one transaction. A file that
    is ours from the start keeps a write-ahead log. Tables of the application may lie in the same file.
    Raises DBOSInitializationError for an older schema and for tables that are named as ours.
    """
    if _version(driver) is None and not _in_the_way(driver):
        if not _tables(driver):
            driver.execute("PRAGMA journal_mode = WAL")
        driver.execute("BEGIN IMMEDIATE")
        try:
            if not _in_the_way(driver):
                _create(driver)
        except BaseException:
            driver.execute("ROLLBACK")
            raise
        driver.execute("COMMIT")
    _check_version(driver, place)


def require_file(driver: sqlite3.Connection, place: str) -> None:
    """As ensure_file, but tables that are absent are refused: somebody else creates them."""
    if _version(driver) is None and not _in_the_way(driver):
        raise NothingThereError(f"{place} holds no DBOS tables yet")
    _check_version(driver, place)


def _check_version(driver: sqlite3.Connection, place: str) -> None:
    version = _version(driver)
    if version is None:
        raise DBOSInitializationError(
            f"{place} has tables that are named as those of DBOS ({', '.join(sorted(_in_the_way(driver)))}), but no "
            "version of its schema; configure another file in system_database_url"
        )
    if version < SCHEMA_VERSION:
        raise DBOSInitializationError(
            f"{place} holds version {version} of the DBOS schema and this release needs {SCHEMA_VERSION}; open it once "
            "with a release of the published package that migrates it, or configure another file"
        )


def _version(driver: sqlite3.Connection) -> int | None:
    if "dbos_migrations" not in _tables(driver):
        return None
    row = driver.execute("SELECT max(version) FROM dbos_migrations").fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _tables(driver: sqlite3.Connection) -> set[str]:
    rows = driver.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {row[0] for row in rows.fetchall()}


def _in_the_way(driver: sqlite3.Connection) -> set[str]:
    return _tables(driver) & {"dbos_migrations", *REQUIRED_COLUMNS}


def _create(driver: sqlite3.Connection) -> None:
    for name in _SCRIPTS:
        text = files("dbos.store.migrations.sqlite").joinpath(name).read_text(encoding="utf-8")
        for statement in split_statements(text.replace("{clock}", f"({CLOCK})")):
            driver.execute(statement)
    driver.execute("INSERT INTO dbos_migrations (version) VALUES (?)", (SCHEMA_VERSION,))
