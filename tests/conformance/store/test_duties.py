"""A duty is held by one process of an application, until its time is over."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from dbos.store.database import SystemDatabase
from dbos.store.duties import drop_duties, hold_duty
from support.store_records import opened

pytestmark = pytest.mark.both_databases
LONG = 3600.0


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """A system database with the tables of the runtime."""
    with opened(database_url) as store:
        assert store.prepare_runtime_tables()
        yield store


def _hold(database: SystemDatabase, holder: str, *, seconds: float = LONG, **place: str) -> bool:
    given = {"system_schema": "dbos", "application": "orders", "duty": "depths"} | place
    return database.run(partial(hold_duty, holder=holder, seconds=seconds, **given))


def test_of_processes_that_ask_at_once_exactly_one_holds_it(database: SystemDatabase) -> None:
    with ThreadPoolExecutor(8) as threads:
        held = list(threads.map(lambda number: _hold(database, f"process-{number}"), range(8)))
    assert sum(held) == 1
    assert _hold(database, f"process-{held.index(True)}"), "the holder goes on holding it"


def test_a_duty_passes_on_when_its_time_is_over(database: SystemDatabase) -> None:
    assert _hold(database, "first", seconds=0)
    assert _hold(database, "second")
    assert not _hold(database, "first")


def test_other_duties_applications_and_system_schemas_have_holders_of_their_own(database: SystemDatabase) -> None:
    assert _hold(database, "first")
    assert _hold(database, "second", duty="retention")
    assert _hold(database, "second", application="shop")
    assert _hold(database, "second", system_schema="dbos_2")
    assert not _hold(database, "second")


def test_who_stops_gives_up_its_duties_and_no_others(database: SystemDatabase) -> None:
    assert _hold(database, "first")
    assert _hold(database, "first", duty="retention")
    assert _hold(database, "second", duty="counting")
    drop = partial(drop_duties, system_schema="dbos", application="orders")
    assert database.run(partial(drop, holder="first")) == ["depths", "retention"]
    assert _hold(database, "second")
    assert not _hold(database, "third", duty="counting")
