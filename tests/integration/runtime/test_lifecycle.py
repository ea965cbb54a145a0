"""Configure, launch, destroy: what each does, in any order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from dbos import DBOS, DBOSClient, Queue
from dbos.api.runtime import process
from dbos.engine.engine import Engine
from dbos.error import DBOSException, DBOSInitializationError
from integration.runtime.conftest import Launch
from support.waiting import eventually


def test_nothing_works_before_the_configuration_and_the_error_says_so() -> None:
    @DBOS.workflow()
    def work() -> None: ...

    with pytest.raises(DBOSException, match=r"call DBOS\(config=…\)"):
        work()
    with pytest.raises(DBOSException, match="not configured"):
        DBOS.launch()
    DBOS.destroy(destroy_registry=True)


def test_nothing_works_between_configuration_and_launch(database_url: str) -> None:
    @DBOS.workflow()
    def work() -> None: ...

    DBOS(config={"name": "orders", "system_database_url": database_url})
    try:
        with pytest.raises(DBOSException, match=r"call DBOS\.launch\(\) first"):
            DBOS.start_workflow(work)
    finally:
        DBOS.destroy(destroy_registry=True)


def test_a_second_launch_is_a_warning(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    launch()
    with caplog.at_level(logging.WARNING, "dbos"):
        DBOS.launch()
    assert "launched already" in caplog.text


def test_a_second_dbos_is_the_same_object_until_destroy(launch: Launch, database_url: str) -> None:
    launch()
    first = DBOS(config={"name": "another"})
    assert DBOS(config={"name": "third"}) is first
    DBOS.destroy()
    assert DBOS(config={"name": "orders", "system_database_url": database_url}) is not first


def test_a_launch_after_destroy_asks_for_a_configuration(launch: Launch) -> None:
    launch()
    DBOS.destroy()
    with pytest.raises(DBOSException, match="not configured"):
        DBOS.launch()


def test_destroy_may_be_repeated(launch: Launch) -> None:
    launch()
    DBOS.destroy()
    DBOS.destroy()


def test_an_application_can_be_launched_again_in_one_process(launch: Launch) -> None:
    @DBOS.workflow()
    def work(number: int) -> int:
        return number + 1

    launch()
    assert work(1) == 2
    DBOS.destroy()
    launch()
    assert work(2) == 3


def test_destroy_ends_every_thread(launch: Launch) -> None:
    before = set(threading.enumerate())

    @DBOS.workflow()
    async def work() -> None: ...

    launch(metrics_port=0, metrics_host="127.0.0.1")
    DBOS.start_workflow(work).get_result()
    DBOS.destroy()
    eventually(
        lambda: [thread.name for thread in set(threading.enumerate()) - before],
        lambda names: not names,
        what="end of every thread",
    )


@pytest.mark.parametrize("seconds", ["1", None, float("nan")])
def test_destroy_is_told_a_time_or_does_nothing(launch: Launch, seconds: Any) -> None:
    launch()
    with pytest.raises((TypeError, ValueError), match="workflow_completion_timeout_sec: expected"):
        DBOS.destroy(workflow_completion_timeout_sec=seconds)
    assert DBOS.list_workflows() == []


@pytest.mark.parametrize("seconds", [60, float("inf")])
def test_destroy_waits_for_running_workflows_as_long_as_it_is_told(
    launch: Launch, sql: psycopg.Connection[Any], seconds: float
) -> None:
    begun, go = threading.Event(), threading.Event()

    @DBOS.step()
    def last() -> int:
        return 5

    @DBOS.workflow()
    def work() -> int:
        begun.set()
        assert go.wait(60)
        return last()

    launch()
    handle = DBOS.start_workflow(work)
    assert begun.wait(30)
    threading.Timer(0.2, go.set).start()
    DBOS.destroy(workflow_completion_timeout_sec=seconds)
    row = sql.execute("SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %s", [handle.workflow_id])
    assert row.fetchone() == {"status": "SUCCESS"}


def test_what_outlasts_destroy_stops_at_its_next_step_and_is_recovered_by_the_next_launch(
    launch: Launch, sql: psycopg.Connection[Any]
) -> None:
    begun, go, caught = threading.Event(), threading.Event(), []
    runs: list[threading.Thread] = []

    @DBOS.step()
    def first() -> None: ...

    @DBOS.step()
    def second() -> None: ...

    @DBOS.workflow()
    def work() -> str:
        runs.append(threading.current_thread())
        first()
        begun.set()
        if len(runs) == 1:
            assert go.wait(60)
        try:
            second()
        except Exception as error:  # noqa: BLE001 -- a workflow that handles everything
            caught.append(error)
        return "done"

    launch()
    handle = DBOS.start_workflow(work)
    assert begun.wait(30)
    DBOS.destroy()
    go.set()
    runs[0].join(30)
    assert not runs[0].is_alive()
    row = sql.execute("SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %s", [handle.workflow_id])
    assert row.fetchone() == {"status": "PENDING"}
    assert caught == [], "user code must not take the end of the process for a failed step"
    launch()
    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == "done"
    assert len(runs) == 2


FOREIGN_ENGINE = create_engine("postgresql+psycopg://host/name")
FOREIGN_ENGINE.dialect.driver = "asyncpg"


@pytest.mark.parametrize("config", [{}, {"name": "x"}, {"name": "Orders"}, {"name": "orders", "log_level": "LOUD"}])
def test_a_setting_that_cannot_be_used_stops_the_configuration(config: Any, database_url: str) -> None:
    with pytest.raises(DBOSInitializationError):
        DBOS(config={"system_database_url": database_url, **config})
    with pytest.raises(DBOSException, match="not configured"):
        DBOS.launch()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"system_database_url": "mysql://h/d"}, "expected a postgresql:// URL, got mysql://"),
        ({"system_database_url": "nonsense"}, "expected a database URL"),
        ({"system_database_url": "postgresql://u:a@secret@h:1/x"}, "written as %40"),
        ({"system_database_url": "postgresql://u:a@b:secret@h:1/x"}, "written as %40"),
        ({"system_database_url": "postgresql://u:secret@127.0.0.1:1/x"}, "cannot be used"),
        ({"system_database_engine": FOREIGN_ENGINE}, "system_database_engine"),
    ],
)
def test_a_database_that_cannot_be_used_stops_the_launch(config: Any, said: str) -> None:
    DBOS(config={"name": "orders", **config})
    try:
        with pytest.raises(DBOSInitializationError, match=said) as caught:
            DBOS.launch()
        assert "secret" not in str(caught.value)
    finally:
        DBOS.destroy()


def test_a_failed_launch_can_be_repeated(empty_database_url: str, launch: Launch) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA dbos")
        connection.execute("CREATE TABLE dbos.workflow_status (nothing int)")
        with pytest.raises(DBOSInitializationError):
            launch(system_database_url=empty_database_url)
        connection.execute("DROP SCHEMA dbos CASCADE")
    DBOS.launch()
    assert DBOS.executor_id == "one"


def test_a_database_that_is_missing_is_created(postgres_server: Any) -> None:
    url = postgres_server.url_of("dbos_test_made_by_launch")
    DBOS(config={"name": "orders", "system_database_url": url})
    try:
        DBOS.launch()
        assert DBOS.list_workflows() == []
    finally:
        DBOS.destroy()
        postgres_server.drop_database(url)


def test_a_port_in_use_stops_the_launch_and_is_named(launch: Launch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DBOSInitializationError, match=rf"metrics_port: cannot listen on 127\.0\.0\.1:{port}"):
            launch(metrics_port=port, metrics_host="127.0.0.1")


def test_of_several_ports_the_first_free_one_is_taken(launch: Launch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        launch(metrics_port=f"{port}-{min(port + 50, 65535)}", metrics_host="127.0.0.1")
        assert process.application is not None
        address = process.application.metrics_address
        assert address is not None
        assert port < int(address.rpartition(":")[2]) <= port + 50
        DBOS.destroy()
        with pytest.raises(DBOSInitializationError, match=f"each process needs a port: name several, such as '{port}-"):
            launch(metrics_port=port, metrics_host="127.0.0.1")


def test_a_version_name_of_another_application_stops_the_launch(launch: Launch, sql: psycopg.Connection[Any]) -> None:
    sql.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, application_name) VALUES ('x', 'v1', 'shop')"
    )
    with pytest.raises(DBOSInitializationError, match="belongs to application 'shop'"):
        launch()


def test_a_declared_queue_of_another_application_stops_the_launch(launch: Launch, sql: psycopg.Connection[Any]) -> None:
    sql.execute("INSERT INTO dbos.queues (name, updated_at, application_name) VALUES ('work', 0, 'shop')")
    Queue("work")
    with pytest.raises(DBOSInitializationError, match="'work' belongs to application 'shop'"):
        launch()


def test_a_queue_that_is_declared_after_the_launch_is_served_at_once(
    launch: Launch, sql: psycopg.Connection[Any]
) -> None:
    @DBOS.workflow()
    def work() -> int:
        return 3

    launch()
    queue = Queue("late", concurrency=2)
    assert sql.execute("SELECT concurrency FROM dbos.queues").fetchall() == [{"concurrency": 2}]
    assert queue.enqueue(work).get_result() == 3
    sql.execute("INSERT INTO dbos.queues (name, updated_at, application_name) VALUES ('theirs', 0, 'shop')")
    with pytest.raises(DBOSException, match="'theirs' belongs to application 'shop'"):
        Queue("theirs")


def test_the_identity_of_the_process_comes_from_its_configuration(launch: Launch) -> None:
    launch(executor_id="pod-7", application_version="v9")
    assert (DBOS.executor_id, DBOS.application_version) == ("pod-7", "v9")


def test_the_identity_of_the_process_comes_from_the_environment(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection[Any]
) -> None:
    monkeypatch.setenv("DBOS__VMID", "pod-8")
    monkeypatch.setenv("DBOS__APPVERSION", "v8")
    monkeypatch.setenv("DBOS__APPID", "app-8")

    @DBOS.workflow()
    def work() -> None: ...

    launch(executor_id=None, application_version=None)
    assert (DBOS.executor_id, DBOS.application_version) == ("pod-8", "v8")
    DBOS.start_workflow(work).get_result()
    row = sql.execute("SELECT executor_id, application_version, application_id FROM dbos.workflow_status").fetchone()
    assert row == {"executor_id": "pod-8", "application_version": "v8", "application_id": "app-8"}


def test_a_launch_installs_no_signal_handler(launch: Launch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    launch()
    assert {number: signal.getsignal(number) for number in before} == before


BLOCKING = {
    "retrieve_workflow": ("x",),
    "get_workflow_status": ("x",),
    "list_workflows": (),
    "list_queued_workflows": (),
    "register_queue": ("q",),
    "retrieve_queue": ("q",),
}


def test_a_blocking_call_on_an_event_loop_names_its_async_twin(launch: Launch) -> None:
    launch()

    async def call(name: str) -> None:
        getattr(DBOS, name)(*BLOCKING[name])

    for name in BLOCKING:
        with pytest.raises(RuntimeError, match=rf"await DBOS\.{name}_async"):
            asyncio.run(call(name))


def test_several_applications_share_a_database_in_schemas_of_their_own(launch: Launch, database_url: str) -> None:
    @DBOS.workflow()
    def work() -> int:
        return 1

    launch(dbos_system_schema='My "Schema" 100%')
    assert DBOS.start_workflow(work).get_result() == 1
    with DBOSClient(system_database_url=database_url) as elsewhere:
        assert elsewhere.list_workflows() == []


def test_an_engine_of_the_application_is_used_and_stays_as_it_was(launch: Launch, database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"), pool_size=4)
    queue = Queue("work", concurrency=2)

    @DBOS.workflow()
    def work(number: int) -> int:
        return number

    launch(system_database_url=None, system_database_engine=engine)
    handles = [queue.enqueue(work, number) for number in range(20)]
    assert [handle.get_result() for handle in handles] == list(range(20))
    DBOS.destroy()
    for _ in range(6):  # every pooled connection: transactions of the application still roll back
        with engine.connect() as connection:
            connection.execute(text("CREATE TABLE never (x int)"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT to_regclass('never')")).scalar() is None
    engine.dispose()


def test_what_begins_while_the_launch_goes_on_finds_its_engine(
    launch: Launch, client: DBOSClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    Queue("work")
    done = threading.Event()

    @DBOS.step()
    def step() -> int:
        return 4

    @DBOS.workflow(name="work")
    def work() -> int:
        try:
            return step()
        finally:
            done.set()

    start = Engine.start

    def slow_start(engine: Engine) -> None:
        start(engine)
        assert done.wait(60)

    monkeypatch.setattr(Engine, "start", slow_start)
    handle = client.enqueue({"workflow_name": "work", "queue_name": "work"})
    launch()
    assert handle.get_result(polling_interval_sec=0.05) == 4


def test_what_has_not_begun_at_destroy_never_begins(launch: Launch, sql: psycopg.Connection[Any]) -> None:
    begun, go, ran = threading.Event(), threading.Event(), []

    @DBOS.workflow()
    def work(number: int) -> int:
        ran.append(number)
        begun.set()
        assert go.wait(60)
        return number

    launch(max_executor_threads=1)
    first = DBOS.start_workflow(work, 1)
    second = DBOS.start_workflow(work, 2)
    assert begun.wait(30)
    DBOS.destroy()
    with pytest.raises(RuntimeError, match="system database is closed"):
        second.get_result()
    go.set()
    with pytest.raises(RuntimeError, match="system database is closed"):
        first.get_result()
    assert ran == [1]
    rows = sql.execute("SELECT DISTINCT status FROM dbos.workflow_status").fetchall()
    assert rows == [{"status": "PENDING"}]
