"""What `ensure_schema` and `inspect_schema` make of everything that a database may hold."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from dbos._error import DBOSInitializationError
from dbos.store.migrations import runner
from dbos.store.migrations.runner import SchemaKind, SchemaState, ensure_schema, inspect_schema
from support.postgres import PostgresServer


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to a database with the system schema."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to a database without anything."""
    with psycopg.connect(empty_database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def role(postgres_server: PostgresServer) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"dbos_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield name
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _refusal(connection: psycopg.Connection) -> str:
    with pytest.raises(DBOSInitializationError) as caught:
        ensure_schema(connection, "dbos")
    return str(caught.value)


def test_an_empty_database_is_absent_and_becomes_supported(empty: psycopg.Connection) -> None:
    assert inspect_schema(empty, "dbos") == SchemaState(SchemaKind.ABSENT)
    assert ensure_schema(empty, "dbos") == SchemaState(SchemaKind.SUPPORTED, 125)
    assert empty.execute("SELECT version FROM dbos.dbos_migrations").fetchall() == [(125,)]


def test_several_schemas_live_in_one_database(empty: psycopg.Connection) -> None:
    ensure_schema(empty, "one")
    assert inspect_schema(empty, "two").kind is SchemaKind.ABSENT
    assert ensure_schema(empty, "two") == inspect_schema(empty, "one")


def test_tables_of_an_application_beside_ours_do_not_matter(empty: psycopg.Connection) -> None:
    empty.execute("CREATE SCHEMA dbos CREATE TABLE transaction_outputs (workflow_uuid text)")
    assert ensure_schema(empty, "dbos").usable


def test_a_table_of_versions_without_a_row_and_nothing_else_is_where_a_migration_begins(
    empty: psycopg.Connection,
) -> None:
    empty.execute("CREATE SCHEMA dbos CREATE TABLE dbos_migrations (version bigint NOT NULL PRIMARY KEY)")
    assert ensure_schema(empty, "dbos").version == 125


def test_an_older_schema_is_refused_with_both_versions_and_the_command(connection: psycopg.Connection) -> None:
    connection.execute("UPDATE dbos.dbos_migrations SET version = 108")
    message = _refusal(connection)
    assert "108" in message
    assert "125" in message
    assert "dbos migrate" in message


def test_a_newer_schema_is_used_without_a_word(
    connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection.execute("UPDATE dbos.dbos_migrations SET version = 126")
    connection.execute("ALTER TABLE dbos.queues ADD COLUMN of_tomorrow text")
    assert ensure_schema(connection, "dbos") == SchemaState(SchemaKind.NEWER, 126)
    assert not caplog.records


@pytest.mark.parametrize("version", [125, 126])
def test_a_missing_column_is_named(connection: psycopg.Connection, version: int) -> None:
    connection.execute("UPDATE dbos.dbos_migrations SET version = %s", (version,))
    connection.execute("ALTER TABLE dbos.workflow_status DROP COLUMN owner_xid")
    assert "column workflow_status.owner_xid" in _refusal(connection)


def test_a_missing_table_is_named_once_instead_of_its_columns(connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE dbos.workflow_input")
    state = inspect_schema(connection, "dbos")
    assert state == SchemaState(SchemaKind.UNUSABLE, 125, ("table workflow_input",))


def test_a_missing_unique_index_is_named(connection: psycopg.Connection) -> None:
    connection.execute("DROP INDEX dbos.uq_workflow_status_dedup_id")
    assert "unique index on workflow_status(deduplication_id, queue_name)" in _refusal(connection)


def test_an_index_that_enforces_nothing_counts_as_missing(connection: psycopg.Connection) -> None:
    connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'dbos.queues_name_key'::regclass")
    assert "unique index on queues(name)" in _refusal(connection)


def test_a_missing_plain_index_is_a_matter_of_speed_only(connection: psycopg.Connection) -> None:
    connection.execute("DROP INDEX dbos.idx_workflow_status_in_flight_v2")
    assert ensure_schema(connection, "dbos").usable


def test_a_sharded_schema_is_refused(connection: psycopg.Connection) -> None:
    connection.execute("ALTER TABLE dbos.workflow_status ADD COLUMN shard_key text")
    assert inspect_schema(connection, "dbos") == SchemaState(SchemaKind.SHARDED, 125)
    assert "sharded" in _refusal(connection)


def test_tables_without_a_version_are_refused(connection: psycopg.Connection) -> None:
    connection.execute("DELETE FROM dbos.dbos_migrations")
    assert "the row of dbos_migrations" in _refusal(connection)
    connection.execute("DROP TABLE dbos.dbos_migrations")
    assert "the row of dbos_migrations" in _refusal(connection)


def test_something_else_of_the_same_name_is_in_the_way_and_nothing_is_left_behind(empty: psycopg.Connection) -> None:
    empty.execute("CREATE SCHEMA dbos CREATE VIEW queues AS SELECT 1 AS one")
    assert '"queues" already exists' in _refusal(empty)
    assert empty.execute("SELECT to_regclass('dbos.workflow_status')").fetchone() == (None,)


def test_a_role_without_rights_can_look_and_is_told_what_it_lacks(
    postgres_server: PostgresServer, connection: psycopg.Connection, role: str
) -> None:
    with psycopg.connect(postgres_server.url_of(connection.info.dbname, user=role), autocommit=True) as guest:
        assert inspect_schema(guest, "dbos").missing == ("the right to read dbos_migrations",)
        connection.execute(f"GRANT USAGE ON SCHEMA dbos TO {role}".encode())
        connection.execute(f"GRANT SELECT ON dbos.dbos_migrations TO {role}".encode())
        guest.execute("SET default_transaction_read_only = on")
        assert inspect_schema(guest, "dbos") == SchemaState(SchemaKind.SUPPORTED, 125)
    connection.execute(f"DROP OWNED BY {role}".encode())


def test_a_role_that_may_not_create_is_told_what_an_administrator_must_run(
    postgres_server: PostgresServer, empty: psycopg.Connection, role: str
) -> None:
    database = empty.info.dbname
    with psycopg.connect(postgres_server.url_of(database, user=role), autocommit=True) as guest:
        assert f'GRANT CREATE ON DATABASE "{database}" TO "{role}"' in _refusal(guest)
        empty.execute("CREATE SCHEMA dbos")
        assert f'GRANT USAGE, CREATE ON SCHEMA "dbos" TO "{role}"' in _refusal(guest)
        empty.execute(f"GRANT USAGE, CREATE ON SCHEMA dbos TO {role}".encode())
        assert ensure_schema(guest, "dbos").usable
    empty.execute(f"DROP OWNED BY {role} CASCADE".encode())


def test_a_read_only_server_is_named_as_the_reason(empty: psycopg.Connection) -> None:
    empty.execute("SET default_transaction_read_only = on")
    assert "is read-only" in _refusal(empty)


def test_looking_is_one_statement(connection: psycopg.Connection) -> None:
    sent: list[object] = []

    class Counting(psycopg.Cursor):
        def execute(self, query: object, *rest: object, **named: object) -> Counting:
            sent.append(query)
            return super().execute(query, *rest, **named)

    connection.cursor_factory = Counting
    assert inspect_schema(connection, "dbos").usable
    assert len(sent) == 1
    assert ensure_schema(connection, "dbos").usable
    assert len(sent) == 2


def test_looking_inside_a_transaction_leaves_it_as_it_was(empty: psycopg.Connection) -> None:
    with empty.transaction():
        empty.execute("CREATE TABLE mine (a int)")
        assert inspect_schema(empty, "dbos").kind is SchemaKind.ABSENT
        assert empty.execute("SELECT count(*) FROM mine").fetchone() == (0,)


def test_whoever_holds_the_migration_lock_for_ever_does_not_block_a_start(
    empty: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "LOCK_WAIT_SECONDS", 0.1)
    with psycopg.connect(empty.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (runner.MIGRATION_LOCK,))
        assert ensure_schema(empty, "dbos").usable
    assert "migration lock" in caplog.text
