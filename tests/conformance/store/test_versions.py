"""Application versions: registered once, promoted by time, owned by one application."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from dbos._error import DBOSInitializationError
from dbos.store.database import SystemDatabase
from dbos.store.versions import load_latest_version, promote_version, register_version


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    """A bystander's connection."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _register(database: SystemDatabase, version: str, application: str = "orders") -> None:
    database.run(lambda: register_version(version, application, version_id=f"id-{application}-{version}"))


def _latest(database: SystemDatabase, application: str = "orders") -> str | None:
    return database.run(lambda: load_latest_version(application))


def test_the_latest_version_is_the_one_registered_last(database: SystemDatabase, sql: psycopg.Connection) -> None:
    assert _latest(database) is None
    _register(database, "v1")
    assert _latest(database) == "v1"
    sql.execute("UPDATE dbos.application_versions SET version_timestamp = version_timestamp - 1")  # not the same moment
    _register(database, "v2")
    assert _latest(database) == "v2"


def test_the_version_that_was_promoted_last_is_the_latest_whatever_the_clock_says(database: SystemDatabase) -> None:
    for version in ("v1", "v2", "v3"):
        _register(database, version)
    for version in ("v1", "v2", "v1", "v3", "v3"):
        database.run(lambda version=version: promote_version(version, "orders", now_ms=1_000))
        assert _latest(database) == version


def test_a_version_that_is_registered_again_keeps_its_time(database: SystemDatabase, sql: psycopg.Connection) -> None:
    _register(database, "v1")
    before = sql.execute("SELECT * FROM dbos.application_versions").fetchall()
    _register(database, "v1")
    assert sql.execute("SELECT * FROM dbos.application_versions").fetchall() == before


def test_an_unclaimed_version_is_taken_over_as_it_is(database: SystemDatabase, sql: psycopg.Connection) -> None:
    sql.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, version_timestamp) VALUES ('x', 'v1', 5)"
    )
    assert _latest(database) == "v1"
    _register(database, "v1")
    row = sql.execute(
        "SELECT version_id, version_timestamp, application_name FROM dbos.application_versions"
    ).fetchone()
    assert row == ("x", 5, "orders")


def test_versions_of_other_applications_do_not_count(database: SystemDatabase) -> None:
    _register(database, "v1")
    _register(database, "v9", "shop")
    assert _latest(database) == "v1"
    assert _latest(database, "shop") == "v9"


def test_a_version_name_of_another_application_is_refused_with_what_to_do(database: SystemDatabase) -> None:
    _register(database, "v1", "shop")
    with pytest.raises(DBOSInitializationError, match=r"'v1' belongs to application 'shop'.*DBOS__APPVERSION"):
        _register(database, "v1")


def test_processes_that_start_together_register_one_row(database: SystemDatabase, sql: psycopg.Connection) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _register(database, "v1"), range(16)))
    assert sql.execute("SELECT count(*) FROM dbos.application_versions").fetchone() == (1,)
