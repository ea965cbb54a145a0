"""Datasources: databases of the application in which steps of workflows run as transactions, exactly once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar, overload

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from dbos._error import DBOSException, DBOSInitializationError
from dbos.api.runtime import engine, process
from dbos.core.ids import check_text
from dbos.engine.context import recording_execution
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.transactions import (
    NOWHERE,
    Format,
    TransactionFunction,
    refuse_level,
    run_plainly,
    run_transaction,
    session_of,
)
from dbos.store.backend import told_by
from dbos.store.checkpoints import DATASOURCE, ISOLATION_LEVELS
from dbos.store.user_database import AsyncUserDatabase, SyncUserDatabase, UserDatabaseSettings

P = ParamSpec("P")
R = TypeVar("R")

IsolationLevel = Literal["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"]
DEFAULT_SCHEMA = "dbos"


class DatasourceOptions(TypedDict, total=False):
    """The options of a transaction: its name as a step, and how it is isolated from others."""

    name: str | None
    isolation_level: IsolationLevel | None


class SQLAlchemyDatasource:
    """A PostgreSQL or SQLite database of the application, by an engine of SQLAlchemy. Make it with create()."""

    def __init__(self, database: SyncUserDatabase, serializer: Format | None) -> None:
        self._database = database
        self._serializer = serializer

    @staticmethod
    def create(  # noqa: PLR0917 -- as every release has it
        database_url: str,
        engine_kwargs: dict[str, Any] | None = None,
        engine: Engine | None = None,
        schema: str | None = None,
        serializer: Format | None = None,
        sessionmaker: sessionmaker[Any] | None = None,
        run_migrations: bool = True,
    ) -> SQLAlchemyDatasource:
        """Open a database of the application; before DBOS.launch().

        Its checkpoints are in the table `datasource_outputs` of `schema` (default `dbos`), which is made
        when it is absent; with `run_migrations=False` it must be there. An `engine` of your own is used
        instead of the URL, and `sessionmaker` for its sessions. `serializer` stores results beside your data
        (default: that of the application). Raises DBOSInitializationError for a database that cannot be
        used, and DBOSException after launch.
        """
        _refuse_after_launch()
        if engine is not None and not isinstance(engine, Engine):
            raise TypeError(f"engine: expected an Engine of SQLAlchemy, got {engine!r}")
        database = _sync_database(database_url, engine_kwargs, engine, schema, sessionmaker)
        act = database.table.prepare if run_migrations else database.table.verify
        try:
            database.run(act)
        except SQLAlchemyError as error:
            raise _unusable(database.engine, error) from error
        return SQLAlchemyDatasource(database, serializer)

    @staticmethod
    def migrate(database_url: str, *, schema: str | None = None, application_role: str | None = None) -> None:
        """Make the tables of a datasource, for an application that may not; that role may then use them."""
        database = _sync_database(database_url, None, None, schema, None)
        try:
            database.run(lambda connection: database.table.prepare(connection, role=application_role))
        except SQLAlchemyError as error:
            raise _unusable(database.engine, error) from error
        finally:
            database.dispose()

    @overload
    def transaction(self, func: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def transaction(
        self, *, name: str | None = None, isolation_level: IsolationLevel = "SERIALIZABLE"
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def transaction(
        self,
        func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        isolation_level: IsolationLevel = "SERIALIZABLE",
    ) -> Any:
        """Make a function a transaction of this database; in a workflow it is a step that happens exactly once.

        It commits when the function returns and is rolled back when it raises; sql_session() is its session.
        Conflicts with other transactions are tried again: the function may be called several times, and
        only the last call counts. Outside of workflows, and in steps, it is a transaction that nobody records.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            return self._wrap(self._function(function, name, isolation_level))

        return decorate if func is None else decorate(func)

    def run_tx_step(
        self, ds_options: DatasourceOptions | None, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run a function as a transaction, as one that @transaction decorates; its result."""
        name, level = _options_of(ds_options)
        result: R = self._wrap(self._function(func, name, level))(*args, **kwargs)
        return result

    def sql_session(self) -> Session:
        """The session of the transaction that runs here. Raises DBOSException outside of transactions."""
        session: Session | None = session_of(self._database)
        if session is None:
            raise DBOSException("sql_session() is for functions that run as transactions of this datasource")
        return session

    def _function(self, func: Callable[..., Any], name: str | None, level: str) -> TransactionFunction:
        if inspect.iscoroutinefunction(func):
            raise DBOSException(f"{_name_of(func)} is a coroutine function; AsyncSQLAlchemyDatasource is for those")
        return _transaction_of(self._database, self._serializer, func, name, level)

    def _wrap(self, transaction: TransactionFunction) -> Callable[..., Any]:
        @functools.wraps(transaction.function)
        def call(*args: Any, **kwargs: Any) -> Any:
            execution = recording_execution()
            if execution is None:
                return run_blocking(run_plainly(transaction, args, kwargs), NOWHERE).unwrap()
            services = engine().services
            return run_blocking(run_transaction(services, execution, transaction, args, kwargs), services).unwrap()

        return call


class AsyncSQLAlchemyDatasource:
    """As SQLAlchemyDatasource, for coroutine functions. Make it with `await create()`."""

    def __init__(self, database: AsyncUserDatabase, serializer: Format | None) -> None:
        self._database = database
        self._serializer = serializer

    @staticmethod
    async def create(  # noqa: PLR0917 -- as every release has it
        database_url: str,
        engine_kwargs: dict[str, Any] | None = None,
        engine: AsyncEngine | None = None,
        schema: str | None = None,
        serializer: Format | None = None,
        sessionmaker: async_sessionmaker[Any] | None = None,
        run_migrations: bool = True,
    ) -> AsyncSQLAlchemyDatasource:
        """As SQLAlchemyDatasource.create. PostgreSQL by psycopg, or by the driver that the URL names."""
        _refuse_after_launch()
        if engine is not None and not isinstance(engine, AsyncEngine):
            raise TypeError(f"engine: expected an AsyncEngine of SQLAlchemy, got {engine!r}")
        database = _async_database(database_url, engine_kwargs, engine, schema, sessionmaker)
        act = database.table.prepare if run_migrations else database.table.verify
        try:
            await database.run(act)
        except SQLAlchemyError as error:
            raise _unusable(database.engine.sync_engine, error) from error
        return AsyncSQLAlchemyDatasource(database, serializer)

    @staticmethod
    async def migrate(database_url: str, *, schema: str | None = None, application_role: str | None = None) -> None:
        """As SQLAlchemyDatasource.migrate."""
        database = _async_database(database_url, None, None, schema, None)
        try:
            await database.run(lambda connection: database.table.prepare(connection, role=application_role))
        except SQLAlchemyError as error:
            raise _unusable(database.engine.sync_engine, error) from error
        finally:
            await database.engine.dispose()

    @overload
    def transaction(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> Callable[P, Coroutine[Any, Any, R]]: ...

    @overload
    def transaction(
        self, *, name: str | None = None, isolation_level: IsolationLevel = "SERIALIZABLE"
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]: ...

    def transaction(
        self,
        func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        isolation_level: IsolationLevel = "SERIALIZABLE",
    ) -> Any:
        """As SQLAlchemyDatasource.transaction, for a coroutine function."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            return self._wrap(self._function(function, name, isolation_level))

        return decorate if func is None else decorate(func)

    async def run_tx_step_async(
        self,
        ds_options: DatasourceOptions | None,
        func: Callable[P, Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As SQLAlchemyDatasource.run_tx_step, for a coroutine function."""
        name, level = _options_of(ds_options)
        result: R = await self._wrap(self._function(func, name, level))(*args, **kwargs)
        return result

    def sql_session(self) -> AsyncSession:
        """The session of the transaction that runs here. Raises DBOSException outside of transactions."""
        session: AsyncSession | None = session_of(self._database)
        if session is None:
            raise DBOSException("sql_session() is for functions that run as transactions of this datasource")
        return session

    def _function(self, func: Callable[..., Any], name: str | None, level: str) -> TransactionFunction:
        if not inspect.iscoroutinefunction(func):
            raise DBOSException(f"{_name_of(func)} is no coroutine function; SQLAlchemyDatasource is for those")
        return _transaction_of(self._database, self._serializer, func, name, level)

    def _wrap(self, transaction: TransactionFunction) -> Callable[..., Any]:
        @functools.wraps(transaction.function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            execution = recording_execution()
            if execution is None:
                return (await run_on_loop(run_plainly(transaction, args, kwargs), NOWHERE)).unwrap()
            services = engine().services
            plan = run_transaction(services, execution, transaction, args, kwargs)
            return (await run_on_loop(plan, services)).unwrap()

        return call


def _transaction_of(
    database: SyncUserDatabase | AsyncUserDatabase,
    serializer: Format | None,
    func: Callable[..., Any],
    name: str | None,
    level: str,
) -> TransactionFunction:
    refuse_level(level, ISOLATION_LEVELS)
    return TransactionFunction(
        name=_name_of(func) if name is None else check_text(name, subject="name"),
        function=func,
        database=database,
        isolation_level=level,
        format=serializer,
    )


def _options_of(options: Mapping[str, Any] | None) -> tuple[str | None, str]:
    given = options or {}
    unknown = sorted(set(given) - set(DatasourceOptions.__annotations__))
    if unknown:
        known = ", ".join(sorted(DatasourceOptions.__annotations__))
        raise TypeError(f"DatasourceOptions: unknown {', '.join(unknown)}; known are {known}")
    return given.get("name"), given.get("isolation_level") or ISOLATION_LEVELS[0]


def _name_of(func: Callable[..., Any]) -> str:
    return str(getattr(func, "__qualname__", type(func).__qualname__))


def _sync_database(
    url: str, options: dict[str, Any] | None, engine: Engine | None, schema: str | None, make_session: Any
) -> SyncUserDatabase:
    try:
        return SyncUserDatabase(_settings(url, options, engine, schema, make_session))
    except ValueError as error:
        raise DBOSInitializationError(f"database_url: {error}") from error


def _async_database(
    url: str, options: dict[str, Any] | None, engine: AsyncEngine | None, schema: str | None, make_session: Any
) -> AsyncUserDatabase:
    try:
        return AsyncUserDatabase(_settings(url, options, engine, schema, make_session))
    except ValueError as error:
        raise DBOSInitializationError(f"database_url: {error}") from error


def _settings(
    url: str, options: dict[str, Any] | None, engine: Any, schema: str | None, make_session: Any
) -> UserDatabaseSettings:
    if engine is None and not isinstance(url, str):
        raise ValueError(f"expected the URL of a database, got {url!r}")
    return UserDatabaseSettings(
        kind=DATASOURCE,
        url=url,
        schema=DEFAULT_SCHEMA if schema is None else schema,
        engine_options=options or {},
        engine=engine,
        make_session=make_session,
    )


def _refuse_after_launch() -> None:
    application = process.application
    if application is not None and application.engine is not None:
        raise DBOSException("Datasources are created before DBOS.launch()")


def _unusable(engine: Engine, error: SQLAlchemyError) -> DBOSInitializationError:
    where = engine.url.render_as_string(hide_password=True)
    told = told_by(error)
    return DBOSInitializationError(f"the datasource {where} cannot be used: {told}")
