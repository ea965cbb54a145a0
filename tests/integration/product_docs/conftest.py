"""What the drivers of the documentation's blocks share: blocks that are watched, and an application to run them in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from dbos import DBOS, DBOSClient
from dbos.config.databases import system_url_beside
from support.bystander import Bystander, bystander
from support.postgres import PostgresServer
from support.product_docs import Blocks
from support.store_records import opened

from .shop import Shop, open_shop


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    """Runs blocks; in the end every statement of each must have run."""
    with Blocks() as running:
        yield running
    assert not running.missed()


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database of this module."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database with the system schema; on PostgreSQL it is the module's, which is quicker."""
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'system.sqlite'}"
        with opened(url) as database:
            database.prepare()
        yield url
        return
    shared: str = request.getfixturevalue("shared_database")
    yield shared
    with bystander(shared) as connection:
        for table in connection.execute(_TABLES).fetchall():
            connection.execute(f"DELETE FROM {table['name']}")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


_TABLES = (
    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
    "WHERE schemaname LIKE 'dbos%' AND tablename NOT LIKE '%migrations' AND tablename <> 'layout'"
)


@pytest.fixture
def place(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A working directory and environment with a database; its URL. What is launched here ends with the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBOS_SYSTEM_DATABASE_URL", database_url)
    yield database_url
    DBOS.destroy(destroy_registry=True)


@pytest.fixture
def user_url(database_url: str, database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a user's database; what lies beside it goes in the end."""
    yield database_url
    if database_kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.drop_database(system_url_beside(database_url))


@pytest.fixture
def application(place: str) -> DBOS:
    """A launched application."""
    instance = DBOS(
        config={
            "name": "shop",
            "system_database_url": place,
            "application_version": "v1",
            "run_admin_server": False,
            "log_level": "INFO",
        }
    )
    DBOS.launch()
    return instance


@pytest.fixture
def sql(database_url: str) -> Iterator[Bystander]:
    """A connection of a bystander."""
    with bystander(database_url) as connection:
        yield connection


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop of this module, once on each database."""
    if request.param == "sqlite":
        with open_shop(f"sqlite:///{tmp_path_factory.mktemp('shop') / 'system.sqlite'}") as shop:
            yield shop
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url, open_shop(url) as shop:
        yield shop


@pytest.fixture
def shop(running: Shop) -> Iterator[Shop]:
    """The shop, without what former tests left."""
    yield running
    running.clear()


@pytest.fixture
def client(shop: Shop) -> DBOSClient:
    """The client of the shop."""
    return shop.client


class Visitor:
    """Calls the routes of a web application, in this process."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str, **params: str) -> httpx.Response:
        """What GET answers."""
        return self._ask("GET", path, params)

    def post(self, path: str, **params: str) -> httpx.Response:
        """What POST answers."""
        return self._ask("POST", path, params)

    def _ask(self, method: str, path: str, params: dict[str, str]) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, path, params=params)

        return asyncio.run(ask())


class WebServer:
    """Stands in for `uvicorn`: serves until its visitor goes."""

    def __init__(self, visit: Callable[[Visitor], Any]) -> None:
        self.address: tuple[str, int] | None = None
        self.answer: Any = None
        self._visit = visit

    def run(self, app: FastAPI, *, host: str, port: int) -> None:
        """Serve an application."""
        self.address = (host, port)
        self.answer = self._visit(Visitor(app))
