"""Events: the latest value of a key, for whoever asks or waits, and recorded for workflows that ask."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from functools import partial
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, SetWorkflowID, WorkflowSerializationFormat
from dbos.error import DBOSException
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Options, Twin
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

Sql = Bystander


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


def _start(workflow: Any, workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


def _steps(sql: Sql, workflow_id: str) -> list[tuple[Any, ...]]:
    rows = sql.execute(
        "SELECT function_id, function_name, output, serialization FROM dbos.operation_outputs"
        " WHERE workflow_uuid = %s ORDER BY function_id",
        [workflow_id],
    ).fetchall()
    return [tuple(row.values()) for row in rows]


def _again(sql: Sql, workflow_id: str) -> Any:
    """Run a workflow that has ended once more, from its checkpoints."""
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', queue_name = '_dbos_internal_queue', owner_xid = NULL"
        " WHERE workflow_uuid = %s",
        [workflow_id],
    )
    return DBOS.retrieve_workflow(workflow_id).get_result(polling_interval_sec=0.05)


def _setter(twin: Twin) -> Any:
    def body(*events: Any) -> Any:
        for key, value in events:
            yield "set_event", key, value

    return twin.workflow(body, name="setter")


def test_the_latest_value_is_given_and_each_step_is_kept(
    launch: Launch, twin: Twin, sql: Sql, client: DBOSClient
) -> None:
    setter = _setter(twin)
    launch()
    _start(setter, "w", ("a", 1), ("b", [1]), ("a", 2), ("", None)).get_result()
    for asked in (DBOS, client):
        assert twin.call(asked, "get_event", "w", "a") == 2
        assert twin.call(asked, "get_event", "w", "") is None
        assert twin.call(asked, "get_event", "w", "missing", 0) is None
        assert twin.call(asked, "get_event", "nowhere", "a", -1) is None
    assert twin.call(DBOS, "get_all_events", "w") == {"a": 2, "b": [1], "": None}
    assert twin.call(DBOS, "get_all_events", "nowhere") == {}
    history = sql.execute("SELECT function_id, key FROM dbos.workflow_events_history ORDER BY function_id").fetchall()
    assert [tuple(row.values()) for row in history] == [(1, "a"), (2, "b"), (3, "a"), (4, "")]
    assert _steps(sql, "w") == [(number, "DBOS.setEvent", None, None) for number in (1, 2, 3, 4)]


def test_who_waits_is_woken_at_once_and_need_not_know_that_the_workflow_exists(
    launch: Launch, twin: Twin, sql: Sql
) -> None:
    def body() -> Any:
        first = yield "get_event", "w", "ready", 60
        return [first, (yield "get_event", "w", "never", 0.05)]

    waiter = twin.workflow(body, name="waiter")
    setter = _setter(twin)
    launch()
    handle = _start(waiter, "waiter")
    eventually(lambda: _steps(sql, "waiter"), bool, what="time until which it waits")
    began = time.monotonic()
    _start(setter, "w", ("ready", "yes"))
    assert handle.get_result() == ["yes", None]
    assert time.monotonic() - began < 30, "it looked when its time was over, and was not told"


@pytest.mark.parametrize("seconds", [float("inf"), 1e12])
def test_a_wait_may_last_as_long_as_it_takes(launch: Launch, twin: Twin, sql: Sql, seconds: float) -> None:
    def body() -> Any:
        event = yield "get_event", "w", "ready", seconds
        return [event, (yield "recv", None, seconds)]

    waiter = twin.workflow(body, name="waiter")
    setter = _setter(twin)
    launch()
    _start(waiter, "waiter")
    eventually(lambda: _steps(sql, "waiter"), bool, what="time until which it waits")
    _start(setter, "w", ("ready", "yes"))
    assert twin.call(DBOS, "get_event", "w", "ready", seconds) == "yes"
    twin.call(DBOS, "send", "waiter", "hello")
    assert DBOS.retrieve_workflow("waiter").get_result(polling_interval_sec=seconds) == ["yes", "hello"]


def test_an_interval_that_is_none_is_named(launch: Launch, twin: Twin) -> None:
    setter = _setter(twin)
    launch()
    handle = _start(setter, "w", ("ready", "yes"))
    waits: list[Any] = [handle.get_result, partial(DBOS.wait_first, [handle])]
    for wait in waits:
        with pytest.raises(TypeError, match="polling_interval_sec: expected a number of seconds, got '1'"):
            wait(polling_interval_sec="1")


def test_a_workflow_is_told_the_same_when_it_is_replayed(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        return [
            (yield "get_event", "w", "a", 0),
            (yield "get_event", "w", "none", 0),
            (yield "get_all_events", "w"),
        ]

    asker = twin.workflow(body, name="asker")
    setter = _setter(twin)
    launch()
    _start(setter, "w", ("a", 1)).get_result()
    first = _start(asker, "asker").get_result()
    assert first == [1, None, {"a": 1}]
    names = ["DBOS.getEvent", "DBOS.sleep", "DBOS.getEvent", "DBOS.sleep", "DBOS.get_events"]
    assert [row[1] for row in _steps(sql, "asker")] == names
    _start(setter, "w2", ("a", 1)).get_result()
    sql.execute("UPDATE dbos.workflow_events SET value = 'gARLBS4='")
    assert DBOS.get_event("w", "a") == 5
    assert _again(sql, "asker") == first


def test_events_of_steps_carry_the_steps_number(launch: Launch, twin: Twin, sql: Sql) -> None:
    def step_body() -> Any:
        yield "set_event", "from", "step"
        return (yield "get_event", "w", "from")

    step = twin.step(step_body, name="sets")

    def body() -> Any:
        yield "set_event", "from", "workflow"
        return (yield (step,))

    workflow = twin.workflow(body, name="setter")
    launch()
    assert _start(workflow, "w").get_result() == "step"
    assert [row[:2] for row in _steps(sql, "w")] == [(1, "DBOS.setEvent"), (2, "sets")]
    history = sql.execute("SELECT function_id FROM dbos.workflow_events_history ORDER BY function_id").fetchall()
    assert [row["function_id"] for row in history] == [1, 2]


@pytest.mark.postgresql_only  # enqueues by the SQL function
def test_formats_are_those_asked_for_or_the_workflows(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        yield "set_event", "default", {"b": (1,)}
        yield "set_event", "native", {"b": (1,)}, Options(serialization_type=WorkflowSerializationFormat.NATIVE)
        return [(yield "get_event", "w", "default", 0), (yield "get_event", "w", "native", 0)]

    twin.workflow(body, name="setter")
    launch()
    sql.execute("SELECT dbos.enqueue_workflow('setter', '_dbos_internal_queue', workflow_id => 'w')")
    assert DBOS.retrieve_workflow("w").get_result(polling_interval_sec=0.05) == [{"b": [1]}, {"b": [1]}]
    rows = sql.execute("SELECT key, value, serialization FROM dbos.workflow_events ORDER BY key").fetchall()
    assert [tuple(row.values())[::2] for row in rows] == [("default", "portable_json"), ("native", "py_pickle")]
    assert rows[0]["value"] == '{"b":[1]}'
    recorded = {row[0]: row[3] for row in _steps(sql, "w")}
    assert (recorded[3], recorded[5]) == ("portable_json", "py_pickle")


def test_one_event_that_cannot_be_read_hides_no_other(
    launch: Launch, twin: Twin, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    setter = _setter(twin)
    launch()
    _start(setter, "w", ("a", 1), ("b", 2)).get_result()
    sql.execute("UPDATE dbos.workflow_events SET serialization = 'js_superjson', value = '{}' WHERE key = 'a'")
    with caplog.at_level(logging.WARNING, logger="dbos"):
        assert twin.call(DBOS, "get_all_events", "w") == {"a": "{}", "b": 2}
    assert "js_superjson" in caplog.text
    with pytest.raises(ValueError, match="js_superjson"):
        twin.call(DBOS, "get_event", "w", "a")


REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("set_event", (5, 1), TypeError, "key: expected text, got int"),
    ("set_event", ("a\0", 1), ValueError, "key: expected text without NUL"),
    ("get_event", (5, "a"), TypeError, "workflow_id: expected text, got int"),
    ("get_event", ("w", None), TypeError, "key: expected text, got NoneType"),
    ("get_event", ("w", "a", "1"), TypeError, "timeout_seconds: expected a number of seconds, got '1'"),
    ("get_event", ("w", "a", float("nan")), ValueError, "timeout_seconds: expected at most"),
    ("get_all_events", ("",), ValueError, "workflow_id: expected text that is not blank"),
]


def test_what_cannot_be_is_refused_by_name(launch: Launch, twin: Twin) -> None:
    def body(number: int) -> Any:
        call, args, _kind, _said = REFUSED[number]
        yield call, *args

    workflow = twin.workflow(body, name="refused")
    launch()
    for number, (_call, _args, kind, said) in enumerate(REFUSED):
        with pytest.raises(kind, match=said):
            _start(workflow, f"w{number}", number).get_result()


def test_only_workflows_and_steps_set_events(launch: Launch, twin: Twin) -> None:
    launch()
    with pytest.raises(DBOSException, match=r"set_event\(\) must be called from within a workflow or step"):
        twin.call(DBOS, "set_event", "a", 1)


async def test_on_an_event_loop_the_twins_are_named(launch: Launch) -> None:
    await asyncio.to_thread(launch)
    calls = (lambda: DBOS.set_event("a", 1), lambda: DBOS.get_event("w", "a"), lambda: DBOS.get_all_events("w"))
    for call in calls:
        with pytest.raises(RuntimeError, match=r"await DBOS\.\w+_async instead"):
            call()


def test_a_client_that_listens_is_woken_too(launch: Launch, twin: Twin, database_url: str) -> None:
    setter = _setter(twin)
    launch()
    with DBOSClient(system_database_url=database_url, use_listen_notify=True) as listening:
        handle: Any = None

        def set_soon() -> None:
            nonlocal handle
            handle = _start(setter, "w", ("a", 1))

        timer = threading.Timer(0.3, set_soon)
        timer.start()
        began = time.monotonic()
        assert twin.call(listening, "get_event", "w", "a", 60) == 1
        assert time.monotonic() - began < 30, "it looked when its time was over, and was not told"
        timer.join()
        handle.get_result()
