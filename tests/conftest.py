"""Fixtures that every kind of test shares: the real components, made on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from support.peer import peer_python
from support.postgres import PostgresServer, session_postgres


@contextmanager
def progress_shown(config: pytest.Config) -> Iterator[None]:
    """Let what is printed in the block reach the terminal: fetching and building take a while."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server of the session."""
    with session_postgres() as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database of this test alone, with the system schema `dbos`."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database of this test alone, with nothing in it."""
    with postgres_server.database(schema=False) as url:
        yield url


@pytest.fixture(scope="session")
def peer(pytestconfig: pytest.Config) -> Path:
    """The interpreter of an environment that has the published package; see support.peer for running scripts."""
    with progress_shown(pytestconfig):
        return peer_python()
