"""The schema that we create is the schema that the published package creates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbos.store.migrations.runner import SchemaKind, SchemaState, ensure_schema, inspect_schema
from support.peer import run_peer
from support.pgcatalog import read_catalog
from support.postgres import PostgresServer

ODD_SCHEMA = 'My-Schema "x" {body} $body$ 100%'

ACCEPTED_DIFFERENCES: dict[str, str] = {}
"""Lines that may differ, each with the reason why nobody notices. None at version 125."""

_MIGRATE = "import sys; from dbos import DBOS; DBOS.migrate(sys.argv[1], schema=sys.argv[2])"

_LAUNCH_WITHOUT_NOTIFICATIONS = """
import sys
from dbos import DBOS
DBOS(config={"name": "app", "system_database_url": sys.argv[1], "use_listen_notify": False})
DBOS.launch()
DBOS.destroy()
"""


@pytest.fixture(scope="module")
def official_url(postgres_server: PostgresServer, peer: Path) -> Iterator[str]:
    """A database whose schemas the published package made."""
    with postgres_server.database(schema=False) as url:
        run_peer(_MIGRATE, url, "dbos")
        run_peer(_MIGRATE, url, ODD_SCHEMA)
        yield url


@pytest.mark.parametrize("kind", ["tables", "columns", "constraints", "indexes", "functions", "triggers", "types"])
def test_every_object_is_as_the_published_package_creates_it(official_url: str, database_url: str, kind: str) -> None:
    official, ours = set(read_catalog(official_url)[kind]), set(read_catalog(database_url)[kind])
    assert official ^ ours <= set(ACCEPTED_DIFFERENCES), "\n".join(sorted(official ^ ours))


def test_the_comparison_sees_all_there_is(database_url: str) -> None:
    counts = {kind: len(lines) for kind, lines in read_catalog(database_url).items()}
    assert counts == {
        "tables": 13,
        "columns": 120,
        "constraints": 20,
        "indexes": 40,
        "functions": 3,
        "triggers": 1,
        "types": 0,
    }


def test_a_schema_of_any_name_holds_the_same_objects(official_url: str, empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        ensure_schema(connection, ODD_SCHEMA)
        row = connection.execute(
            """SELECT "My-Schema ""x"" {body} $body$ 100%".enqueue_workflow('greet', 'mail', workflow_id => 'one')"""
        ).fetchone()
    assert row == ("one",)
    assert read_catalog(empty_database_url, ODD_SCHEMA) == read_catalog(official_url, ODD_SCHEMA)


def test_a_database_without_notifications_lacks_the_same_objects(
    postgres_server: PostgresServer, empty_database_url: str
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        ensure_schema(connection, "dbos", use_listen_notify=False)
    with postgres_server.database(schema=False) as official:
        run_peer(_LAUNCH_WITHOUT_NOTIFICATIONS, official)
        assert read_catalog(empty_database_url) == read_catalog(official)


def test_a_schema_made_by_the_published_package_is_supported(official_url: str) -> None:
    with psycopg.connect(official_url, autocommit=True) as connection:
        assert inspect_schema(connection, "dbos") == SchemaState(SchemaKind.SUPPORTED, 125)
        assert ensure_schema(connection, ODD_SCHEMA) == SchemaState(SchemaKind.SUPPORTED, 125)
