"""A database for each test: a file, or on a PostgreSQL server a copy of a template."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from dbos.store.backend import DatabaseSettings
from dbos.store.database import SystemDatabase

MAINTENANCE = "postgres"


def sqlite_url(folder: Path) -> str:
    """The URL of a new file in a folder."""
    return f"sqlite:///{folder / f'dbos-{secrets.token_hex(4)}.sqlite'}"


class PostgresDatabases:
    """Makes databases on a server. The schema is created once, in a template that each of them is copied from."""

    def __init__(self, url: str) -> None:
        """`url` names the server and a role that may create databases; databases that exist are left alone.

        Raises ValueError for another kind of URL.
        """
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"postgresql", "postgres"}:
            raise ValueError(f"expected the URL of a PostgreSQL server, got {parsed.render_as_string()}")
        self._url = parsed.set(drivername="postgresql+psycopg")
        self._template: str | None = None

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new database for the block; it is dropped afterwards, whoever is connected."""
        template = self._template = self._template or self._make_template()
        name = f"dbos_test_{secrets.token_hex(6)}"
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self._plain(name)
        finally:
            self._drop(name)

    def close(self) -> None:
        """Drop the template."""
        if self._template is not None:
            self._drop(self._template)
            self._template = None

    def _make_template(self) -> str:
        name = f"dbos_template_{secrets.token_hex(6)}"
        self._administer(f'CREATE DATABASE "{name}"')
        database = SystemDatabase(DatabaseSettings(url=self._plain(name)))
        try:
            database.prepare()
        finally:
            database.close()
        return name

    def _plain(self, name: str) -> str:
        return self._url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def _drop(self, name: str) -> None:
        self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _administer(self, statement: str) -> None:
        place: URL = self._url if self._url.database else self._url.set(database=MAINTENANCE)
        engine = create_engine(place, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()
