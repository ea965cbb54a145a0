"""Checkpoints in the database of the user: written in his transaction, so that both are there or neither.

What takes a session is plain code on it; an asynchronous session runs it by `run_sync`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from sqlalchemy import Connection, bindparam, event, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError

from dbos._error import DBOSInitializationError
from dbos.store.catalog import Catalog, quote_identifier
from dbos.store.dialects.errors import is_connection_lost
from dbos.store.dialects.sqlite import is_busy
from dbos.store.dialects.sqlite_text import CLOCK, translate

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ISOLATION_LEVELS: Final = ("SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED")
VERSION: Final = 1
"""Of the tables of a datasource."""

_POSTGRES_CLOCK = "((EXTRACT(epoch FROM now()) * 1000)::bigint)"
_CONFLICTS = {"40001", "40P01"}
_CURSORS = "dbos_cursors"
"""Where a session on SQLite keeps the cursors of its transaction."""


class CheckpointTakenError(Exception):
    """Another execution has recorded the step meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCheckpoint:
    """What a transaction of a workflow gave, as it is stored beside the user's data."""

    output: str | None = None
    error: str | None = None
    serialization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKey:
    """Which step of which workflow it is, and who runs it."""

    workflow_id: str
    step_id: int
    name: str
    executor_id: str


@dataclass(frozen=True, slots=True)
class CheckpointKind:
    """Whose checkpoints they are: where the statements lie, and which tables they ask for."""

    package: str
    tables: tuple[str, ...]


DATASOURCE: Final = CheckpointKind("dbos.store.sql.datasource", ("datasource_outputs", "dbos_datasource_migrations"))
TRANSACTIONS: Final = CheckpointKind("dbos.store.sql.transactions", ("transaction_outputs",))


class CheckpointTable:
    """The table of checkpoints of one database: its statements, and how it is made."""

    def __init__(self, kind: CheckpointKind, *, schema: str, sqlite: bool) -> None:
        self._kind = kind
        self._sqlite = sqlite
        self._schema = schema
        self._statements = Catalog.load(kind.package, schema=schema, translate=self._spell)

    def load(self, session: Session, key: StepKey) -> StepCheckpoint | None:
        """What is recorded for a step; a statement outside of transactions."""
        found = _alone(session).execute(self._query("load_checkpoint"), _place(key)).mappings().first()
        return None if found is None else StepCheckpoint(**found)

    def insert(self, session: Session, key: StepKey, checkpoint: StepCheckpoint) -> None:
        """Record a step in the transaction of the session. Raises CheckpointTakenError."""
        row = {
            **_place(key),
            "output": checkpoint.output,
            "error": checkpoint.error,
            "serialization": checkpoint.serialization,
            "executor_id": key.executor_id,
            "function_name": key.name,
        }
        statement = self._query("insert_checkpoint")
        wanted = {name: row[name] for name in statement.compile().params}
        try:
            session.connection().execute(statement, wanted)
        except IntegrityError as error:
            raise CheckpointTakenError(str(error.orig)) from error

    def delete(self, session: Session, workflow_id: str, first_step: int) -> None:
        """Remove the checkpoints of a workflow from a step on; a statement outside of transactions."""
        place = {"workflow_id": workflow_id, "first_step": first_step}
        _alone(session).execute(self._query("delete_checkpoints"), place)

    def find(self, session: Session, workflow_ids: Sequence[str]) -> list[str]:
        """Of these workflows the ones that have checkpoints; a statement outside of transactions."""
        query = self._query("find_checkpoints").bindparams(
            bindparam("workflow_ids", list(workflow_ids), expanding=True)
        )
        return list(_alone(session).execute(query).scalars())

    def prepare(self, connection: Connection, *, role: str | None = None) -> None:
        """Create the tables unless they are there, and let a role use them; of any number of processes one does it.

        The connection is in a transaction that the caller commits. Raises what the database says.
        """
        if not self.is_ready(connection):
            self._create(connection)
        if role is not None and not self._sqlite:
            self._grant(connection, role)

    def _create(self, connection: Connection) -> None:
        if self._sqlite:
            begin_immediate(connection)
        else:
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": migration_lock(self._schema)})
            if not inspect(connection).has_schema(self._schema):
                connection.exec_driver_sql(f"CREATE SCHEMA {quote_identifier(self._schema)}".replace("%", "%%"))
        for name in ("create_version_table", "create_checkpoint_table", "create_index", "insert_version"):
            if name in self._statements:
                connection.execute(self._query(name))

    def verify(self, connection: Connection) -> None:
        """Raise DBOSInitializationError when the tables are absent or older than ours."""
        if not self.is_ready(connection):
            where = connection.engine.url.render_as_string(hide_password=True)
            raise DBOSInitializationError(
                f"the tables of the datasource are absent or outdated in {where}; call migrate(), or let "
                "create() make them with run_migrations=True"
            )

    def is_ready(self, connection: Connection) -> bool:
        """Whether the tables are there, in our version or a newer one."""
        found = inspect(connection)
        schema = None if self._sqlite else self._schema
        if not all(found.has_table(name, schema=schema) for name in self._kind.tables):
            return False
        if "load_version" not in self._statements:
            return True
        version = connection.execute(self._query("load_version")).scalar()
        return version is not None and int(version) >= VERSION

    def _grant(self, connection: Connection, role: str) -> None:
        schema, to = quote_identifier(self._schema), quote_identifier(role)
        tables = ", ".join(f"{schema}.{name}" for name in self._kind.tables)
        for right in (f"USAGE ON SCHEMA {schema}", f"ALL ON {tables}"):
            connection.exec_driver_sql(f"GRANT {right} TO {to}".replace("%", "%%"))

    def _query(self, name: str) -> Any:
        return text(self._statements[name])

    def _spell(self, statement: str) -> str:
        if self._sqlite:
            return translate(statement.replace("{clock}", f"({CLOCK})"))
        schema = quote_identifier(self._schema).replace(":", "\\:")
        return statement.replace("{clock}", _POSTGRES_CLOCK).replace("{schema}", schema)


