"""A real PostgreSQL for tests and benchmarks, and a fresh database for each.

The binaries are those of DBOS_TEST_PG_BIN, PATH or the distribution, else those in the wheel of the embedded
PostgreSQL, so a machine without PostgreSQL runs every test. DBOS_TEST_PG_URL names a server to use instead.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from dbos.store.catalog import quote_identifier
from dbos.store.migrations.runner import ensure_schema
from support.ports import free_port
from support.postgres_process import Installation, PostgresProcess, find_installation

_START_SECONDS = 60


class PostgresServer:
    """A server that databases are made on. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url: URL = make_url(url)
        self._template: str | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The URL of the administrator's database; its role may create databases and roles."""
        return self._render(self._url)

    def url_of(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """The URL of one database, for the administrator or another role."""
        url = self._url.set(database=database)
        if user is not None:
            url = url.set(username=user, password=password)
        return self._render(url)

    def create_database(self, *, schema: bool = True) -> str:
        """The URL of a new database, with the system schema or empty."""
        name = f"dbos_test_{secrets.token_hex(6)}"
        template = f" TEMPLATE {self._template_name()}" if schema else ""
        self._administer(f"CREATE DATABASE {name}{template}")
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        name = make_url(url).database
        assert name is not None
        self._administer(f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)")

    @contextmanager
    def database(self, *, schema: bool = True) -> Iterator[str]:
        """The URL of a database that exists for the length of the block."""
        url = self.create_database(schema=schema)
        try:
            yield url
        finally:
            self.drop_database(url)

    def remove_template(self) -> None:
        """Remove what is left here once all databases are dropped."""
        if self._template is not None:
            self._administer(f"DROP DATABASE IF EXISTS {self._template} WITH (FORCE)")
            self._template = None

    def _template_name(self) -> str:
        with self._lock:
            if self._template is None:
                name = f"dbos_template_{secrets.token_hex(6)}"
                self._administer(f"CREATE DATABASE {name}")
                with psycopg.connect(self.url_of(name), autocommit=True) as connection:
                    ensure_schema(connection, "dbos")
                self._template = name
            return self._template

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @staticmethod
    def _render(url: URL) -> str:
        return url.set(drivername="postgresql").render_as_string(hide_password=False)


class OwnPostgresServer(PostgresServer):
    """A server started here, on a port of its own, that can be stopped, killed and started again."""

    def __init__(self, folder: Path, installation: Installation, *, durable: bool) -> None:
        self.folder = folder
        self.port = free_port()
        self.process = PostgresProcess(installation, folder, settings=_settings(folder, durable=durable))
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")

    @property
    def socket_folder(self) -> Path:
        """The folder of the unix socket, for URLs that have it as host."""
        return self.folder

    def start(self) -> None:
        """Start the server on its port and wait until it answers."""
        self.process.start(self.port)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                self.process.check_alive()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"PostgreSQL did not answer: {error}\n{self.process.log_tail()}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop the server as an administrator would: sessions end, nothing is lost."""
        self.process.stop()

    def kill(self) -> None:
        """Stop the server as a crash would: the next start recovers from the log."""
        self.process.kill()


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[OwnPostgresServer]:
    """A server for the length of the block, then gone with all its data.

    durable=True runs it as production does, for benchmarks; otherwise it trades durability for speed.
    """
    installation = find_installation()
    folder = Path(tempfile.mkdtemp(prefix="dbos-pg-", dir=_temporary_folder(installation)))
    try:
        server = OwnPostgresServer(folder, installation, durable=durable)
        server.process.initialize()
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def session_postgres() -> Iterator[PostgresServer]:
    """The server of a test session: the one that DBOS_TEST_PG_URL names, else one of its own."""
    given = os.environ.get("DBOS_TEST_PG_URL")
    if given is None:
        with running_postgres() as own:
            yield own
        return
    server = PostgresServer(given)
    try:
        yield server
    finally:
        server.remove_template()


def _settings(folder: Path, *, durable: bool) -> dict[str, str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "max_connections": "300",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    return settings if durable else {**settings, "fsync": "off", "full_page_writes": "off"}


def _temporary_folder(installation: Installation) -> str:
    """A folder that the server's account may enter and whose path is short enough for a socket."""
    usual = tempfile.gettempdir()
    return usual if len(usual) < 60 and installation.may_enter(Path(usual)) else "/tmp"
