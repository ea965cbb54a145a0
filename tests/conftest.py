"""Fixtures that every kind of test shares: the real components, made on first use."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import hypothesis
import pytest

from dbos.observability.logs import gate
from support.peer import peer_python
from support.postgres import PostgresServer, session_postgres
from support.store_records import opened

# The same examples in every run: what fails here fails there. `--hypothesis-profile=default` looks for new ones.
# How long one of them takes says more about what else runs on the machine.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    print_blob=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's & leaves it; programs under test hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def progress_shown(config: pytest.Config) -> Iterator[None]:
    """Let what is printed in the block reach the terminal: fetching and building take a while."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        yield


@contextmanager
def _logging_kept() -> Iterator[None]:
    logger = logging.getLogger("dbos")
    before = gate.level, gate.sender, logger.level
    yield
    gate.level, gate.sender = before[:2]
    logger.setLevel(before[2])


@pytest.fixture(autouse=True, scope="module")
def _logging_as_before_the_module() -> Iterator[None]:
    """What an application of one module shows of its log says nothing about the next module."""
    with _logging_kept():
        yield


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What an application of one test shows of its log says nothing about the next test."""
    with _logging_kept():
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server of the session."""
    with session_postgres() as server:
        yield server


def pytest_configure(config: pytest.Config) -> None:
    """Say what our marks mean."""
    config.addinivalue_line("markers", "both_databases: runs on PostgreSQL and on SQLite")
    config.addinivalue_line("markers", "postgresql_only: of a module that runs on both, about PostgreSQL alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked on both databases."""
    test = metafunc.definition
    if "database_kind" in metafunc.fixturenames and test.get_closest_marker("both_databases"):
        only = test.get_closest_marker("postgresql_only")
        metafunc.parametrize("database_kind", ["postgresql"] if only else ["postgresql", "sqlite"])


@pytest.fixture
def database_kind() -> str:
    """Which database `database_url` names."""
    return "postgresql"


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of this test alone, with the system schema `dbos`."""
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'system.sqlite'}"
        with opened(url) as database:
            database.prepare()
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
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