def begin(session: Session, isolation_level: str) -> None:
    """Begin a transaction; on SQLite, which runs one at a time, with the write lock from the start."""
    if session.get_bind().dialect.name == "sqlite":
        connection = session.connection()
        begin_immediate(connection)
        session.info[_CURSORS] = _cursors_of(connection)
    else:
        session.connection(execution_options={"isolation_level": isolation_level})


def begin_immediate(connection: Connection) -> None:
    """Take the write lock of a SQLite file, unless the transaction has it: what is read then still holds at the end."""
    if not getattr(connection.connection.driver_connection, "in_transaction", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def commit(session: Session) -> None:
    """Send what the session holds back, and commit."""
    session.commit()


@contextmanager
def kept_open(session: Any) -> Generator[None]:
    """While a function of the user has the session: commit() and rollback() raise InvalidRequestError.

    A transaction that ended early would be recorded apart from what it did.
    """

    def refusing(name: str) -> Callable[[], Any]:
        def refuse() -> None:
            raise InvalidRequestError(
                f"{name}() of the session: the transaction ends with its function, which returns to commit and "
                "raises to roll back; nothing was done"
            )

        async def refuse_on_loop() -> None:
            refuse()

        return refuse_on_loop if iscoroutinefunction(getattr(type(session), name)) else refuse

    names = ("commit", "rollback")
    for name in names:
        setattr(session, name, refusing(name))
    try:
        yield
    finally:
        for name in names:
            delattr(session, name)


def flush(session: Session) -> None:
    """Send what the session holds back: an error of it is one of the user's."""
    session.flush()


def is_usable(session: Session) -> bool:
    """Whether the transaction's connection is still there."""
    return not session.connection().invalidated


def close(session: Session) -> None:
    """Roll back what is not committed and give the connection back; one that is of no use is dropped."""
    try:
        session.close()
    except DBAPIError:  # the connection is lost; so is its transaction
        session.invalidate()


def abandon(session: Session) -> None:
    """As close, after a failure; results that were not read to their end are closed too.

    In a SQLite file such a result holds a lock against every other connection for as long as anything refers to it,
    be it the error's traceback.
    """
    for cursor in list(session.info.pop(_CURSORS, ())):
        with suppress(sqlite3.Error):
            cursor.close()
    close(session)


def _cursors_of(connection: Connection) -> WeakSet[sqlite3.Cursor]:
    """The cursors that are opened on a connection from now on, while they are referred to."""
    cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def note(_connection: Connection, cursor: object, *_rest: object) -> None:
        if isinstance(cursor, sqlite3.Cursor):  # those of event loops hold all that they read
            cursors.add(cursor)

    event.listen(connection, "after_cursor_execute", note)
    return cursors


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way: the whole transaction is to be tried again."""
    if isinstance(error, CheckpointTakenError):
        return True
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return state in _CONFLICTS or is_busy(error)


def is_lost(error: BaseException) -> bool:
    """Whether the connection was lost, or none was to be had: trying again later is right."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or (not is_busy(error) and is_connection_lost(error))


def migration_lock(schema: str) -> int:
    """The key of the advisory lock under which the tables are made; every SDK takes the same."""
    digest = hashlib.sha256(f"dbos.datasource_migrations.{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _alone(session: Session) -> Connection:
    return session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


def _place(key: StepKey) -> dict[str, Any]:
    return {"workflow_id": key.workflow_id, "step_id": key.step_id}
