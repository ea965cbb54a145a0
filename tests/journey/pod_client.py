"""Runs inside a pod: answers one JSON request a line, so that the journey needs no way to the database or to pods."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any

import psycopg

from dbos import DBOSClient


def sql(url: str, query: str, parameters: list[Any] | None = None) -> list[Any] | None:
    """The rows of a statement, in its own transaction; none for a statement that returns nothing."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(query.encode(), parameters)
        return None if cursor.description is None else cursor.fetchall()


@cache
def client_of(url: str) -> DBOSClient:
    """The client of a database, kept as an application keeps it: it outlives a restart of the server."""
    return DBOSClient(system_database_url=url)


def enqueue(url: str, options: dict[str, str], arguments: dict[str, list[Any]]) -> None:
    """Enqueue one workflow for each ID with its arguments. A repeated call enqueues nothing twice."""
    for identifier, values in arguments.items():
        client_of(url).enqueue({**options, "workflow_id": identifier}, *values)  # type: ignore[typeddict-item]


def http(url: str) -> list[Any]:
    """Status and text of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return [response.status, response.read().decode()]
    except urllib.error.HTTPError as refused:
        return [refused.code, refused.read().decode()]


CALLS: dict[str, Callable[..., Any]] = {"sql": sql, "enqueue": enqueue, "http": http}


def main() -> None:
    """Answer until standard input ends. A failed call is an answer too."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": CALLS[request.pop("call")](**request)}
        except Exception as error:  # noqa: BLE001 -- whatever fails is told to the caller, who decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
