"""A system database on PostgreSQL."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import psycopg

from dbos.store.dialects.postgres import PostgresConnection, is_conflict, is_connection_lost
from dbos.store.operation import Statement
from dbos_operator.decide.changes import Applied, Change
from dbos_operator.gateway.applying import Applier, Outcome
from dbos_operator.gateway.connections import Connections
from dbos_operator.gateway.observing import observe_statements, parse_observation
from dbos_operator.gateway.preparing import prepare
from dbos_operator.gateway.protocol import Gateway, GatewayRequest, Observation, ObserveRequest, Prepared, Sample
from dbos_operator.gateway.sampling import parse_sample, sample_statements

logger = logging.getLogger(__name__)


def open_gateway(request: GatewayRequest) -> Gateway:
    """The gateway to a system database. Nothing is connected yet; UnusableDatabaseError for a bad URL."""
    return PostgresGateway(request)


class PostgresGateway:
    """The operator's reads and writes of one system schema."""

    def __init__(self, request: GatewayRequest) -> None:
        self._request = request
        self._connections = Connections(request)

    def prepare(self) -> Prepared:
        """Look at the schema, create what is missing and may be created, refuse what cannot be used."""
        with self._connections.connection() as connection:
            return prepare(connection, self._request)

    def observe(self, request: ObserveRequest) -> Observation:
        """Read everything that decisions need: three statements in one round trip."""
        with self._connections.connection() as connection:
            answers = connection.execute_together(observe_statements(request, self._request))
        self._connections.close_idle()
        return parse_observation(answers)

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Make the changes in one short transaction; what became of each, in their order.

        When the database refuses them, they are made half by half, so that only
        what it refuses on its own is left out. Each half changes nothing unless
        the rows still are what was read, so repeating is harmless.
        """
        if not changes:
            return []
        with self._connections.connection() as connection:
            results, woken = self._apply(connection, changes)
            if woken:
                payload = json.dumps({"schema": self._request.schema, "queues": sorted(woken)})
                connection.execute(Statement("wake_workers", {"payload": payload}))
        return results

    def _apply(self, connection: PostgresConnection, changes: Sequence[Change]) -> tuple[list[Applied], set[str]]:
        try:
            with connection.transaction():
                outcome: Outcome = Applier(connection, self._request).apply(changes)
        except psycopg.Error as error:
            if is_connection_lost(error) or isinstance(error, psycopg.errors.QueryCanceled):
                raise
            if len(changes) == 1 or is_conflict(error):
                text = " ".join(str(error).split())
                logger.warning("the database refused a change", extra={"error": text, "changes": len(changes)})
                return [Applied(0, error=text)] * len(changes), set()
        else:
            return outcome.results(len(changes)), outcome.woken
        middle = len(changes) // 2
        first, woken_first = self._apply(connection, changes[:middle])
        second, woken_second = self._apply(connection, changes[middle:])
        return first + second, woken_first | woken_second

    def sample(self, since_ms: int | None) -> Sample:
        """Count exactly, for the metrics; None: completed workflows count from now on."""
        with self._connections.connection() as connection:
            answers = connection.execute_together(sample_statements(since_ms, self._request))
        return parse_sample(answers, since_ms)

    def abandon(self) -> None:
        """Break the connections in use: whoever waits for an answer on one fails now. Called from another thread."""
        self._connections.abandon()

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()
