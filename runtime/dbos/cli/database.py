"""Which system database a command works on, and how it says what went wrong."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from dbos._error import DBOSInitializationError
from dbos.api.client import DBOSClient
from dbos.config.file import FILE_NAME, read_config_file
from dbos.store.backend import told_by
from dbos.store.migrations.requirements import NothingThereError

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE = "DBOS_SYSTEM_DATABASE_URL"
_SQLITE = "sqlite:///"


class Commands(click.Group):
    """Commands whose errors are one line and exit status 1; a wrong use is 2, as click has it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except Exception as error:  # the boundary of the command: whoever typed it wants a line, not a stack
            raise click.ClickException(_line(error)) from error


def _line(error: Exception) -> str:
    told = told_by(error)
    known = type(error).__module__.startswith("dbos.") or isinstance(error, ValueError | TypeError | OSError)
    return told if known and told else f"{type(error).__name__}: {told}"


def database_options(command: F) -> F:
    """`--db-url` and `--schema`, as the parameters `db_url` and `schema`."""
    schema = click.option("--schema", help="Schema of the system tables. Default: of dbos-config.yaml, else dbos.")
    url = click.option(
        "-s",
        "--db-url",
        "--sys-db-url",
        "db_url",
        metavar="URL",
        help=f"URL of the system database. Default: {VARIABLE}, else that of dbos-config.yaml.",
    )
    return url(schema(command))


def choose_database(db_url: str | None, schema: str | None) -> tuple[str, str]:
    """URL and schema: from the options, the environment, or `dbos-config.yaml`. Raises click.UsageError for none."""
    logging.getLogger("dbos").setLevel(logging.ERROR)  # what is retried or passed over is told by the result
    file = read_config_file(Path.cwd(), os.environ).settings
    name = str(file.get("name") or "")
    url = db_url or os.environ.get(VARIABLE) or file.get("system_database_url")
    if not url and name:
        url = f"{_SQLITE}{name.replace('-', '_')}.sqlite"
    if not url:
        raise click.UsageError(f"Which system database? Give --db-url, set {VARIABLE}, or write {FILE_NAME}.")
    return str(url), schema or str(file.get("dbos_system_schema") or "dbos")


class _Visitor(DBOSClient):
    """A client for a database that is there; it creates none, and no tables."""

    _creates = False


@contextmanager
def connected(db_url: str | None, schema: str | None, *, application_name: str | None = None) -> Iterator[DBOSClient]:
    """A client of the chosen database, of an application if one is named, for the length of a block.

    Raises DBOSInitializationError for a database that is not there or has no tables: whoever mistypes its name is
    told so, and nothing is created.
    """
    url, place = choose_database(db_url, schema)
    file = url.removeprefix(_SQLITE).partition("?")[0]
    if url.startswith(_SQLITE) and file and not Path(file).exists():
        raise DBOSInitializationError(f"there is no file {file}; `dbos migrate` or the application makes it")
    try:
        client = _Visitor(
            system_database_url=url,
            dbos_system_schema=place,
            application_name=application_name,
            retry_connection_errors=False,
        )
    except NothingThereError as error:
        raise DBOSInitializationError(f"{error.what}; `dbos migrate` makes what is missing") from error
    with client:
        yield client
