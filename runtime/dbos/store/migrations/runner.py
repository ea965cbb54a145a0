"""Creates the system database and its schema; refuses what it cannot work with."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors

from dbos._error import DBOSInitializationError
from dbos.store.catalog import quote_identifier
from dbos.store.migrations.inspection import (
    SchemaFacts,
    SchemaKind,
    SchemaState,
    describe_problem,
    inspect_schema,
    judge,
    load_facts,
)
from dbos.store.migrations.requirements import SCHEMA_VERSION, NothingThereError

__all__ = [
    "SCHEMA_VERSION",
    "SchemaKind",
    "SchemaState",
    "create_database_if_missing",
    "describe_problem",
    "ensure_schema",
    "has_database",
    "inspect_schema",
    "require_schema",
]

logger = logging.getLogger(__name__)

MIGRATION_LOCK = 1234567890
"""The advisory lock that every SDK holds while it creates or migrates a schema."""
LOCK_WAIT_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 1.0
_MAINTENANCE = "postgres"
"""The database that every server has."""

_NOT_ALLOWED = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)
_IN_THE_WAY = (
    errors.DuplicateSchema,
    errors.DuplicateTable,
    errors.DuplicateObject,
    errors.DuplicateFunction,
    errors.InvalidFunctionDefinition,
    errors.UniqueViolation,
)


def ensure_schema(driver: psycopg.Connection[Any], schema: str, *, use_listen_notify: bool = True) -> SchemaState:
    """Make sure that the schema can be used, creating it when there is none; its state.

    Of any number of processes that start at once exactly one creates it, in one transaction, and all
    succeed. A usable schema costs one statement. The connection is in autocommit and idle.

    Raises DBOSInitializationError for a schema that is older, damaged or sharded, and when the role may
    not create one.
    """
    state = inspect_schema(driver, schema)
    if not state.usable:
        state = _settle(driver, schema, use_listen_notify=use_listen_notify)
    if not state.usable:
        raise DBOSInitializationError(describe_problem(state, schema))
    return state


def require_schema(driver: psycopg.Connection[Any], schema: str) -> SchemaState:
    """The state of a schema that somebody else creates. Raises DBOSInitializationError unless it can be used."""
    state = inspect_schema(driver, schema)
    if state.kind is SchemaKind.ABSENT:
        raise NothingThereError(describe_problem(state, schema).rstrip("."))
    if not state.usable:
        raise DBOSInitializationError(describe_problem(state, schema))
    return state


def _settle(driver: psycopg.Connection[Any], schema: str, *, use_listen_notify: bool) -> SchemaState:
    """Wait for whoever is migrating, then create what is absent.

    The lock is held by the transaction, not the session: it shares one key space with the session locks of
    other SDKs, and goes with the connection even through a proxy that pools transactions.
    """
    for pause in _pauses(LOCK_WAIT_SECONDS):
        state = _attempt(driver, schema, use_listen_notify=use_listen_notify, locked=True)
        if state is not None:
            return state
        time.sleep(pause)
    logger.warning("another process has held the migration lock for long; going on", extra={"schema": schema})
    state = _attempt(driver, schema, use_listen_notify=use_listen_notify, locked=False)
    assert state is not None, "only a lock that is held leaves the state open"
    return state


def _attempt(
    driver: psycopg.Connection[Any], schema: str, *, use_listen_notify: bool, locked: bool
) -> SchemaState | None:
    """The state of the schema after creating what is absent; None while somebody else is at it."""
    try:
        with driver.transaction():
            if not locked or _try_lock(driver):
                return _create_if_absent(driver, schema, use_listen_notify=use_listen_notify)
        state = inspect_schema(driver, schema)
    except _IN_THE_WAY as error:
        state = inspect_schema(driver, schema)
        if not state.usable:
            place = quote_identifier(schema)
            raise DBOSInitializationError(
                f"The DBOS tables could not be created in the schema {place}: {error.diag.message_primary}. "
                "Drop or rename what is in the way, or configure another schema."
            ) from error
    return state if state.usable else None


def _pauses(total: float) -> Iterator[float]:
    """How long to wait between looks, a little longer each time, until the total is used up."""
    deadline = time.monotonic() + total
    pause = 0.02
    while time.monotonic() < deadline:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _try_lock(driver: psycopg.Connection[Any]) -> bool:
    # Under a stricter default, statements after the lock would still see the database as it was before.
    driver.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    with driver.cursor(row_factory=psycopg.rows.scalar_row) as cursor:
        return bool(cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (MIGRATION_LOCK,)).fetchone())


def _create_if_absent(driver: psycopg.Connection[Any], schema: str, *, use_listen_notify: bool) -> SchemaState:
    facts = load_facts(driver, schema)
    state = judge(facts)
    if state.kind is not SchemaKind.ABSENT:
        return state
    try:
        _create(driver, schema, facts, use_listen_notify=use_listen_notify)
    except _NOT_ALLOWED as error:
        raise DBOSInitializationError(_refused(driver, schema, facts, error)) from error
    logger.info("created the system schema", extra={"schema": schema, "version": SCHEMA_VERSION})
    return inspect_schema(driver, schema)


def _create(driver: psycopg.Connection[Any], schema: str, facts: SchemaFacts, *, use_listen_notify: bool) -> None:
    if not facts.schema_exists:
        # IF NOT EXISTS would ask for the right to create schemas even where an administrator made this one.
        driver.execute(f"CREATE SCHEMA {quote_identifier(schema)}".encode())
    for script in read_scripts(schema, use_listen_notify=use_listen_notify):
        driver.execute(script.encode())


def read_scripts(schema: str, *, use_listen_notify: bool) -> list[str]:
    """The statements that create the schema's objects, for one schema, in order.

    They are executed without parameters: a percent sign in the schema's name means itself.
    """
    folder = files("dbos.store.migrations") / "postgres"
    scripts = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    values = {"{schema}": quote_identifier(schema), "{body}": _body_tag(schema)}
    return [
        re.sub(r"\{(?:schema|body)\}", lambda place: values[place[0]], script.read_text(encoding="utf-8"))
        for script in scripts
        if use_listen_notify or "notifications_trigger" not in script.name
    ]


def _body_tag(schema: str) -> str:
    """A dollar quote that the schema's name cannot end."""
    tag = "$body$"
    while tag in schema:
        tag = f"{tag[:-1]}_$"
    return tag


