"""A gateway to the database of the test, and the shortest way to fill and read its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import Gateway, GatewayRequest


@pytest.fixture
def gateway(database_url: str) -> Iterator[Gateway]:
    """A gateway that is prepared."""
    gateway = open_gateway(GatewayRequest(url=database_url))
    gateway.prepare()
    yield gateway
    gateway.close()


@pytest.fixture
def sql(database_url: str) -> Callable[..., list[dict[str, Any]]]:
    """Run a statement on the database of the test; `dbos` is on the search path."""

    def execute(text: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(database_url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            connection.execute("SET search_path = dbos")
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description is not None else []

    return execute
