"""Durable sleep, and what ends a wait early: a cancellation, a recovery, the end of the process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dbos import DBOS, SetWorkflowID
from dbos.api.runtime import engine
from dbos.error import DBOSAwaitedWorkflowCancelledError, DBOSException
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Twin
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

Sql = Bystander


def wait_until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    eventually(holds, bool)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


def _start(workflow: Any, workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


def _steps(sql: Sql, workflow_id: str) -> list[dict[str, Any]]:
    return sql.execute(
        "SELECT * FROM dbos.operation_outputs WHERE workflow_uuid = %s ORDER BY function_id", [workflow_id]
    ).fetchall()


def test_a_sleep_records_when_it_ends(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        for seconds in (0.2, 0, -1, 0.1):
            yield "sleep", seconds

    sleeper = twin.workflow(body, name="sleeper")
    launch()
    began = time.time()
    _start(sleeper, "w").get_result()
    assert time.time() - began >= 0.3
    first, second = _steps(sql, "w")
    assert [(step["function_id"], step["function_name"]) for step in (first, second)] == [
        (1, "DBOS.sleep"),
        (2, "DBOS.sleep"),
    ]
    assert first["serialization"] == "portable_json"
    assert 0.2 <= float(first["output"]) - began < 30
    assert first["completed_at_epoch_ms"] == int(float(first["output"]) * 1000)


def test_a_replay_sleeps_what_is_left(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        yield "sleep", 3600

    sleeper = twin.workflow(body, name="sleeper")
    launch()
    _start(sleeper, "w")
    wait_until(lambda: len(_steps(sql, "w")) == 1)
    assert time.time() + 3500 < float(_steps(sql, "w")[0]["output"]) < time.time() + 3700
    sql.execute("UPDATE dbos.operation_outputs SET output = %s", [str(time.time() + 0.3)])
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', queue_name = '_dbos_internal_queue', owner_xid = NULL"
    )
    began = time.time()
    assert DBOS.retrieve_workflow("w").get_result(polling_interval_sec=0.05) is None
    assert time.time() - began < 60


WAITS: dict[str, tuple[Any, ...]] = {
    "sleep": (3600,),
    "recv": (None, 3600),
    "get_event": ("w", "never", 3600),
    "read_stream": ("other", "never"),
    "read_stream_offset": ("other", "never", 0),
}


def test_a_cancelled_workflow_stops_within_a_second_wherever_it_waits(launch: Launch, twin: Twin, sql: Sql) -> None:
    after: list[str] = []

    def step_body() -> Any:
        yield "get_event", "w", "never", 3600

    step = twin.step(step_body, name="waits")

    def body(wait: str) -> Any:
        if wait == "step":
            yield (step,)
        else:
            yield wait, *WAITS[wait]
        after.append(wait)

    waiter = twin.workflow(body, name="waiter")
    launch()
    handles = {wait: _start(waiter, "other" if wait == "sleep" else wait, wait) for wait in (*WAITS, "step")}
    time.sleep(0.3)
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL, queue_name = NULL"
        " WHERE workflow_uuid <> 'other'"
    )
    began = time.monotonic()
    for wait, handle in handles.items():
        if wait != "sleep":
            with pytest.raises(DBOSAwaitedWorkflowCancelledError):
                handle.get_result()
    twin.call(DBOS, "cancel_workflow", "other")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handles["sleep"].get_result()
    assert time.monotonic() - began < 30
    assert after == []


def test_a_workflow_that_was_taken_over_goes_on_once(launch: Launch, twin: Twin, sql: Sql) -> None:
    ended: list[str] = []

    def body() -> Any:
        yield "recv", None, 3600
        ended.append("once")

    waiter = twin.workflow(body, name="waiter")
    launch()
    handle = _start(waiter, "w")
    wait_until(lambda: len(_steps(sql, "w")) == 1)
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', queue_name = '_dbos_internal_queue', owner_xid = NULL"
    )
    wait_until(lambda: sql.execute("SELECT 1 FROM dbos.workflow_status WHERE recovery_attempts = 2").fetchone())
    DBOS.send("w", 1)
    assert handle.get_result() is None
    assert DBOS.retrieve_workflow("w").get_result() is None
    assert ended == ["once"]


def test_the_end_of_the_process_wakes_sleepers_which_are_recovered(launch: Launch, twin: Twin, sql: Sql) -> None:
    woke, ended = threading.Event(), threading.Event()

    def body() -> Any:
        try:
            yield "sleep", 3600
            woke.set()
        finally:
            ended.set()

    sleeper = twin.workflow(body, name="sleeper")
    launch()
    _start(sleeper, "w")
    wait_until(lambda: len(_steps(sql, "w")) == 1)
    DBOS.destroy()
    assert ended.wait(30)
    assert not woke.is_set()
    sql.execute("UPDATE dbos.operation_outputs SET output = '1.5'")
    launch()
    assert DBOS.retrieve_workflow("w").get_result(polling_interval_sec=0.05) is None
    assert woke.is_set()


def test_coroutines_sleep_without_threads(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    async def sleeper() -> None:
        await DBOS.sleep_async(3600)

    launch()
    _start(sleeper, "first")
    wait_until(lambda: len(_steps(sql, "first")) == 1)
    time.sleep(0.2)
    before = threading.active_count()
    for _number in range(100):
        DBOS.start_workflow(sleeper)
    count = "SELECT count(*) AS count FROM dbos.operation_outputs"
    wait_until(lambda: (sql.execute(count).fetchone() or {})["count"] == 101)
    assert threading.active_count() <= before + 30  # the readers of the database, and who begins them


def test_one_statement_looks_after_all_that_wait(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    async def sleeper() -> None:
        await DBOS.sleep_async(3600)

    launch()
    for number in range(20):
        _start(sleeper, f"w{number}")
    wait_until(lambda: len(sql.execute("SELECT 1 FROM dbos.operation_outputs").fetchall()) == 20)
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL WHERE workflow_uuid <> 'w0'")
    for number in range(1, 20):
        with pytest.raises(DBOSAwaitedWorkflowCancelledError):
            DBOS.retrieve_workflow(f"w{number}").get_result(polling_interval_sec=0.05)
    assert DBOS.retrieve_workflow("w0").get_status().status == "PENDING"


async def test_who_stops_awaiting_leaves_nothing_behind(launch: Launch) -> None:
    await asyncio.to_thread(launch)
    signals = engine().services.signals
    limit = asyncio.timeout(None)

    async def wait_at_most() -> None:
        async with limit:
            await DBOS.get_event_async("w", "never", 60)

    waiting = [
        asyncio.ensure_future(DBOS.get_event_async("w", "never", 60)),
        asyncio.ensure_future(wait_at_most()),
    ]
    waiters = signals._waiters
    await asyncio.to_thread(wait_until, lambda: len(waiters.get("dbos_workflow_events_channel w::never", [])) == 2)
    waiting[0].cancel()
    limit.reschedule(asyncio.get_running_loop().time())
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, TimeoutError]
    assert waiters == {}


NO_TIMES: list[tuple[Any, type[Exception], str]] = [
    ("1", TypeError, "seconds: expected a number of seconds, got '1'"),
    (None, TypeError, "seconds: expected a number of seconds, got None"),
    (True, TypeError, "seconds: expected a number of seconds, got True"),
    (float("inf"), ValueError, "seconds: expected at most"),
    (float("nan"), ValueError, "seconds: expected at most"),
]


def test_what_is_no_time_is_refused(launch: Launch, twin: Twin) -> None:
    def body(number: int) -> Any:
        yield "sleep", NO_TIMES[number][0]

    sleeper = twin.workflow(body, name="sleeper")
    launch()
    for number, (_seconds, kind, said) in enumerate(NO_TIMES):
        with pytest.raises(kind, match=said):
            _start(sleeper, f"w{number}", number).get_result()


def test_only_workflows_sleep(launch: Launch, twin: Twin) -> None:
    def step_body() -> Any:
        yield "sleep", 0.01

    step = twin.step(step_body, name="sleeps")

    def body() -> Any:
        yield (step,)

    workflow = twin.workflow(body, name="sleeper")
    launch()
    with pytest.raises(DBOSException, match=r"sleep\(\) must be called from within a workflow"):
        twin.call(DBOS, "sleep", 0.01)
    with pytest.raises(DBOSException, match=r"sleep\(\) must be called from within a workflow"):
        _start(workflow, "w").get_result()


async def test_on_an_event_loop_the_twin_is_named(launch: Launch) -> None:
    await asyncio.to_thread(launch)
    with pytest.raises(RuntimeError, match=r"await DBOS\.sleep_async instead"):
        DBOS.sleep(1)
