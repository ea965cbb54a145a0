"""Fixtures for pytest: `pytest_plugins = ["dbos.testing.pytest"]` in the conftest.py of the tests' root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from dbos.config.keys import DBOSConfig
from dbos.testing.databases import PostgresDatabases, sqlite_url
from dbos.testing.environment import Environment, launched


@pytest.fixture(scope="session")
def dbos_server_url() -> str | None:
    """The PostgreSQL server of the tests; None: SQLite. Default: the variable DBOS_TEST_DATABASE_URL."""
    return os.environ.get("DBOS_TEST_DATABASE_URL") or None


@pytest.fixture(scope="session")
def dbos_databases(dbos_server_url: str | None) -> Iterator[PostgresDatabases | None]:
    """Makes the databases of the session; None where tests run on SQLite."""
    if dbos_server_url is None:
        yield None
        return
    databases = PostgresDatabases(dbos_server_url)
    try:
        yield databases
    finally:
        databases.close()


@pytest.fixture
def dbos_database_url(dbos_databases: PostgresDatabases | None, tmp_path: Path) -> Iterator[str]:
    """The URL of a system database of this test alone."""
    if dbos_databases is None:
        yield sqlite_url(tmp_path)
        return
    with dbos_databases.database() as url:
        yield url


@pytest.fixture
def dbos_config() -> DBOSConfig:
    """Override it for keys of the configuration; the database is that of `dbos_database_url`."""
    return {}


@pytest.fixture
def dbos_now() -> datetime | None:
    """Override it for the time at which the clock begins. Default: the present second."""
    return None


@pytest.fixture
def dbos(dbos_config: DBOSConfig, dbos_database_url: str, dbos_now: datetime | None) -> Iterator[Environment]:
    """The application, launched for this test."""
    with launched(dbos_config, database_url=dbos_database_url, now=dbos_now) as environment:
        yield environment
