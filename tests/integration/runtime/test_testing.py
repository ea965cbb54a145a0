"""dbos.testing: applications of tests, and time that they move."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbos import DBOS, Queue, SetEnqueueOptions, SetWorkflowTimeout
from dbos.api.runtime import process, registry
from dbos.error import DBOSAwaitedWorkflowCancelledError, DBOSException
from dbos.testing import Environment, PostgresDatabases, launched
from support.bystander import bystander
from support.postgres import PostgresServer
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _empty_registry() -> Iterator[None]:
    yield
    registry.clear()


@pytest.fixture
def open_environment(database_url: str) -> Iterator[Environment]:
    """An application without anything declared; what a test declares is found when it is called."""
    with launched(database_url=database_url, now=NOON) as environment:
        yield environment


def test_a_sleep_ends_when_its_time_has_passed_and_not_before(database_url: str) -> None:
    log: list[str] = []

    @DBOS.workflow()
    def reminders() -> str:
        for day in ("first", "second"):
            DBOS.sleep(86400)
            log.append(day)
        return "done"

    with launched(database_url=database_url) as dbos:
        handle = DBOS.start_workflow(reminders)
        dbos.advance(86399)
        assert log == []
        dbos.advance(1)
        assert log == ["first"]
        dbos.advance(timedelta(days=3))
        assert log == ["first", "second"]
        assert handle.get_result() == "done"


def test_sleeps_end_in_the_order_of_their_times(open_environment: Environment) -> None:
    log: list[float] = []

    @DBOS.workflow()
    def sleeper(seconds: float, rounds: int) -> None:
        for _ in range(rounds):
            DBOS.sleep(seconds)
            log.append(seconds)

    for seconds, rounds in ((3.0, 3), (2.0, 3), (4.9, 1)):
        DBOS.start_workflow(sleeper, seconds, rounds)
    open_environment.advance(10)
    # Two of them end at the sixth second.
    assert [*log[:4], *sorted(log[4:6]), *log[6:]] == [2.0, 3.0, 2.0, 4.9, 2.0, 3.0, 3.0]
    assert open_environment.now == NOON + timedelta(seconds=10)


def test_the_result_of_a_workflow_is_had_without_waiting(open_environment: Environment) -> None:
    @DBOS.workflow()
    def child(days: int) -> int:
        DBOS.sleep(days * 86400)
        return days

    @DBOS.workflow()
    def parent() -> int:
        handles = [DBOS.start_workflow(child, days) for days in (3, 5)]
        return sum(handle.get_result() for handle in handles) + child(2)

    @DBOS.workflow()
    def waits_for_a_message() -> object:
        return DBOS.recv("nothing", timeout_seconds=600)

    assert open_environment.result(DBOS.start_workflow(parent)) == 10
    assert open_environment.now == NOON + timedelta(days=7)
    assert open_environment.result(DBOS.start_workflow(waits_for_a_message)) is None
    assert open_environment.now == NOON + timedelta(days=7, minutes=10)


async def test_coroutines_sleep_by_the_same_clock(open_environment: Environment) -> None:
    @DBOS.workflow()
    async def nap(seconds: float) -> float:
        await DBOS.sleep_async(seconds)
        return seconds

    queue = await DBOS.register_queue_async("naps")
    handle = await queue.enqueue_async(nap, 3600)
    await open_environment.advance_async(3600)
    assert await handle.get_result() == 3600
    assert await open_environment.result_async(await DBOS.start_workflow_async(nap, 86400)) == 86400
    assert open_environment.now == NOON + timedelta(days=1, hours=1)


def test_a_schedule_fires_at_each_of_its_moments_and_never_by_itself(open_environment: Environment) -> None:
    fired: list[datetime] = []

    @DBOS.workflow()
    def report(moment: datetime, context: object) -> None:
        fired.append(moment)

    DBOS.create_schedule(schedule_name="hourly", workflow_fn=report, schedule="0 * * * *")
    open_environment.settle()
    assert fired == []
    open_environment.advance(timedelta(hours=24))
    assert fired == [NOON + timedelta(hours=hour) for hour in range(1, 25)]
    DBOS.pause_schedule("hourly")
    open_environment.advance(timedelta(hours=2))
    assert len(fired) == 24


def test_declared_schedules_fire_too(database_url: str) -> None:
    fired: list[datetime] = []

    @DBOS.scheduled("*/10 * * * *")
    @DBOS.workflow()
    def tick(scheduled: datetime, actual: datetime) -> None:
        assert scheduled == actual
        fired.append(scheduled)

    with launched(database_url=database_url, now=NOON) as dbos:
        dbos.advance(3600)
    assert fired == [NOON + timedelta(minutes=10 * number) for number in range(1, 7)]


def test_delays_and_timeouts_go_by_the_clock(database_url: str) -> None:
    queue = Queue("later")
    log: list[str] = []

    @DBOS.workflow()
    def note(text: str) -> None:
        log.append(text)

    @DBOS.workflow()
    def endless() -> None:
        DBOS.recv("never", timeout_seconds=10**6)

    with launched(database_url=database_url) as dbos:
        with SetEnqueueOptions(delay_seconds=60):
            queue.enqueue(note, "delayed")
        with SetWorkflowTimeout(100):
            limited = DBOS.start_workflow(endless)
        dbos.advance(59)
        assert log == []
        dbos.advance(1)
        assert log == ["delayed"]
        dbos.advance(39)
        assert limited.get_status().status == "PENDING"
        dbos.advance(1)
        with pytest.raises(DBOSAwaitedWorkflowCancelledError):
            limited.get_result()


def test_what_time_does_not_bring_is_told(open_environment: Environment) -> None:
    @DBOS.workflow()
    def stuck() -> None: ...

    with pytest.raises(DBOSException, match="is ENQUEUED and nothing is due"):
        open_environment.result(DBOS.enqueue_workflow("nobody-serves-it", stuck))
    with pytest.raises(ValueError, match="0 seconds or more, got -1"):
        open_environment.advance(-1)


def test_a_test_that_fails_leaves_nothing_behind(database_url: str) -> None:
    @DBOS.workflow()
    def sleeper() -> None:
        DBOS.sleep(10**6)

    def fail() -> None:
        with launched(database_url=database_url):
            DBOS.start_workflow(sleeper)
            raise RuntimeError("the test fails")

    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="the test fails"):
        fail()
    eventually(lambda: set(threading.enumerate()) - before, lambda left: left == set(), what="end of its threads")
    assert process.application is None
    with launched(database_url=database_url) as again:  # what was decorated is still registered
        assert again.result(DBOS.start_workflow(_after(sleeper))) == "slept"


def _after(sleeper: object) -> object:
    @DBOS.workflow()
    def after() -> str:
        sleeper()  # type: ignore[operator]
        return "slept"

    return after


def test_the_applications_own_configuration_is_put_aside_and_back(database_url: str) -> None:
    DBOS(config={"name": "shop", "system_database_url": "postgresql://nobody@127.0.0.1:1/production"})
    own = process.application
    try:
        with launched(database_url=database_url) as dbos:
            assert dbos.database_url == database_url
            assert process.application is not own
            with pytest.raises(DBOSException, match="launched already"), launched():
                raise AssertionError("it was launched twice")
        assert process.application is own
    finally:
        DBOS.destroy()


@pytest.mark.postgresql_only
def test_databases_are_copies_of_a_template_and_are_dropped(
    postgres_server: PostgresServer, database_kind: str
) -> None:
    def names() -> set[str]:
        with bystander(postgres_server.url) as sql:
            rows = sql.execute("SELECT datname FROM pg_database WHERE datname ~ '^dbos_(test|template)_'").fetchall()
        return {row["datname"] for row in rows}

    before = names()
    databases = PostgresDatabases(postgres_server.url)
    with databases.database() as one, databases.database() as other:
        assert one != other
        assert len(names() - before) == 3
        with launched(database_url=one), bystander(other) as sql:
            assert sql.execute("SELECT count(*) AS rows FROM dbos.workflow_status").fetchone() == {"rows": 0}
    databases.close()
    assert names() <= before
    with pytest.raises(ValueError, match="expected the URL of a PostgreSQL server"):
        PostgresDatabases("sqlite:///file")


PLUGIN_TESTS = """
import pytest
from dbos import DBOS

pytest_plugins = ["dbos.testing.pytest"]
urls = []

@DBOS.workflow()
def nap(days):
    DBOS.sleep(days * 86400)
    return days

@pytest.fixture
def dbos_config():
    return {"name": "shop"}

@pytest.mark.parametrize("days", [1, 2, 3])
def test_naps(dbos, days):
    assert DBOS.list_workflows() == [] and dbos.database_url not in urls
    urls.append(dbos.database_url)
    assert dbos.result(DBOS.start_workflow(nap, days)) == days
    assert DBOS.list_workflows()[0].application_name == "shop"
    assert days != 2, "this one fails"
"""


def test_the_fixtures_give_each_test_a_database_and_a_failed_one_spoils_no_other(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "test_shop.py").write_text(PLUGIN_TESTS, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DBOS", "PYTEST"))}
    if database_kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        environment["DBOS_TEST_DATABASE_URL"] = server.url
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "this one fails" in done.stdout
    assert "warning" not in done.stdout


def test_a_file_of_its_own_is_the_default(tmp_path: Path, database_kind: str) -> None:
    with launched() as dbos:
        file = Path(dbos.database_url.removeprefix("sqlite:///"))
        assert file.exists()
    assert not file.exists()
