"""What a gateway finds, creates and refuses before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from dbos_operator.errors import AuthenticationFailedError, DatabaseUnavailableError, UnusableDatabaseError
from dbos_operator.gateway.connections import translate
from dbos_operator.gateway.postgres import open_gateway
from dbos_operator.gateway.protocol import Gateway, GatewayRequest
from dbos_operator.reasons import Reason
from support.postgres import PostgresServer

Sql = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def opened() -> Iterator[Callable[..., Gateway]]:
    gateways: list[Gateway] = []

    def open_one(url: str, **options: Any) -> Gateway:
        gateways.append(open_gateway(GatewayRequest(url=url, **options)))
        return gateways[-1]

    yield open_one
    for gateway in gateways:
        gateway.close()


def test_a_missing_schema_is_created_once(empty_database_url: str, opened: Callable[..., Gateway]) -> None:
    first = opened(empty_database_url, schema="My Schema").prepare()
    assert (first.created, first.schema_version) == (True, 125)
    again = opened(empty_database_url, schema="My Schema").prepare()
    assert (again.created, again.identity) == (False, first.identity)


def test_a_missing_schema_is_not_created_when_nobody_asked_for_it(
    empty_database_url: str, opened: Callable[..., Gateway]
) -> None:
    with pytest.raises(UnusableDatabaseError, match="initialize is Never") as refused:
        opened(empty_database_url, initialize=False).prepare()
    assert refused.value.reason is Reason.SCHEMA_MISSING


def test_an_older_schema_is_refused_with_the_command_that_migrates_it(
    database_url: str, opened: Callable[..., Gateway], sql: Sql
) -> None:
    sql("UPDATE dbos_migrations SET version = 108")
    with pytest.raises(UnusableDatabaseError, match="migrate") as refused:
        opened(database_url).prepare()
    assert refused.value.reason is Reason.SCHEMA_TOO_OLD
    assert not sql("SELECT FROM pg_namespace WHERE nspname = 'dbos_operator'")


def test_a_newer_schema_is_used_while_its_columns_are_there(
    database_url: str, opened: Callable[..., Gateway], sql: Sql
) -> None:
    sql("UPDATE dbos_migrations SET version = 140")
    assert opened(database_url).prepare().schema_version == 140
    sql("ALTER TABLE workflow_status DROP COLUMN owner_xid")
    with pytest.raises(UnusableDatabaseError) as refused:
        opened(database_url).prepare()
    assert refused.value.reason is Reason.SCHEMA_UNUSABLE


def test_a_role_that_may_not_create_the_operators_schema_is_told_the_sql(
    postgres_server: PostgresServer, database_url: str, opened: Callable[..., Gateway], sql: Sql
) -> None:
    database = make_url(database_url).database
    role = f"plain_{database}"
    sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        sql(f"GRANT USAGE ON SCHEMA dbos TO {role}")
        sql(f"GRANT ALL ON ALL TABLES IN SCHEMA dbos TO {role}")
        url = postgres_server.url_of(str(database), user=role, password="secret")
        with pytest.raises(UnusableDatabaseError) as refused:
            opened(url).prepare()
        assert refused.value.reason is Reason.OPERATOR_SCHEMA_MISSING
        remedy = str(refused.value).split("runs: ")[1]
        sql(remedy)
        opened(url).prepare()
    finally:
        sql(f"DROP OWNED BY {role} CASCADE")
        sql(f"DROP ROLE {role}")


def test_two_urls_of_one_database_are_found_to_be_the_same(
    postgres_server: PostgresServer, database_url: str, opened: Callable[..., Gateway]
) -> None:
    one = opened(database_url).prepare().identity
    assert opened(f"{database_url}{'&' if '?' in database_url else '?'}application_name=x").prepare().identity == one
    with postgres_server.database() as other:
        assert opened(other).prepare().identity != one


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://a/b", "no url", "postgresql://host:1"),
        *(
            "postgresql://u:a@hidden@host:5432/d",
            "postgresql://u:a@b:hidden@host:5432/d",
        ),
        *("postgresql://h1:1,h2:hidden/d", "postgresql://u@h/d?port=hidden", "postgresql://u:hidden@h/d?nonsense=1"),
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str, opened: Callable[..., Gateway]) -> None:
    with pytest.raises(UnusableDatabaseError) as refused:
        opened(url)
    assert refused.value.reason is Reason.INVALID_URL
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("option", ["sslmode=nonsense", "client_encoding=nonsense"])
def test_an_option_that_cannot_be_used_is_the_fault_of_the_url(
    option: str, database_url: str, opened: Callable[..., Gateway]
) -> None:
    with pytest.raises(UnusableDatabaseError) as refused:
        opened(f"{database_url}{'&' if '?' in database_url else '?'}{option}").prepare()
    assert refused.value.reason is Reason.INVALID_URL


def test_a_server_that_is_not_there_is_unavailable(opened: Callable[..., Gateway]) -> None:
    with pytest.raises(DatabaseUnavailableError) as refused:
        opened("postgresql://user:hidden@127.0.0.1:1/db").prepare()
    assert "hidden" not in str(refused.value)


def test_a_refused_password_is_told_apart() -> None:
    error = psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "x"')
    assert isinstance(translate(error), AuthenticationFailedError)
