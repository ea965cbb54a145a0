"""Databases of the user: opened for his transactions, with our checkpoints beside his tables."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

from dbos.store.checkpoint_removal import known_databases
from dbos.store.checkpoints import CheckpointKind, CheckpointTable
from dbos.store.dialects.sqlite import BUSY_SECONDS, database_file
from dbos.store.urls import read_url

if TYPE_CHECKING:  # the object mapper and greenlets cost a process that has no transactions time and memory
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

logger = logging.getLogger("dbos")
T = TypeVar("T")

FORGET_SECONDS = 30.0
"""How long the removal of checkpoints may take on a loop of the application."""
_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "postgresql+psycopg"),
    "postgres": ("postgresql+psycopg", "postgresql+psycopg"),
    "sqlite": ("sqlite", "sqlite+aiosqlite"),
}
"""The drivers of a URL that names none: for threads, and for event loops."""
_SYNC_TWINS = {"postgresql+psycopg": "postgresql+psycopg", "sqlite+aiosqlite": "sqlite"}
_POOL = {"pool_size": 20, "max_overflow": 0, "pool_timeout": 30, "pool_pre_ping": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDatabaseSettings:
    """Where a database of the user is, how it is opened, and which checkpoints it holds."""

    kind: CheckpointKind
    url: str = ""
    schema: str = "dbos"
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    engine: Any = None
    """An engine of the user, which he disposes of."""
    make_session: Any = None
    """A sessionmaker of the user."""


class SyncUserDatabase:
    """A database whose transactions run in threads."""

    is_async = False

    def __init__(self, settings: UserDatabaseSettings) -> None:
        """Nothing is connected yet. Raises ValueError, without the password, for a URL that cannot be used."""
        self._owned = settings.engine is None
        self.engine: Engine = settings.engine or _open(settings, create_engine, asynchronous=False)
        _check_dialect(self.engine)
        self._make_session = settings.make_session or _session_maker()
        self.table = _table(settings, self.engine)
        known_databases.add(self)

    def open(self) -> Session:
        """A new session; it is connected when it is first used."""
        session: Session = self._make_session(bind=self.engine)
        return session

    def act(self, session: Session, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the session."""
        return function(session, *args)

    def forget(self, workflow_id: str, first_step: int = 0) -> None:
        """Remove the checkpoints of a workflow from a step on. Blocks."""
        with self.open() as session:
            self.table.delete(session, workflow_id, first_step)

    def find_checkpoints(self, workflow_ids: Sequence[str]) -> list[str]:
        """Of these workflows the ones that have checkpoints here. Blocks."""
        with self.open() as session:
            return self.table.find(session, workflow_ids)

    def run(self, act: Callable[[Connection], T]) -> T:
        """Call a function on a connection, in one transaction."""
        with self.engine.begin() as connection:
            return act(connection)

    def dispose(self) -> None:
        """Close every pooled connection, unless the engine is the user's."""
        if self._owned:
            self.engine.dispose()


