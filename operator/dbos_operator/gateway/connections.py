"""Connections of the operator to one system database: few, short-lived when idle, and never waiting for long."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, event
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from dbos.store.catalog import Catalog
from dbos.store.dialects.postgres import PoolSettings, PoolTimeoutError, PostgresConnection
from dbos.store.dialects.postgres_engine import EngineSource, open_engine, parse_url, url_arguments
from dbos_operator.errors import (
    AuthenticationFailedError,
    DatabaseUnavailableError,
    OperatorError,
    UnusableDatabaseError,
)
from dbos_operator.gateway.protocol import GatewayRequest
from dbos_operator.reasons import Reason

APPLICATION_NAME = "dbos-operator"
CONNECT_TIMEOUT_SECONDS = 5
IDLE_SECONDS = 60.0
_SINCE = "idle_since"
_STILL_SINCE = "still_idle_since"
"""Set while a connection is only looked at: giving it back is no use of it."""

_WRONG_OPTION = re.compile(r"invalid (\w+ value|port number|value for parameter)")
"""What libpq says of an option that it cannot use; it looks at them when it connects."""
_REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf entry")


class Connections:
    """The pool of one system database. Nothing is connected before the first use."""

    def __init__(self, request: GatewayRequest, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._engine = _open(request, clock)
        catalog = Catalog.load("dbos_operator.gateway.sql", schema=request.schema)
        self._source = EngineSource(self._engine, catalog)
        self._in_use: dict[int, PostgresConnection] = {}

    @contextmanager
    def connection(self) -> Iterator[PostgresConnection]:
        """A connection for the length of the block; a failure to reach the server as our own error."""
        try:
            with self._source.connection() as connection:
                self._in_use[id(connection)] = connection
                try:
                    yield connection
                finally:
                    del self._in_use[id(connection)]
        except psycopg.Error as error:
            raise translate(error) from error
        except PoolTimeoutError as error:
            raise DatabaseUnavailableError("every connection to the database is busy") from error

    def close_idle(self) -> None:
        """Close the connections that nothing has used for a minute."""
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        idle: list[PoolProxiedConnection] = [self._engine.raw_connection() for _ in range(pool.checkedin())]
        for connection in idle:
            since: float = connection.info[_SINCE]
            if self._clock() - since >= IDLE_SECONDS:
                connection.invalidate()
            else:
                connection.info[_STILL_SINCE] = since
            connection.close()

    def abandon(self) -> None:
        """Break the connections in use. Their sockets are shut down, since no other call ends a wait in the driver."""
        for connection in list(self._in_use.values()):
            with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.driver.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)  # one that has just ended by itself is as good

    def close(self) -> None:
        """Close every connection."""
        self._source.dispose()


def _open(request: GatewayRequest, clock: Callable[[], float]) -> Engine:
    try:
        url = parse_url(request.url)
        make_conninfo(**url_arguments(url))
    except (ValueError, psycopg.ProgrammingError) as error:
        raise UnusableDatabaseError(Reason.INVALID_URL, str(error)) from None
    keepalive = {
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,
    }
    settings = PoolSettings(
        size=request.connections.max,
        application_name=APPLICATION_NAME,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        statement_timeout_seconds=request.connections.statement_timeout.total_seconds(),
        # The connection that was used last is used next, so that the others become idle and can go.
        engine_options={"connect_args": keepalive, "pool_use_lifo": True, "pool_timeout": CONNECT_TIMEOUT_SECONDS},
    )
    engine = open_engine(url, settings)

    def note_use(_driver: Any, record: Any) -> None:
        record.info[_SINCE] = record.info.pop(_STILL_SINCE, clock())

    event.listen(engine, "checkin", note_use)
    return engine


def translate(error: psycopg.Error) -> OperatorError:
    """Our error for a server that cannot be reached, or that refuses what worked when it was prepared."""
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.QueryCanceled):
        return DatabaseUnavailableError("a statement took longer than connections.statementTimeout")
    if isinstance(error, psycopg.ProgrammingError):
        return UnusableDatabaseError(Reason.SCHEMA_UNUSABLE, f"the system schema cannot be used: {text}")
    if _WRONG_OPTION.search(text):
        return UnusableDatabaseError(Reason.INVALID_URL, f"an option of the URL cannot be used: {text}")
    if any(refusal in text for refusal in _REFUSALS):
        return AuthenticationFailedError(text)
    return DatabaseUnavailableError(text)