def _refused(driver: psycopg.Connection[Any], schema: str, facts: SchemaFacts, error: psycopg.Error) -> str:
    info = driver.info
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return f"The database {info.dbname!r} is read-only: DBOS cannot create the schema {quote_identifier(schema)}."
    role, database, place = (quote_identifier(name) for name in (info.user, info.dbname, schema))
    grant = (
        f"GRANT USAGE, CREATE ON SCHEMA {place} TO {role}"
        if facts.schema_exists
        else f"GRANT CREATE ON DATABASE {database} TO {role}"
    )
    return (
        f"The schema {place} holds no DBOS tables and the role {role} may not create them "
        f"({error.diag.message_primary}). Let an administrator run `{grant}`, then start again."
    )


def create_database_if_missing(arguments: Mapping[str, Any]) -> None:
    """Create the database that `dbname` of a connection's arguments names, through `postgres`, if there is none.

    A role that may not, or a server that cannot be reached, is only logged: the connection that follows
    tells what is wrong.
    """
    try:
        _connect(arguments).close()
    except psycopg.errors.ConnectionTimeout:
        logger.warning("the database server did not answer", extra={"database": arguments["dbname"]})
    except psycopg.OperationalError:
        _create_database(arguments)


def has_database(arguments: Mapping[str, Any]) -> bool:
    """Whether the server has the database that `dbname` names; True also when `postgres` there cannot be asked."""
    try:
        with _connect({**arguments, "dbname": _MAINTENANCE}) as driver:
            return _is_there(driver, str(arguments["dbname"]))
    except psycopg.Error:
        return True


def _is_there(driver: psycopg.Connection[Any], name: str) -> bool:
    return driver.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def _create_database(arguments: Mapping[str, Any]) -> None:
    name = str(arguments["dbname"])
    try:
        with _connect({**arguments, "dbname": _MAINTENANCE}) as driver:
            if not _is_there(driver, name):
                driver.execute(f"CREATE DATABASE {quote_identifier(name)}".encode())
                logger.info("created the database", extra={"database": name})
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        logger.debug("another process created the database meanwhile", extra={"database": name})
    except psycopg.Error as error:
        logger.warning("could not create the database: %s", error, extra={"database": name})


def _connect(arguments: Mapping[str, Any]) -> psycopg.Connection[Any]:
    return psycopg.connect(**{"connect_timeout": 10, **arguments}, autocommit=True)
