"""Options that a user gives for an engine of SQLAlchemy, when they cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from dbos._error import DBOSInitializationError


@contextmanager
def engine_options_named(options: Mapping[str, Any]) -> Iterator[None]:
    """Have what is wrong with options of an engine told by the name of their setting.

    Engines and drivers refuse them where an engine is made or first connects. Raises DBOSInitializationError.
    """
    try:
        yield
    except Exception as error:
        if options and _is_about_arguments(error):
            raise DBOSInitializationError(f"db_engine_kwargs: {' '.join(str(error).split())}") from error
        raise


def _is_about_arguments(error: Exception) -> bool:
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 -- there are options only where there is SQLAlchemy

    # The class itself is what a connection raises; statements raise classes below it.
    return isinstance(error, TypeError | ArgumentError) or type(error) is psycopg.ProgrammingError
