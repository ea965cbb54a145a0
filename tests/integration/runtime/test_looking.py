"""Look at workflows and wait for them: every filter, steps, results by ID, and who is first."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue, SetEnqueueOptions, SetWorkflowAttributes, SetWorkflowID
from dbos.error import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSException,
    DBOSNonExistentWorkflowError,
    DBOSQueryTimeoutError,
)
from integration.runtime.callers import Caller
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["DBOS", "client async"])
def call(request: pytest.FixtureRequest, client: DBOSClient) -> Caller:
    """A blocking call of the application, or an awaited one of a client; twins share their bodies."""
    return Caller(request.param, client)


def _iso(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()


def _ids(statuses: Any) -> list[str]:
    return sorted(status.workflow_id for status in statuses)


@pytest.fixture
def some(launch: Launch, sql: Bystander) -> None:
    """Two workflows that ended, one of them a child, and two that wait, one of them a fork that nobody owns."""

    @DBOS.workflow(name="inner")
    def inner() -> int:
        return 1

    @DBOS.workflow(name="outer")
    def outer() -> int:
        return inner()

    launch()
    with SetWorkflowAttributes({"customer": "ada", "size": {"x": 1}}), SetWorkflowID("outer"):
        outer()
    with SetWorkflowID("waits"), SetEnqueueOptions(app_version="nobody's"):
        DBOS.enqueue_workflow("work", inner)
    with SetWorkflowID("fork"):
        DBOS.fork_workflow("outer", 2, application_version="nobody's", queue_name="work")
    for number, workflow_id in enumerate(("outer", "outer-1", "waits", "fork")):
        sql.execute(
            "UPDATE dbos.workflow_status SET created_at = %s, started_at_epoch_ms = %s WHERE workflow_uuid = %s",
            [1000 * number, 1000 * number + 10, workflow_id],
        )
    sql.execute("UPDATE dbos.workflow_status SET completed_at = 5000 WHERE workflow_uuid = 'outer'")
    sql.execute("UPDATE dbos.workflow_status SET application_name = 'shop' WHERE workflow_uuid = 'waits'")
    sql.execute("UPDATE dbos.workflow_status SET application_name = NULL WHERE workflow_uuid = 'fork'")


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["fork", "outer", "outer-1"]),
    ({"application_name": "shop"}, ["fork", "waits"]),
    ({"application_name": "shop", "workflow_ids": ["outer", "waits"]}, ["waits"]),
    ({"application_name": "nobody"}, ["fork"]),
    ({"application_name": ["shop", "orders"]}, ["fork", "outer", "outer-1", "waits"]),
    ({"application_name": []}, ["fork", "outer", "outer-1", "waits"]),
    ({"workflow_ids": ["waits", "outer", "nowhere"]}, ["outer", "waits"]),
    ({"has_parent": True}, ["outer-1"]),
    ({"has_parent": False}, ["fork", "outer"]),
    ({"is_fork": True}, ["fork"]),
    ({"is_fork": False}, ["outer", "outer-1"]),
    ({"was_forked_from": True}, ["outer"]),
    ({"was_forked_from": False}, ["fork", "outer-1"]),
    ({"forked_from": "outer"}, ["fork"]),
    ({"parent_workflow_id": ["outer", "other"]}, ["outer-1"]),
    ({"completed_after": _iso(5000), "completed_before": _iso(5000)}, ["outer"]),
    ({"completed_before": _iso(4999)}, []),
    ({"dequeued_after": _iso(1010), "dequeued_before": _iso(3010)}, ["fork", "outer-1"]),
    ({"start_time": _iso(0), "end_time": _iso(1000)}, ["outer", "outer-1"]),
    ({"queues_only": True}, ["fork"]),
    ({"name": ["outer", "nothing"], "status": "SUCCESS"}, ["outer"]),
    ({"app_version": "nobody's"}, ["fork"]),
]


def test_every_filter_finds_what_it_names(some: None, call: Caller) -> None:
    for filters, expected in FILTERS:
        assert _ids(call("list_workflows", **filters)) == expected, filters
    assert _ids(call("list_queued_workflows", is_fork=True)) == ["fork"]
    assert _ids(call("list_queued_workflows", application_name="shop")) == ["fork", "waits"]


def test_what_ended_on_a_queue_is_listed_when_its_status_is_asked_for(launch: Launch, call: Caller) -> None:
    queue = Queue("work")

    @DBOS.workflow(name="work")
    def work() -> int:
        return 1

    launch()
    with SetWorkflowID("ended"):
        assert queue.enqueue(work).get_result() == 1
    with SetWorkflowID("waits"), SetEnqueueOptions(app_version="nobody's"):
        queue.enqueue(work)
    assert _ids(call("list_workflows", queues_only=True)) == ["waits"]
    assert _ids(call("list_workflows", queues_only=True, workflow_ids=["ended"])) == []
    assert _ids(call("list_workflows", queues_only=True, status="SUCCESS")) == ["ended"]
    assert _ids(call("list_queued_workflows")) == ["waits"]


def test_attributes_are_matched_as_parts(some: None, call: Caller) -> None:
    for attributes, expected in (
        ({"customer": "ada"}, ["fork", "outer"]),
        ({"size": {"x": 1}, "customer": "ada"}, ["fork", "outer"]),
        ({"customer": "grace"}, []),
    ):
        assert _ids(call("list_workflows", attributes=attributes)) == expected, attributes
    assert _ids(call("list_workflows", attributes={})) == _ids(call("list_workflows")) != []


def test_what_is_no_filter_is_refused(launch: Launch, call: Caller) -> None:
    launch()
    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"bogus": 1}, TypeError, "bogus"),
        ({"completed_after": "yesterday"}, ValueError, "completed_after"),
        ({"attributes": "customer"}, DBOSException, "attributes"),
        ({"status": 5}, TypeError, "status: expected text or a list of it, got 5"),
        ({"name": ["a", None]}, TypeError, "name: expected text or a list of it"),
        ({"queue_name": {"a": 1}}, TypeError, "queue_name: expected text or a list of it"),
    ]
    for filters, error, text in refused:
        with pytest.raises(error, match=text):
            call("list_workflows", **filters)
    with pytest.raises(TypeError, match=r"^list_queued_workflows: unknown filters bogus"):
        call("list_queued_workflows", bogus=1)


def test_values_of_a_filter_come_in_any_collection(some: None, call: Caller) -> None:
    ended = _ids(call("list_workflows", status="SUCCESS"))
    for statuses in ({"SUCCESS"}, ("SUCCESS",), iter(["SUCCESS"])):
        assert _ids(call("list_workflows", status=statuses)) == ended != []


def test_what_is_no_id_of_a_workflow_is_refused(launch: Launch, call: Caller) -> None:
    launch()
    for workflow_id, error in ((5, TypeError), (None, TypeError), ("a\0", ValueError)):
        with pytest.raises(error, match="workflow ID: expected text"):
            call("retrieve_workflow", workflow_id)
    assert DBOS.get_workflow_status("") is None
    with pytest.raises(TypeError, match="workflow ID: expected text"):
        DBOS.retrieve_workflow(5, existing_workflow=False)  # type: ignore[arg-type]


@pytest.mark.postgresql_only
def test_a_listing_that_takes_too_long_ends(launch: Launch, sql: Bystander) -> None:
    launch(observability_query_timeout_sec=0.2)
    locked = threading.Event()
    done = threading.Event()

    def hold() -> None:
        sql.execute("BEGIN")
        sql.execute("LOCK TABLE dbos.workflow_status, dbos.operation_outputs IN ACCESS EXCLUSIVE MODE")
        locked.set()
        done.wait(60)
        sql.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(30)
        for look in (DBOS.list_workflows, lambda: DBOS.list_workflow_steps("w")):
            with pytest.raises(DBOSQueryTimeoutError, match=r"0\.2"):
                look()  # type: ignore[operator]
    finally:
        done.set()
        holder.join()

    def listed() -> Any:
        try:
            return DBOS.list_workflows()
        except DBOSQueryTimeoutError:  # 0.2 s are short on a busy machine, lock or not
            return None

    assert eventually(listed, lambda found: found is not None, what="listing in time") == []


def test_steps_answer_keys_and_attributes(launch: Launch, call: Caller, sql: Bystander) -> None:
    @DBOS.step(name="good")
    def good() -> int:
        return 1

    @DBOS.step(name="bad")
    def bad() -> None:
        raise ValueError("no")

    @DBOS.workflow(name="work")
    def work() -> None:
        good()
        with pytest.raises(ValueError, match="no"):
            bad()
        good()

    launch()
    with SetWorkflowID("w"):
        work()
    sql.execute("UPDATE dbos.operation_outputs SET output = 'not a pickle' WHERE function_id = 3")
    first, second, third = call("list_workflow_steps", "w")
    assert (first["function_id"], first["function_name"], first["output"], first["error"]) == (1, "good", 1, None)
    assert (first.function_id, first.name, first.output, first.child_workflow_id) == (1, "good", 1, None)
    assert first.started_at.timestamp() * 1000 == pytest.approx(first["started_at_epoch_ms"])
    assert (first.completed_at - first.started_at).total_seconds() >= 0
    assert isinstance(second.error, ValueError)
    assert third.output == "not a pickle"
    with pytest.raises(AttributeError, match="no 'nothing'"):
        _ = first.nothing
    assert [step.output for step in call("list_workflow_steps", "w", load_output=False)] == [None] * 3
    assert [step.name for step in call("list_workflow_steps", "w", limit=1, offset=1)] == ["bad"]
    assert call("list_workflow_steps", "nowhere") == []
    with pytest.raises(ValueError, match="limit"):
        call("list_workflow_steps", "w", limit=-1)


def test_one_row_that_cannot_be_read_breaks_no_listing(launch: Launch, call: Caller, sql: Bystander) -> None:
    @DBOS.workflow(name="work")
    def work(number: int) -> int:
        return number

    launch()
    for number in (1, 2):
        with SetWorkflowID(f"w{number}"):
            work(number)
    sql.execute("UPDATE dbos.workflow_output SET output = '?' WHERE workflow_uuid = 'w1'")
    sql.execute("UPDATE dbos.workflow_input SET inputs = '?' WHERE workflow_uuid = 'w1'")
    sql.execute("UPDATE dbos.workflow_status SET authenticated_roles = '?' WHERE workflow_uuid = 'w1'")
    found = {status.workflow_id: (status.input, status.output) for status in call("list_workflows")}
    assert found == {"w1": ("?", "?"), "w2": ({"args": (2,), "kwargs": {}}, 2)}
    bare = call("list_workflows", load_input=False, load_output=False)
    assert {(status.input, status.output) for status in bare} == {(None, None)}


def test_a_result_is_had_by_its_id(launch: Launch) -> None:
    @DBOS.workflow(name="work")
    def work() -> str:
        return "done"

    launch()
    with SetWorkflowID("w"):
        DBOS.start_workflow(work)
    assert DBOS.get_result("w") == asyncio.run(DBOS.get_result_async("w")) == "done"
    with SetWorkflowID("cancelled"), SetEnqueueOptions(app_version="nobody's"):
        DBOS.enqueue_workflow("work", work)
    DBOS.cancel_workflow("cancelled")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError, match="cancelled"):
        DBOS.get_result("cancelled")
    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.retrieve_workflow("nowhere")


def test_who_is_first_is_told_whatever_its_end(launch: Launch, call: Caller) -> None:
    go = threading.Event()

    @DBOS.workflow(name="waits")
    def waits() -> None:
        assert go.wait(60)

    @DBOS.workflow(name="fails")
    def fails() -> None:
        raise ValueError("no")

    launch()
    with SetWorkflowID("slow"):
        DBOS.start_workflow(waits)
    with SetWorkflowID("fast"):
        DBOS.start_workflow(fails)
    handles = [call("retrieve_workflow", workflow_id) for workflow_id in ("slow", "fast")]
    assert call("wait_first", handles).workflow_id == "fast"
    timer = threading.Timer(0.1, go.set)
    timer.start()
    assert call("wait_first", handles[:1], polling_interval_sec=20).workflow_id == "slow"
    for wrong in ([], handles[:1] * 2):
        with pytest.raises(ValueError, match="handles"):
            call("wait_first", wrong)
    for none in (None, "fast", ["fast"], 5):
        with pytest.raises(TypeError, match="handles: expected a list of handles"):
            call("wait_first", none)


@pytest.mark.parametrize("name", ["get_result", "list_workflow_steps", "wait_first", "list_queues", "delete_queue"])
async def test_a_blocking_look_on_a_loop_names_its_twin(name: str) -> None:
    arguments: dict[str, Any] = {"wait_first": [[]], "list_queues": []}
    with pytest.raises(RuntimeError, match=f"await DBOS.{name}_async"):
        getattr(DBOS, name)(*arguments.get(name, ["w"]))
