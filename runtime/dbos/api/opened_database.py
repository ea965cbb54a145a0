"""Opens the application's own database; imported when there is one."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from dbos._error import DBOSInitializationError
from dbos.config.settings import Settings
from dbos.store.backend import told_by
from dbos.store.checkpoints import TRANSACTIONS
from dbos.store.dialects.engine_options import engine_options_named
from dbos.store.dialects.postgres_engine import url_arguments
from dbos.store.migrations.runner import create_database_if_missing
from dbos.store.user_database import SyncUserDatabase, UserDatabaseSettings


def open_database(settings: Settings) -> SyncUserDatabase:
    """The database, with its table of checkpoints. Raises DBOSInitializationError when it cannot be used."""
    options = settings.database
    url = settings.application_database_url
    shared = options.engine if url is None else None
    try:
        with engine_options_named(options.engine_options):
            database = SyncUserDatabase(
                UserDatabaseSettings(
                    kind=TRANSACTIONS,
                    url=url or settings.system_database_url,
                    schema=options.schema,
                    engine=shared,
                    engine_options=options.engine_options,
                )
            )
    except ValueError as error:
        raise DBOSInitializationError(f"application_database_url: {error}") from error
    if url is not None and database.engine.dialect.driver == "psycopg":
        create_database_if_missing(url_arguments(database.engine.url))
    try:
        with engine_options_named(options.engine_options):
            database.run(database.table.prepare)
    except SQLAlchemyError as error:
        where = database.engine.url.render_as_string(hide_password=True)
        told = told_by(error)
        database.dispose()
        raise DBOSInitializationError(f"the application database {where} cannot be used: {told}") from error
    return database
