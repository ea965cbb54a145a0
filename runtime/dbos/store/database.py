"""SystemDatabase: open it, verify it, perform operations on it."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from psycopg.errors import DeadlockDetected

from dbos._error import DBOSInitializationError
from dbos.core.retry import reconnect_delay
from dbos.store.backend import DatabaseSettings, QueryBound, Source
from dbos.store.backends import open_backend
from dbos.store.depths import Facts, find_refusals, load_refused, load_registered
from dbos.store.dialects.engine_options import engine_options_named
from dbos.store.dialects.errors import is_connection_lost, public_error
from dbos.store.filters import StepFilter, WorkflowFilter
from dbos.store.first_use import FirstUse
from dbos.store.operation import DatabaseClosedError, Operation, Row, Statement, perform, perform_in_turn

if TYPE_CHECKING:
    from sqlalchemy import Engine

logger = logging.getLogger("dbos")
T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")

READER_THREADS = 4
MAX_DEADLOCKS = 5
"""How often an operation is tried again at once after a deadlock."""
LEAVING_SECONDS = 0.25
"""How often a process that is about to stop tries to reach a database that does not answer."""


class SystemDatabase:
    """Performs operations on pooled connections; a lost connection is tried again, as every operation is repeatable."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet.

        Raises ValueError for what is neither PostgreSQL by psycopg 3 nor SQLite, and DBOSInitializationError for
        options of an engine that cannot be.
        """
        self._settings = settings
        with engine_options_named(settings.pool.engine_options):
            self._backend = open_backend(settings)
        self.source: Source = self._backend.source
        self.has_runtime_tables = False
        """Whether the tables of executors and duties are there; see prepare_runtime_tables."""
        self._has_refusals = False
        self._readers: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._leaving = threading.Event()
        self._leave_at = 0.0
        self._first_use: FirstUse | None = None
        self._polls = threading.Semaphore(settings.polling_concurrency or max(1, settings.pool.size // 2))

    @property
    def engine(self) -> Engine:
        """An engine of SQLAlchemy on the database, for composed queries."""
        return self._backend.engine

    @property
    def schema(self) -> str:
        """The name of the system schema."""
        return self._settings.schema

    @property
    def table_schema(self) -> str | None:
        """The schema that the tables are in; None on SQLite, which has none."""
        return self._backend.schema

    @property
    def shared(self) -> bool:
        """Whether other processes can open it; nobody else opens a database in memory."""
        return self._backend.shared

    @property
    def _query_bound(self) -> QueryBound:
        return QueryBound(self._settings.query_timeout_seconds, preset=self._backend.bounds_queries)

    def prepare(self) -> None:
        """Create what is missing and verify the rest.

        Raises DBOSInitializationError for a schema that is older than ours or cannot be used.
        """
        with engine_options_named(self._settings.pool.engine_options):
            self._backend.prepare()

    def prepare_at_first_use(self, prepare: Callable[[], None]) -> None:
        """Have a function called before anything else is done with the database, when that is first tried."""
        self.source = self._first_use = FirstUse(self._backend.source, prepare)

    def check(self) -> None:
        """Prepare over a connection that works. Raises DBOSInitializationError at once when there is none."""
        self.refuse_when_closed()
        try:
            self.prepare()
        except DBOSInitializationError as error:
            if error.__cause__ is None or not is_connection_lost(error.__cause__):
                raise
            self.source.renew()  # the database may be back, and only the pooled connection gone
            self.prepare()

    def prepare_runtime_tables(self) -> bool:
        """Create the runtime's own tables (executors, duties) when absent; whether they can be used.

        Where they cannot, a warning says why, once, and what goes without. Raises DBOSInitializationError when
        the database cannot be reached.
        """
        problem = self._backend.prepare_runtime_tables()
        self.has_runtime_tables = problem is None
        if problem is not None:
            logger.warning(
                "The schema dbos_runtime cannot be used (%s): this process does not take over workflows of others that "
                "died. Let an administrator run `dbos migrate --app-role` with the role of this application",
                problem,
            )
        return self.has_runtime_tables

    def refuse_when_closed(self) -> None:
        """Raise DatabaseClosedError after close()."""
        if self._closed.is_set():
            raise DatabaseClosedError

    def grant(self, role: str) -> None:
        """Let a role of PostgreSQL use the tables. Raises DBOSInitializationError when it cannot be."""
        self._backend.grant(role)

    def reset(self, *, truncate: bool) -> None:
        """Drop the system tables, or with `truncate` only what is in them. Raises DBOSInitializationError."""
        self._backend.reset(truncate=truncate)

    def run(self, operation: Callable[[], Operation[T]]) -> T:
        """Perform an operation, on the calling thread. The operation is made anew for each try."""
        return self._retrying(lambda: self._perform(operation))

    def poll(self, operation: Callable[[], Operation[T]]) -> T:
        """Perform an operation as run does, for one of many who wait: only so many of them look at once."""
        with self._polls:
            return self.run(operation)

    @overload
    def run_together(self, first: Callable[[], Operation[T]], second: Callable[[], Operation[U]], /) -> tuple[T, U]: ...

    @overload
    def run_together(
        self,
        first: Callable[[], Operation[T]],
        second: Callable[[], Operation[U]],
        third: Callable[[], Operation[V]],
        /,
    ) -> tuple[T, U, V]: ...

    def run_together(self, *operations: Callable[[], Operation[Any]]) -> tuple[Any, ...]:
        """Perform operations of one statement each as run does, in one round trip."""

        def attempt() -> tuple[Any, ...]:
            with self.source.connection() as connection:
                return tuple(perform_in_turn([make() for make in operations], connection.execute_in_turn))

        return self._retrying(attempt)

    def transact(self, operation: Callable[[], Operation[T]]) -> T:
        """Perform an operation as run does, with all its statements in one transaction.

        The operation must know its own work when it is tried again after a commit whose answer was lost.
        """
        return self._retrying(lambda: self._perform(operation, together=True))

    def attempt(self, operation: Callable[[], Operation[T]]) -> T:
        """Perform an operation as run does, but a lost connection raises: for who would rather know than wait."""
        if self._closed.is_set():
            raise DatabaseClosedError
        try:
            return self._perform(operation)
        except Exception as error:
            if is_connection_lost(error):
                self.source.renew()  # pooled connections died with this one; the next is new
            raise

    def list_workflows(self, wanted: WorkflowFilter, *, load_input: bool, load_output: bool) -> list[Row]:
        """The rows of workflows that match. Raises DBOSQueryTimeoutError when that takes too long."""
        from dbos.store import introspection  # noqa: PLC0415 -- who lists nothing may do without SQLAlchemy

        return self._query(
            lambda engine: introspection.list_workflows(
                engine,
                self.table_schema,
                wanted,
                load_input=load_input,
                load_output=load_output,
                bound=self._query_bound,
            )
        )

    def load_facts(self, queues: Collection[str]) -> Facts:
        """What tells which workflows of these queues nobody can take."""
        registered, refused = partial(load_registered, queues), partial(load_refused, self.schema)
        if self.has_runtime_tables or self._has_refusals:
            return Facts(*self.run_together(registered, refused))
        known, self._has_refusals = self.run_together(registered, find_refusals)
        return Facts(known, self.run(refused) if self._has_refusals else frozenset())

    def list_steps(self, wanted: StepFilter) -> list[Row]:
        """The recorded steps of a workflow in order. Raises DBOSQueryTimeoutError when that takes too long."""
        from dbos.store import introspection  # noqa: PLC0415 -- as above

        return self._query(
            lambda engine: introspection.list_steps(engine, self.table_schema, wanted, bound=self._query_bound)
        )

    def _query(self, act: Callable[[Engine], T]) -> T:
        """Call a function that reads through the engine; it is called again when a connection is lost."""

        def attempt() -> T:
            if self._first_use is not None:
                self._first_use.ready()
            return act(self.engine)

        return self._retrying(attempt)

    def submit(
        self, operation: Callable[[], Operation[T]], *, together: bool = False, polls: bool = False
    ) -> Future[T]:
        """Perform an operation on one of a few reader threads, for callers that must not block.

        `together` puts all its statements in one transaction; `polls` does it as poll does.
        """
        perform = self.transact if together else self.poll if polls else self.run
        return self._submit(lambda: perform(operation))

    async def in_background(self, act: Callable[[], T]) -> T:
        """Call a function that reads the database on a reader thread, without blocking the loop."""
        return await asyncio.wrap_future(self._submit(act))

    @property
    def retries(self) -> bool:
        """Whether a lost connection is tried again."""
        return self._settings.retry

    def take_turn(self, statement: Statement) -> list[Row]:
        """Perform one statement in REPEATABLE READ, as claims under a shared limit need.

        Raises what says that another executor was faster (see `is_conflict`).
        """

        def attempt() -> list[Row]:
            with self.source.connection() as connection:
                return connection.execute_isolated(statement)

        return self._retrying(attempt)

    def give_up_after(self, seconds: float) -> None:
        """Bound how long operations wait for a database that does not answer: this process is about to stop."""
        self._leave_at = time.monotonic() + seconds
        self._leaving.set()

    def close(self) -> None:
        """Close every connection; operations that wait for the database give up, later ones raise DatabaseClosedError.

        Idempotent.
        """
        self._closed.set()
        self._leaving.set()
        with self._lock:
            readers = self._readers
        if readers is not None:
            readers.shutdown(wait=True)
        if self._settings.engine is None:
            self._backend.dispose()

    def _submit(self, act: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._closed.is_set():
                raise DatabaseClosedError
            if self._readers is None:
                self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="dbos-reader")
            return self._readers.submit(act)

    def _perform(self, operation: Callable[[], Operation[T]], *, together: bool = False) -> T:
        deadlocks = 0
        while True:
            try:
                with self.source.connection() as connection, connection.transaction() if together else nullcontext():
                    return perform(operation(), connection.execute)
            except DeadlockDetected as error:
                deadlocks += 1
                if deadlocks > MAX_DEADLOCKS:
                    raise
                logger.info("A deadlock with another process was resolved; trying again", exc_info=error)

    def _retrying(self, act: Callable[[], T]) -> T:
        attempt = 0
        while True:
            if self._closed.is_set():
                raise DatabaseClosedError
            try:
                return act()
            except Exception as error:
                if not is_connection_lost(error):
                    raise
                if not self._settings.retry:
                    self.source.renew()  # pooled connections died with this one; the next is new
                    told = public_error(error)
                    raise told from told.__cause__
                if self._gives_up():
                    self.source.renew()
                    raise
                attempt += 1
                self._wait(attempt, error)

    def _wait(self, attempt: int, error: Exception) -> None:
        if attempt == 1:
            self.source.renew()  # pooled connections died with this one; the next is new
            return
        delay = reconnect_delay(attempt - 1, random.uniform(0.5, 1.5))  # noqa: S311 -- spreads reconnections
        logger.warning("The system database does not answer; trying again in %.1f s", delay, exc_info=error)
        if self._leaving.wait(delay):
            self._closed.wait(LEAVING_SECONDS)

    def _gives_up(self) -> bool:
        return self._closed.is_set() or (self._leaving.is_set() and time.monotonic() >= self._leave_at)
