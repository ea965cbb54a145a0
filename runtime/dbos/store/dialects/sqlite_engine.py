"""SQLite through an engine of SQLAlchemy: how a file is opened, and the functions that its connections get."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool, StaticPool

from dbos.store.dialects.sqlite import BUSY_SECONDS, CONTAINS_FUNCTION, configure, database_file

MINIMUM = (3, 38, 0)
"""RETURNING, UPDATE … FROM and JSON functions without an extension."""


def open_engine(url: URL, *, size: int, options: Mapping[str, Any]) -> Engine:
    """A pool of connections to a database file; nothing is opened yet.

    Raises ValueError for a release of SQLite that is too old.
    """
    if sqlite3.sqlite_version_info < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise ValueError(f"expected SQLite {wanted} or newer, this Python has {sqlite3.sqlite_version}")
    in_memory = database_file(url) is None
    chosen: dict[str, Any] = (
        {"poolclass": StaticPool}  # each connection would be a database of its own
        if in_memory
        else {"poolclass": QueuePool, "pool_size": size, "max_overflow": 0, "pool_timeout": 30}
    )
    engine = create_engine(url.set(drivername="sqlite"), **{**chosen, **_arguments(options)})
    event.listen(engine, "connect", lambda driver, _record: configure(driver))
    return engine


def add_functions(engine: Engine) -> None:
    """Give every connection that the engine makes from now on what PostgreSQL has built in."""
    event.listen(
        engine,
        "connect",
        lambda driver, _record: driver.create_function(CONTAINS_FUNCTION, 2, _contains, deterministic=True),
    )


def _contains(text: str | None, sought: str) -> bool:
    return text is not None and _holds(json.loads(text), json.loads(sought))


def _holds(value: Any, sought: Any) -> bool:
    """As `@>` of PostgreSQL: an object has the keys with such values, a list has such items in any order."""
    if isinstance(value, dict) and isinstance(sought, dict):
        return all(key in value and _holds(value[key], item) for key, item in sought.items())
    if isinstance(value, list) and isinstance(sought, list):
        return all(any(_holds(item, wanted) for item in value) for wanted in sought)
    return type(value) is type(sought) and bool(value == sought)


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    connect = {"timeout": BUSY_SECONDS, "check_same_thread": False, **options.get("connect_args", {})}
    return {**options, "connect_args": connect}
