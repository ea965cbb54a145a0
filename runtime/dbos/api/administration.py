"""Create, migrate and reset a system database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dbos._error import DBOSException, DBOSInitializationError
from dbos.api.runtime import open_database, process
from dbos.store.backend import DatabaseSettings
from dbos.store.database import SystemDatabase
from dbos.store.dialects.postgres import PoolSettings


class Administration:
    """The part of DBOS that is about the system database itself."""

    @classmethod
    def migrate(
        cls,
        system_database_url: str,
        *,
        schema: str = "dbos",
        application_role: str | None = None,
        sharding: bool = False,
    ) -> None:
        """Create the system database and its tables when they are missing, and let `application_role` use them.

        For deployments whose application may not create tables itself. Raises DBOSInitializationError for a
        database that cannot be used, and DBOSException for `sharding`, which no ordinary database has.
        """
        run_dbos_database_migrations(
            system_database_url, schema=schema, application_role=application_role, sharding=sharding
        )

    @classmethod
    def reset_system_database(
        cls, *, system_database_url: str | None = None, schema: str | None = None, truncate: bool = False
    ) -> None:
        """Delete every workflow, queue and schedule: for tests, between `DBOS(config=…)` and `DBOS.launch()`.

        The system tables are dropped, and made again by the next launch; with `truncate` they are emptied.
        Tables of others in the same database stay. Without a URL it is the configured database. Raises
        DBOSException after launch.
        """
        application = process.application
        if application is not None and application.engine is not None:
            raise DBOSException("The system database cannot be reset after DBOS.launch(); call DBOS.destroy() first")
        if system_database_url is not None:
            with opened(system_database_url, schema=schema or "dbos") as database:
                database.reset(truncate=truncate)
            return
        if application is None:
            raise DBOSException("Which system database? Call DBOS(config=…) first, or give system_database_url")
        configured = open_database(application.settings, schema=schema)
        try:
            configured.reset(truncate=truncate)
        finally:
            configured.close()


def run_dbos_database_migrations(
    system_database_url: str,
    *,
    schema: str = "dbos",
    application_role: str | None = None,
    sharding: bool = False,
) -> None:
    """As DBOS.migrate."""
    if sharding:
        raise DBOSException("sharding: sharded system databases are not supported")
    with opened(system_database_url, schema=schema) as database:
        database.prepare()
        database.prepare_runtime_tables()
        if application_role is not None:
            database.grant(application_role)


@contextmanager
def opened(url: str, *, schema: str) -> Iterator[SystemDatabase]:
    """A system database for the length of a block. Raises DBOSInitializationError for a URL that names none."""
    try:
        database = SystemDatabase(DatabaseSettings(url=url, schema=schema, pool=PoolSettings(size=1), retry=False))
    except ValueError as error:
        raise DBOSInitializationError(f"system_database_url: {error}") from error
    try:
        yield database
    finally:
        database.close()
