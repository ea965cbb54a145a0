"""Which databases a configuration means: the system's, and the application's own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbos.config.refusal import refuse

if TYPE_CHECKING:
    from sqlalchemy import Engine

SYSTEM_SUFFIX = "_dbos_sys"


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """The URLs that a configuration gives, in its words."""

    system: str | None
    application: str | None
    """None: transactions run in the system database."""


def choose_databases(
    *, system: str | None, application: str | None, database: str | None, has_engine: bool = False
) -> DatabaseUrls:
    """The databases of `system_database_url`, `application_database_url` and `database_url`, its older name.

    Where only the application's is named, the system database lies beside it: on PostgreSQL on the same server
    with `_dbos_sys` after the name, on SQLite in the same file. That is deprecated, and warned of.
    """
    own = application or database
    if own is not None and system is None and not has_engine:
        key = "application_database_url" if application else "database_url"
        system = system_url_beside(own)
        warnings.warn(
            f"{key} without system_database_url is deprecated: the system database is looked for beside it, as in "
            "former releases. Name it in system_database_url.",
            DeprecationWarning,
            stacklevel=2,
        )
    return DatabaseUrls(system, own)


def check_engine(engine: object) -> Engine | None:
    """An engine that an application brings. Raises DBOSInitializationError for all else, asynchronous ones too."""
    if engine is None:
        return None
    from sqlalchemy import Engine  # noqa: PLC0415 -- who brings none may do without SQLAlchemy

    if not isinstance(engine, Engine):
        hint = "; give its sync twin" if hasattr(engine, "sync_engine") else ""
        raise refuse("system_database_engine", engine, expected=f"an Engine of SQLAlchemy{hint}")
    return engine


def system_url_beside(application: str, *, name: str | None = None) -> str:
    """The URL of the system database that goes with an application's, on the same server; it may have a `name`.

    What is no URL of PostgreSQL stays as it is.
    """
    # A deprecated way pays for the import; others do without SQLAlchemy where they can.
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(application)
    except ArgumentError:
        return application  # whoever opens it tells what is wrong
    if url.get_backend_name() not in {"postgresql", "postgres"} or not url.database:
        return application
    beside = url.set(database=name or url.database + SYSTEM_SUFFIX, drivername="postgresql")
    return beside.render_as_string(hide_password=False)
