"""A launched application in this process, and a plain connection beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from dbos import DBOS, DBOSClient
from dbos.store.checkpoint_removal import known_databases
from support.bystander import Bystander, bystander
from support.postgres import PostgresServer

APPLICATION = "orders"
VERSION = "v1"


class Launch(Protocol):
    """Configures and launches the application; keywords replace keys of its configuration."""

    def __call__(self, **config: Any) -> None: ...


@pytest.fixture
def config(database_url: str) -> Iterator[Any]:
    """The configuration of the application of this test, which is destroyed in the end."""
    yield {
        "name": APPLICATION,
        "system_database_url": database_url,
        "application_version": VERSION,
        "executor_id": "one",
        "log_level": "WARNING",
        "run_admin_server": False,
    }
    DBOS.destroy(destroy_registry=True)


@pytest.fixture
def launch(config: Any) -> Launch:
    """The application of this test. Workflows and queues are declared before it is called."""

    def start(**other: Any) -> None:
        DBOS(config={**config, **other})
        DBOS.launch()

    return start


@pytest.fixture
def sql(database_url: str) -> Iterator[Bystander]:
    """A connection of a bystander."""
    with bystander(database_url) as connection:
        yield connection


@pytest.fixture
def client(database_url: str) -> Iterator[DBOSClient]:
    """A client of the application."""
    with DBOSClient(system_database_url=database_url, application_name=APPLICATION) as opened:
        yield opened


@pytest.fixture
def user_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the user, with the table `accounts`."""
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'user.sqlite'}"
        _create_accounts(url)
        yield url
        known_databases.clear()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(schema=False) as url:
        _create_accounts(url)
        yield url
        known_databases.clear()  # datasources live as long as their process: this database does not


@pytest.fixture
def user(user_url: str) -> Iterator[Bystander]:
    """A connection of somebody else to the user's database."""
    with bystander(user_url) as connection:
        yield connection


def _create_accounts(url: str) -> None:
    with bystander(url) as connection:
        connection.execute("CREATE TABLE accounts (owner text PRIMARY KEY, cents int NOT NULL)")
