"""Fixtures of the interoperability tests: one database a module, one official client for all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbos import DBOSClient
from integration.interoperability.parties import PROGRAMS, Database, OfficialClient, official_client
from support.postgres import PostgresServer


@pytest.fixture(scope="session", autouse=True)
def _programs_are_importable() -> Iterator[None]:
    """What the programs pickle can be read here."""
    sys.path.insert(0, str(PROGRAMS))
    try:
        yield
    finally:
        sys.path.remove(str(PROGRAMS))


@pytest.fixture(scope="session")
def official(peer: Path) -> Iterator[OfficialClient]:
    """The client of the published package."""
    with official_client() as client:
        yield client


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A system database of this module alone, with a notice board."""
    with postgres_server.database() as url:
        database = Database(url)
        try:
            yield database
        finally:
            database.close()


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[DBOSClient]:
    """Our client."""
    with DBOSClient(system_database_url=database.url) as client:
        yield client
