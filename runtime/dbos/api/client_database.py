"""Which database a client means, and how it is opened."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbos._error import DBOSInitializationError
from dbos.config.databases import check_engine, system_url_beside
from dbos.config.refusal import refuse
from dbos.store.backend import DatabaseSettings
from dbos.store.database import SystemDatabase
from dbos.store.dialects.postgres import PoolSettings

if TYPE_CHECKING:
    from sqlalchemy import Engine

POOL_SIZE = 5
QUERY_TIMEOUT_SECONDS = 30.0
IDLE_TRANSACTION_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How a client uses its database; the keys are those of the constructor."""

    engine: Engine | None
    schema: str
    pool_size: int | None
    polling_concurrency: int | None
    retry: bool
    query_timeout_seconds: float | None
    idle_transaction_seconds: float | None
    create: bool = True
    """Whether a missing database or schema is created; without, it is refused."""

    def __post_init__(self) -> None:
        check_engine(self.engine)
        for key, count in (
            ("system_database_pool_size", self.pool_size),
            ("system_database_polling_concurrency", self.polling_concurrency),
        ):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise refuse(key, count, expected="a whole number, at least 1")
        for key, seconds in (
            ("observability_query_timeout_sec", self.query_timeout_seconds),
            ("sys_db_idle_transaction_timeout_sec", self.idle_transaction_seconds),
        ):
            if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
                raise refuse(key, seconds, expected="a number of seconds")
        if not isinstance(self.schema, str) or not self.schema.strip():
            raise refuse("dbos_system_schema", self.schema, expected="the name of a schema")


def choose_url(
    database_url: str | None,
    *,
    system_url: str | None,
    system_name: str | None,
    application_url: str | None,
    has_engine: bool,
) -> str | None:
    """The URL of the system database; None where an engine stands for it.

    The first argument and `system_database`, and `application_database_url` alone, are of former releases: the
    system database lies beside that of the application. A warning says so. Raises DBOSInitializationError when
    nothing names a database.
    """
    for key, value in (
        ("database_url", database_url),
        ("system_database_url", system_url),
        ("system_database", system_name),
        ("application_database_url", application_url),
    ):
        if value is not None and not isinstance(value, str):
            raise refuse(key, value, expected="text")
    if has_engine or system_url is not None:
        return None if has_engine else system_url
    beside, key = (
        (database_url, "database_url")
        if database_url is not None
        else (
            application_url,
            "application_database_url",
        )
    )
    if beside is None:
        raise DBOSInitializationError("system_database_url: expected postgresql://… or sqlite:///…, got nothing")
    warnings.warn(
        f"DBOSClient: {key} without system_database_url is deprecated: the system database is looked for beside it, "
        "as in former releases. Name it in system_database_url.",
        DeprecationWarning,
        stacklevel=3,
    )
    return system_url_beside(beside, name=system_name)


def open_client_database(url: str | None, options: ClientOptions) -> SystemDatabase:
    """The system database; nothing is connected yet. Raises DBOSInitializationError for one that cannot be used."""
    size = options.pool_size or POOL_SIZE
    idle, timeout = options.idle_transaction_seconds, options.query_timeout_seconds
    try:
        return SystemDatabase(
            DatabaseSettings(
                url=url,
                engine=options.engine,
                schema=options.schema,
                create=options.create,
                retry=options.retry,
                query_timeout_seconds=QUERY_TIMEOUT_SECONDS if timeout is None else timeout,
                polling_concurrency=options.polling_concurrency,
                pool=PoolSettings(
                    size=size,
                    application_name="dbos_transact_client",
                    idle_transaction_timeout_seconds=IDLE_TRANSACTION_SECONDS if idle is None else idle,
                ),
            )
        )
    except ValueError as error:
        key = "system_database_url" if options.engine is None else "system_database_engine"
        raise DBOSInitializationError(f"{key}: {error}") from error
