"""Connections to PostgreSQL without SQLAlchemy, whose import and pool cost a process a third of its start."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from dbos.store.catalog import Catalog
from dbos.store.dialects.postgres import (
    KEEPALIVES,
    Driver,
    PoolSettings,
    PoolTimeoutError,
    PostgresConnection,
    configure,
    is_connection_lost,
)
from dbos.store.dialects.postgres_urls import UNREADABLE, shown_url

WAIT_SECONDS = 30.0
"""How long an operation waits for a connection that others use."""


def connection_arguments(text: str) -> dict[str, Any]:
    """What a URL of a PostgreSQL database says, as psycopg takes it; `dbname` is among it.

    Raises ValueError, without the password, for text that is no URL or names another database.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(UNREADABLE)
    if scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError(f"expected a postgresql:// URL, got {scheme}://")
    try:
        arguments: dict[str, Any] = dict(conninfo_to_dict(f"postgresql://{rest}"))
        clear = not any("@" in arguments.get(part, "") for part in ("host", "port", "dbname"))
    except psycopg.ProgrammingError:
        clear = False
    if not clear:  # a password that is not quoted as libpq wants it, an option unknown to it
        arguments = _read_leniently(text)
    if not arguments.get("dbname"):
        raise ValueError(f"expected a database name at the end of {shown_url(text)}")
    return arguments


def _read_leniently(text: str) -> dict[str, Any]:
    from dbos.store.dialects.postgres_engine import parse_url, url_arguments  # noqa: PLC0415 -- imports SQLAlchemy

    return url_arguments(parse_url(text))


@dataclass(frozen=True, slots=True)
class _Pooled:
    driver: Driver
    generation: int
    opened_at: float


class PoolSource:
    """Connections to one database for one catalogue: at most so many at once, the last one used is used next."""

    def __init__(self, arguments: Mapping[str, Any], settings: PoolSettings, catalog: Catalog) -> None:
        """Nothing is connected yet. `arguments` are psycopg's; see connection_arguments."""
        self.catalog = catalog
        self.keeps_session = settings.prepared
        self._settings = settings
        self._arguments = {
            "application_name": settings.application_name,
            "connect_timeout": settings.connect_timeout_seconds,
            **KEEPALIVES,
            **arguments,
        }
        self._free = threading.BoundedSemaphore(settings.size)
        self._idle: deque[_Pooled] = deque()
        self._generation = 0

    @contextmanager
    def connection(self) -> Iterator[PostgresConnection]:
        """A connection out of the pool, for the length of the block.

        A connection that broke meanwhile does not go back. Raises PoolTimeoutError when every one is in use.
        """
        if not self._free.acquire(timeout=WAIT_SECONDS):
            raise PoolTimeoutError(f"all {self._settings.size} connections were in use for {WAIT_SECONDS:.0f} s")
        try:
            pooled = self._take()
            try:
                yield PostgresConnection(pooled.driver, self.catalog)
            except BaseException as error:
                if is_connection_lost(error):
                    pooled.driver.close()
                raise
            finally:
                self._give_back(pooled)
        finally:
            self._free.release()

    def dedicated(self) -> PostgresConnection:
        """A connection beside the pool; the caller closes it."""
        return PostgresConnection(self._connect(), self.catalog)

    def renew(self) -> None:
        """Drop the idle connections: one was lost, and the others probably with it. Those in use do not come back."""
        self._generation += 1
        for pooled in self._idle_ones():
            pooled.driver.close()

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.renew()

    def _take(self) -> _Pooled:
        for pooled in self._idle_ones():
            if not self._is_stale(pooled):
                return pooled
            pooled.driver.close()
        return _Pooled(self._connect(), self._generation, time.monotonic())

    def _idle_ones(self) -> Iterator[_Pooled]:
        """Take the idle connections out, one after the other, the last one used first."""
        while self._idle:
            try:
                yield self._idle.pop()
            except IndexError:  # somebody took the last one meanwhile
                return

    def _give_back(self, pooled: _Pooled) -> None:
        driver = pooled.driver
        if not driver.closed and driver.info.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }:
            driver.rollback()
        if driver.closed or self._is_stale(pooled) or driver.info.transaction_status != TransactionStatus.IDLE:
            driver.close()
        else:
            self._idle.append(pooled)

    def _is_stale(self, pooled: _Pooled) -> bool:
        if pooled.driver.closed or pooled.generation != self._generation:
            return True
        age = self._settings.recycle_seconds
        return 0 <= age <= time.monotonic() - pooled.opened_at

    def _connect(self) -> Driver:
        driver: Driver = psycopg.connect(**self._arguments, autocommit=True)
        try:
            configure(driver, self._settings)
        except BaseException:
            driver.close()
            raise
        return driver
