"""Before the first look: is the system schema usable, and has the operator a place for its own tables."""

from __future__ import annotations

from psycopg import errors

from dbos._error import DBOSInitializationError
from dbos.store.catalog import quote_identifier
from dbos.store.dialects.postgres import PostgresConnection
from dbos.store.migrations.runner import SchemaKind, describe_problem, ensure_schema, inspect_schema
from dbos.store.operation import Statement
from dbos_operator.errors import UnusableDatabaseError
from dbos_operator.gateway.protocol import GatewayRequest, Prepared
from dbos_operator.reasons import Reason

_TABLES = ("create_layout", "create_owned", "create_executors", "record_layout")
_NOT_ALLOWED = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)


def prepare(connection: PostgresConnection, request: GatewayRequest) -> Prepared:
    """Make the database ready for the operator.

    Raises UnusableDatabaseError, with what a person must do, when it cannot be.
    """
    created, version = _prepare_system_schema(connection, request)
    _prepare_operator_schema(connection)
    place = connection.execute(Statement("identify"))[0]
    return Prepared(identity=f"{place['identity']}/{request.schema}", schema_version=version, created=created)


def _prepare_system_schema(connection: PostgresConnection, request: GatewayRequest) -> tuple[bool, int]:
    state = inspect_schema(connection.driver, request.schema)
    absent = state.kind is SchemaKind.ABSENT
    if absent and request.initialize:
        try:
            state = ensure_schema(connection.driver, request.schema)
        except DBOSInitializationError as error:
            raise UnusableDatabaseError(Reason.SCHEMA_MISSING, str(error)) from error
    elif absent:
        message = f"there is no DBOS schema {request.schema!r} and spec.initialize is Never"
        raise UnusableDatabaseError(Reason.SCHEMA_MISSING, message)
    if not state.usable:
        reason = Reason.SCHEMA_TOO_OLD if state.kind is SchemaKind.OLDER else Reason.SCHEMA_UNUSABLE
        raise UnusableDatabaseError(reason, describe_problem(state, request.schema))
    return absent, state.version or 0


def _prepare_operator_schema(connection: PostgresConnection) -> None:
    found = connection.execute(Statement("find_operator_tables"))[0]
    if not found["tables_exist"]:
        try:
            with connection.transaction():
                _create_tables(connection)
        except _NOT_ALLOWED as error:
            raise _missing(connection, schema_exists=bool(found["schema_exists"])) from error
    try:
        usable = connection.execute(Statement("check_operator_tables"))[0]["usable"]
    except errors.InsufficientPrivilege as error:
        raise _missing(connection, schema_exists=True) from error
    if not usable:
        raise _missing(connection, schema_exists=True)


def _create_tables(connection: PostgresConnection) -> None:
    connection.execute(Statement("lock_operator_schema"))
    found = connection.execute(Statement("find_operator_tables"))[0]
    if found["tables_exist"]:
        return  # another loop was faster
    if not found["schema_exists"]:
        connection.execute(Statement("create_operator_schema"))
    for name in _TABLES:
        connection.execute(Statement(name))


def _missing(connection: PostgresConnection, *, schema_exists: bool) -> UnusableDatabaseError:
    info = connection.driver.info
    role = quote_identifier(info.user)
    remedy = (
        f"ALTER SCHEMA dbos_operator OWNER TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA dbos_operator TO {role};"
        if schema_exists
        else f"CREATE SCHEMA dbos_operator AUTHORIZATION {role};"
    )
    message = (
        f"the role {role} may not create or use the operator's own tables in database {info.dbname!r}; "
        f"nothing is written until an administrator runs: {remedy}"
    )
    return UnusableDatabaseError(Reason.OPERATOR_SCHEMA_MISSING, message)