class AsyncUserDatabase:
    """A database whose transactions run on event loops; each loop has connections of its own."""

    is_async = True

    def __init__(self, settings: UserDatabaseSettings) -> None:
        """Nothing is connected yet. Raises ValueError, without the password, for a URL that cannot be used."""
        self._settings = settings
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = WeakKeyDictionary()
        self._given: AsyncEngine | None = settings.engine
        first = self._given or self._new_engine()  # tells what is wrong with a URL
        _check_dialect(first.sync_engine)
        from sqlalchemy.ext.asyncio import async_sessionmaker  # noqa: PLC0415 -- see above

        self._make_session = settings.make_session or async_sessionmaker(expire_on_commit=False)
        self.table = _table(settings, first.sync_engine)
        self._cleaning = None if self._given is not None else _sync_sibling(settings)
        known_databases.add(self)

    @property
    def engine(self) -> AsyncEngine:
        """The engine of the running loop: connections belong to the loop that made them."""
        loop = asyncio.get_running_loop()
        engine = self._engines.get(loop)
        if engine is None:
            engine = self._engines[loop] = self._given or self._new_engine()
        return engine

    async def open(self) -> AsyncSession:
        """A new session; it is connected when it is first used."""
        session: AsyncSession = self._make_session(bind=self.engine)
        return session

    async def act(self, session: AsyncSession, function: Callable[..., T], *args: Any) -> T:
        """Call a function on the session that is inside of the asynchronous one."""
        return await session.run_sync(function, *args)

    def forget(self, workflow_id: str, first_step: int = 0) -> None:
        """Remove the checkpoints of a workflow from a step on. Blocks; not for a thread with an event loop.

        By an engine for threads where there is one: the loop that made them may have ended, or be busy.
        """
        if self._cleaning is not None:
            with _session_maker()(bind=self._cleaning) as session:
                self.table.delete(session, workflow_id, first_step)
            return
        loop = next((each for each in list(self._engines) if each.is_running()), None)
        if loop is None:
            asyncio.run(self._forget_and_dispose(workflow_id, first_step))
        else:
            asyncio.run_coroutine_threadsafe(self._forget(workflow_id, first_step), loop).result(FORGET_SECONDS)

    def find_checkpoints(self, workflow_ids: Sequence[str]) -> list[str]:
        """Of these workflows the ones that have checkpoints here; none where no engine for threads is. Blocks."""
        if self._cleaning is None:
            return []
        with _session_maker()(bind=self._cleaning) as session:
            return self.table.find(session, workflow_ids)

    async def run(self, act: Callable[[Connection], T]) -> T:
        """Call a function on a connection, in one transaction."""
        async with self.engine.begin() as connection:
            return await connection.run_sync(act)

    async def _forget(self, workflow_id: str, first_step: int) -> None:
        async with await self.open() as session:
            await session.run_sync(self.table.delete, workflow_id, first_step)

    async def _forget_and_dispose(self, workflow_id: str, first_step: int) -> None:
        try:
            await self._forget(workflow_id, first_step)
        finally:
            await self.engine.dispose()

    def _new_engine(self) -> AsyncEngine:
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 -- see above

        engine: AsyncEngine = _open(self._settings, create_async_engine, asynchronous=True)
        return engine


UserDatabase = SyncUserDatabase | AsyncUserDatabase


def _session_maker() -> Any:
    from sqlalchemy.orm import sessionmaker  # noqa: PLC0415 -- see above

    return sessionmaker(expire_on_commit=False)


def parse_user_url(text: str, *, asynchronous: bool) -> URL:
    """A URL with a driver. Raises ValueError, without the password, for what is neither PostgreSQL nor SQLite."""
    url = read_url(text)
    drivers = _DRIVERS.get(url.get_backend_name())
    if drivers is None:
        raise ValueError(f"expected a postgresql:// or sqlite:// URL, got {url.drivername}://")
    return url.set(drivername=drivers[asynchronous]) if "+" not in url.drivername else url


def _open(settings: UserDatabaseSettings, create: Callable[..., Any], *, asynchronous: bool) -> Any:
    url = parse_user_url(settings.url, asynchronous=asynchronous)
    # A pool of the user's choice, such as NullPool behind a pooler, need not have a size.
    options: dict[str, Any] = {} if "poolclass" in settings.engine_options else dict(_POOL)
    if url.get_backend_name() == "sqlite":
        if database_file(url) is None:
            options = {"poolclass": StaticPool}  # each connection would be a database of its own
        options["connect_args"] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    given = dict(settings.engine_options)
    arguments = {**options.pop("connect_args", {}), **given.pop("connect_args", {})}
    return create(url, connect_args=arguments, **{**options, **given})


def _sync_sibling(settings: UserDatabaseSettings) -> Engine | None:
    """An engine for threads on the same database; None where its driver has no such twin."""
    url = parse_user_url(settings.url, asynchronous=True)
    driver = _SYNC_TWINS.get(url.drivername)
    if driver is None or (driver == "sqlite" and url.database in {None, "", ":memory:"}):
        return None
    arguments = settings.engine_options.get("connect_args", {})
    return create_engine(url.set(drivername=driver), pool_size=1, max_overflow=0, connect_args=arguments)


def _check_dialect(engine: Engine) -> None:
    if engine.dialect.name not in {"postgresql", "sqlite"}:
        raise ValueError(f"expected an engine of PostgreSQL or SQLite, got {engine.dialect.name}")


def _table(settings: UserDatabaseSettings, engine: Engine) -> CheckpointTable:
    return CheckpointTable(settings.kind, schema=settings.schema, sqlite=engine.dialect.name == "sqlite")
