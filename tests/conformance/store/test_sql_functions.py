"""The SQL functions behave as those of the published package, call by call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.peer import run_peer
from support.postgres import PostgresServer

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

ENQUEUES = [
    "NULL, 'q'",
    "'', 'q'",
    "'w', NULL",
    "'w', ''",
    "' ', ' '",
    "'w', 'q'",
    "'w', 'q', workflow_id => ''",
    "'w', 'q', workflow_id => ' '",
    "'w', 'q', workflow_id => 'object', named_args => '{\"z\":  [1, \"é\"], \"a\": null}'",
    "'w', 'q', workflow_id => 'no-names', named_args => NULL",
    "'w', 'q', workflow_id => 'array', named_args => '[]'",
    "'w', 'q', workflow_id => 'json-null', named_args => 'null'",
    "'w', 'q', workflow_id => 'positions', positional_args => ARRAY['1', '\"a\"', '{\"b\": 1}', NULL]::json[]",
    "'w', 'q', workflow_id => 'no-positions', positional_args => NULL",
    """'w', 'q', ARRAY['7']::json[], '{}', 'Class', 'instance', 'by-position', 'v1', 5000, 99, 'd', 3, 'lane', 'me',
    '["r1", "r2"]', 12, 'app'""",
    """'w', 'q', workflow_id => 'empty', app_version => '', deduplication_id => '', queue_partition_key => '',
    authenticated_user => '', application_name => ''""",
    "'w', 'q', workflow_id => 'delayed', delay_until_epoch_ms => 0",
    "'w', 'q', workflow_id => 'past', delay_until_epoch_ms => -1",
    "'w', 'q', workflow_id => 'negative', priority => -1, timeout_ms => -1",
    "'w', 'q', workflow_id => 'long', class_name => repeat('x', 256)",
    "'w', 'q', workflow_id => 'first', deduplication_id => 'same'",
    "'w', 'q', workflow_id => 'second', deduplication_id => 'same'",
    "'w', 'q', deduplication_id => 'same'",
    "'w', 'elsewhere', workflow_id => 'third', deduplication_id => 'same'",
    "'w', 'q', workflow_id => 'first', deduplication_id => 'same'",
    "'other', 'other', workflow_id => 'first', named_args => '{\"ignored\": true}'",
]

MESSAGES = [
    "'nobody', '1'",
    "NULL, '1'",
    "'first', NULL",
    "'first', 'null', message_id => 'null'",
    "'first', '{\"a\":  1}'",
    "'first', '\"text\"', 'topic', 'm1'",
    "'first', '2', '', 'm1'",
    "'first', '2', '', 'm2'",
]


@pytest.fixture(scope="module")
def official_url(postgres_server: PostgresServer, peer: Path) -> Iterator[str]:
    """A database whose functions are those of the published package."""
    with postgres_server.database(schema=False) as url:
        run_peer("import sys; from dbos import DBOS; DBOS.migrate(sys.argv[1])", url)
        yield url


def _outcome(connection: psycopg.Connection, statement: str) -> tuple[object, ...]:
    """What a caller gets: a value, or the state and, where it is promised, the text of an error."""
    try:
        return tuple(connection.execute(statement.encode()).fetchone() or ())
    except psycopg.Error as error:
        promised = (error.diag.message_primary,) if "DBOS" in str(error.diag.message_primary) else ()
        return (error.sqlstate, *promised)


def _observed(url: str) -> list[object]:
    """The outcome of every call, then every row it left; random IDs and times are reduced to what they are."""
    with psycopg.connect(url, autocommit=True) as connection:
        seen: list[object] = [_outcome(connection, f"SELECT dbos.enqueue_workflow({call})") for call in ENQUEUES]
        seen += [_outcome(connection, f"SELECT dbos.send_message({call})") for call in MESSAGES]
        times = "'created_at', 'updated_at', 'retention_timestamp', 'created_at_epoch_ms'"
        for table in ("workflow_status", "workflow_input", "notifications"):
            query = f"SELECT (to_jsonb(t) - ARRAY[{times}])::text FROM dbos.{table} AS t"
            seen += sorted(_UUID.sub("<uuid>", row[0]) for row in connection.execute(query.encode()))
        connection.execute("UPDATE dbos.workflow_status SET created_at = 0, updated_at = 0")
        connection.execute("SELECT dbos.enqueue_workflow('w', 'q', workflow_id => 'first')")
        seen += connection.execute(
            "SELECT workflow_uuid, created_at, updated_at = 0 FROM dbos.workflow_status "
            "WHERE workflow_uuid IN ('first', 'object') ORDER BY 1"
        ).fetchall()
    return [
        tuple(_UUID.sub("<uuid>", str(part)) for part in item) if isinstance(item, tuple) else item for item in seen
    ]


def test_calls_return_raise_and_store_the_same(official_url: str, database_url: str) -> None:
    assert _observed(database_url) == _observed(official_url)


def test_a_duplicate_says_who_holds_the_deduplication_id(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT dbos.enqueue_workflow('w', 'q', workflow_id => 'a', deduplication_id => 'x')")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute("SELECT dbos.enqueue_workflow('w', 'q', workflow_id => 'b', deduplication_id => 'x')")
    assert caught.value.diag.message_primary == "DBOS queue duplicated"
    assert caught.value.diag.message_detail == "Workflow b with queue q and deduplication ID x already exists"


@pytest.mark.parametrize("topic", ["NULL", "'t::u'"])
def test_a_message_wakes_its_listener(database_url: str, topic: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT dbos.enqueue_workflow('w', 'q', workflow_id => 'a')")
        connection.execute("LISTEN dbos_notifications_channel")
        connection.execute(f"SELECT dbos.send_message('a', '1', {topic})".encode())
        woken = [notice.payload for notice in connection.notifies(timeout=30, stop_after=1)]
    assert woken == ["a::__null__topic__" if topic == "NULL" else "a::t::u"]


def test_functions_ignore_the_search_path_of_their_caller(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA trap")
        connection.execute("CREATE FUNCTION trap.gen_random_uuid() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'")
        connection.execute("SET search_path = trap, pg_catalog")
        row = connection.execute("SELECT dbos.enqueue_workflow('w', 'q')").fetchone()
    assert row is not None
    assert _UUID.fullmatch(row[0])
