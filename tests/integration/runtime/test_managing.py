"""Cancel, resume, fork, rewind and delete workflows: from the application and by a client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, SetEnqueueOptions, SetWorkflowID
from dbos.engine.context import Execution, current_execution
from dbos.engine.steps import STATUS_TTL_SECONDS
from dbos.error import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSConflictingWorkflowError,
    DBOSException,
    DBOSNonExistentWorkflowError,
)
from integration.runtime.callers import Caller
from integration.runtime.conftest import Launch
from support.bystander import Bystander as Sql
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["DBOS", "client async"])
def call(request: pytest.FixtureRequest, client: DBOSClient) -> Caller:
    """A blocking call of the application, or an awaited one of a client; twins share their bodies."""
    return Caller(request.param, client)


@pytest.fixture
def gate(launch: Launch) -> Gate:
    """A launched application whose workflow waits between two steps."""
    gate = Gate()
    launch()
    DBOS.register_queue("work")
    return gate


class Gate:
    """A workflow of three steps that waits before its third until it may go on."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.ran: list[str] = []
        self.execution: Execution | None = None

        @DBOS.step(name="note")
        def note(what: str) -> str:
            self.ran.append(what)
            return what

        @DBOS.workflow(name="child")
        def child(what: str) -> str:
            return note(what)

        @DBOS.workflow(name="passes")
        def passes(*, with_child: bool = False) -> str:
            self.execution = current_execution.get()
            first = child("child") if with_child else note("first")
            second = note("second")
            self.entered.release()
            assert self.open.wait(90)
            return f"{first} {second} {note('third')}"

        self.workflow: Callable[..., str] = passes

    def begin(self, workflow_id: str, **kwargs: Any) -> Any:
        """Start the workflow and wait until it waits."""
        with SetWorkflowID(workflow_id):
            handle = DBOS.start_workflow(self.workflow, **kwargs)
        assert self.entered.acquire(timeout=30)
        return handle

    def hears(self) -> None:
        """Wait until the execution knows that there is news of its workflow."""
        eventually(lambda: self.execution, lambda run: run is not None and run.checked_at < 0, what="news")

    def finish(self, workflow_id: str) -> str:
        """Run the workflow to its end."""
        self.open.set()
        with SetWorkflowID(workflow_id):
            return self.workflow()


def _row(sql: Sql, workflow_id: str) -> dict[str, Any]:
    row = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row


def _park(workflow: Callable[..., Any], workflow_id: str, **options: Any) -> None:
    """Enqueue what nobody runs."""
    with SetWorkflowID(workflow_id), SetEnqueueOptions(app_version="nobody's", **options):
        DBOS.enqueue_workflow("work", workflow)


# -- cancel --------------------------------------------------------------------------------------------------------


def test_a_cancelled_workflow_stops_at_its_next_step(gate: Gate, call: Caller, sql: Sql) -> None:
    handle = gate.begin("w")
    call("cancel_workflow", "w")
    row = _row(sql, "w")
    assert (row["status"], row["queue_name"], row["owner_xid"]) == ("CANCELLED", None, None)
    assert row["completed_at"] == row["updated_at"]
    gate.hears()
    gate.open.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert gate.ran == ["first", "second"]
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_output").fetchone() == {"n": 0}


def test_a_step_of_a_cancelled_workflow_is_tried_no_further(launch: Launch, client: DBOSClient) -> None:
    tried = threading.Semaphore(0)
    tries: list[int] = []

    @DBOS.step(retries_allowed=True, max_attempts=1000, interval_seconds=0.01, backoff_rate=1)
    def fails() -> None:
        tries.append(len(tries))
        tried.release()
        raise ConnectionError

    @DBOS.workflow()
    def persistent() -> None:
        fails()

    launch()
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(persistent)
    assert tried.acquire(timeout=20)
    client.cancel_workflow("w")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert len(tries) < 1000
    assert DBOS.list_workflow_steps("w") == []


def test_a_cancelled_workflow_leaves_its_queue_and_its_deduplication_id(gate: Gate, call: Caller, sql: Sql) -> None:
    _park(gate.workflow, "w", deduplication_id="key", priority=3)
    call("cancel_workflows", ["w", "unknown"])
    row = _row(sql, "w")
    assert (row["status"], row["queue_name"], row["deduplication_id"]) == ("CANCELLED", None, None)
    _park(gate.workflow, "next", deduplication_id="key")


def test_what_ended_by_itself_stays_as_it_is(gate: Gate, call: Caller, sql: Sql) -> None:
    assert gate.finish("w") == "first second third"
    before = _row(sql, "w")
    call("cancel_workflow", "w")
    assert _row(sql, "w") == before
    assert call.result(call("resume_workflow", "w")) == "first second third"
    assert _row(sql, "w") == before


@pytest.mark.parametrize("cancel_children", [False, True])
def test_children_are_cancelled_on_request(gate: Gate, call: Caller, sql: Sql, cancel_children: bool) -> None:
    @DBOS.workflow(name="grandparent")
    def grandparent() -> None:
        with SetEnqueueOptions(app_version="nobody's"):
            DBOS.enqueue_workflow("work", middle)

    @DBOS.workflow(name="middle")
    def middle() -> None: ...

    with SetWorkflowID("top"):
        grandparent()
    sql.execute("UPDATE dbos.workflow_status SET status = 'PENDING' WHERE workflow_uuid = 'top'")
    with SetWorkflowID("below"), SetEnqueueOptions(app_version="nobody's"):
        DBOS.enqueue_workflow("work", middle)
    sql.execute("UPDATE dbos.workflow_status SET parent_workflow_id = 'top-1' WHERE workflow_uuid = 'below'")
    call("cancel_workflow", "top", cancel_children=cancel_children)
    statuses = [_row(sql, workflow_id)["status"] for workflow_id in ("top", "top-1", "below")]
    assert statuses == (["CANCELLED"] * 3 if cancel_children else ["CANCELLED", "ENQUEUED", "ENQUEUED"])


def test_workflows_that_started_each_other_in_a_circle_are_cancelled_once(gate: Gate, call: Caller, sql: Sql) -> None:
    _park(gate.workflow, "a")
    _park(gate.workflow, "b")
    sql.execute("UPDATE dbos.workflow_status SET parent_workflow_id = 'b' WHERE workflow_uuid = 'a'")
    sql.execute("UPDATE dbos.workflow_status SET parent_workflow_id = 'a' WHERE workflow_uuid = 'b'")
    call("cancel_workflow", "a", cancel_children=True)
    assert {_row(sql, "a")["status"], _row(sql, "b")["status"]} == {"CANCELLED"}


def test_whoever_waits_for_a_cancelled_workflow_is_told_at_once(gate: Gate, client: DBOSClient) -> None:
    handle = gate.begin("w")
    timer = threading.Timer(0.1, lambda: client.cancel_workflow("w"))
    started = time.monotonic()
    timer.start()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        DBOS.retrieve_workflow("w").get_result(polling_interval_sec=80)
    assert time.monotonic() - started < 40
    gate.open.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()


def test_a_workflow_that_waits_for_another_notices_that_it_was_cancelled(gate: Gate, client: DBOSClient) -> None:
    @DBOS.workflow(name="awaits")
    def awaits() -> str:
        return str(DBOS.get_result("inner"))

    gate.begin("inner")
    with SetWorkflowID("outer"):
        outer = DBOS.start_workflow(awaits)
    client.cancel_workflow("outer")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        outer.get_result()
    assert DBOS.retrieve_workflow("inner").get_status().status == "PENDING"
    gate.open.set()


# -- resume --------------------------------------------------------------------------------------------------------


def test_a_cancelled_workflow_is_resumed_from_its_last_step(gate: Gate, call: Caller, sql: Sql) -> None:
    handle = gate.begin("w")
    call("cancel_workflow", "w")
    gate.hears()
    gate.open.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    resumed = call("resume_workflow", "w")
    assert resumed.workflow_id == "w"
    assert call.result(resumed) == "first second third"
    assert gate.ran == ["first", "second", "third"]
    row = _row(sql, "w")
    assert (row["recovery_attempts"], row["queue_name"]) == (1, "_dbos_internal_queue")


def test_workflows_that_wait_are_resumed_on_a_queue_all_or_none(gate: Gate, call: Caller, sql: Sql) -> None:
    _park(gate.workflow, "a", deduplication_id="key", priority=7)
    _park(gate.workflow, "b")
    with pytest.raises(DBOSNonExistentWorkflowError, match="unknown"):
        call("resume_workflows", ["a", "unknown", "b"], queue_name="other")
    assert _row(sql, "a")["queue_name"] == "work"
    assert [handle.workflow_id for handle in call("resume_workflows", ["b", "a"], queue_name="other")] == ["b", "a"]
    row = _row(sql, "a")
    assert (row["status"], row["queue_name"], row["deduplication_id"]) == ("ENQUEUED", "other", None)
    assert (row["priority"], row["application_version"]) == (7, "nobody's")
    assert call("resume_workflows", []) == []


def test_a_workflow_that_runs_is_taken_from_who_runs_it(gate: Gate, call: Caller) -> None:
    first, former = gate.begin("w"), gate.execution
    resumed = call("resume_workflow", "w")
    assert gate.entered.acquire(timeout=30)
    # For a moment it trusts its last checkpoint; a step that begins then is run, and not recorded.
    eventually(lambda: former and time.monotonic() - former.checked_at, lambda age: age > STATUS_TTL_SECONDS)
    gate.open.set()
    assert call.result(resumed) == first.get_result() == "first second third"
    assert gate.ran.count("third") == 1


# -- fork ----------------------------------------------------------------------------------------------------------


def test_a_fork_has_the_results_of_the_steps_before_its_first(gate: Gate, call: Caller, sql: Sql) -> None:
    gate.finish("w")
    before = _row(sql, "w")
    gate.ran.clear()
    with SetWorkflowID("copy"):
        forked = call("fork_workflow", "w", 3)
    assert call.result(forked) == "first second third"
    assert gate.ran == ["third"]
    status = call.status(forked)
    assert (status.workflow_id, status.forked_from, status.name) == ("copy", "w", "passes")
    assert status.input == {"args": (), "kwargs": {}}
    assert _row(sql, "w") == {**before, "was_forked_from": True}


def test_a_fork_from_the_beginning_runs_every_step(gate: Gate, call: Caller) -> None:
    gate.finish("w")
    gate.ran.clear()
    forked = call("fork_workflow", "w", 1)
    assert call.result(forked) == "first second third"
    assert gate.ran == ["first", "second", "third"]
    assert call.result(call("fork_workflow", forked.workflow_id, 0)) == "first second third"


def test_a_fork_takes_its_version_queue_partition_and_timeout(gate: Gate, call: Caller, sql: Sql) -> None:
    gate.finish("w")
    forked = call(
        "fork_workflow",
        "w",
        2,
        application_version="nobody's",
        queue_name="work",
        queue_partition_key="p",
        timeout_seconds=1.5,
    )
    row = _row(sql, forked.workflow_id)
    assert (row["application_version"], row["queue_name"], row["queue_partition_key"]) == ("nobody's", "work", "p")
    assert (row["workflow_timeout_ms"], row["workflow_deadline_epoch_ms"], row["executor_id"]) == (1500, None, None)


def test_a_fork_takes_other_children_instead(gate: Gate, call: Caller, sql: Sql) -> None:
    gate.open.set()
    with SetWorkflowID("w"):
        gate.workflow(with_child=True)
    forked = call("fork_workflow", "w", 3, replacement_children={"w-1": "other"}, application_version="nobody's")
    rows = sql.execute(
        "SELECT function_id, child_workflow_id FROM dbos.operation_outputs WHERE workflow_uuid = %s ORDER BY 1",
        [forked.workflow_id],
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [(1, "other"), (2, "other")]


def test_a_fork_twice_under_one_id_is_one_fork_and_a_taken_id_is_refused(gate: Gate, call: Caller, sql: Sql) -> None:
    gate.finish("w")
    gate.finish("other")
    for _ in range(2):
        with SetWorkflowID("copy"):
            assert call("fork_workflow", "w", 3).workflow_id == "copy"
    with SetWorkflowID("other"), pytest.raises(DBOSConflictingWorkflowError, match="other"):
        call("fork_workflow", "w", 3)
    assert _row(sql, "other")["forked_from"] is None


# -- rewind --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start_step", "ran"), [(None, ["first", "second", "third"]), (2, ["second", "third"])])
def test_a_workflow_that_ended_runs_again_under_its_id(
    gate: Gate, call: Caller, sql: Sql, start_step: int | None, ran: list[str]
) -> None:
    gate.finish("w")
    gate.ran.clear()
    rewound = call("rewind_workflow", "w", start_step=start_step)
    assert call.result(rewound) == "first second third"
    assert (rewound.workflow_id, gate.ran) == ("w", ran)
    row = _row(sql, "w")
    assert (row["recovery_attempts"], row["status"]) == (1, "SUCCESS")
    assert row["completed_at"] >= row["started_at_epoch_ms"]


def test_a_rewind_undoes_events_messages_and_the_end_of_streams(gate: Gate, call: Caller, sql: Sql) -> None:
    gate.finish("w")
    for step, key, value in ((1, "kept", "1"), (1, "changed", "1"), (3, "changed", "3"), (3, "new", "3")):
        sql.execute(
            "INSERT INTO dbos.workflow_events_history (workflow_uuid, function_id, key, value)"
            " VALUES ('w', %s, %s, %s)",
            [step, key, value],
        )
        sql.execute(
            "INSERT INTO dbos.workflow_events (workflow_uuid, key, value) VALUES ('w', %s, %s)"
            " ON CONFLICT (workflow_uuid, key) DO UPDATE SET value = excluded.value",
            [key, value],
        )
    for offset, value, serialization in ((0, "x", None), (1, '"__DBOS_STREAM_CLOSED__"', "portable_json")):
        sql.execute(
            'INSERT INTO dbos.streams (workflow_uuid, key, value, "offset", function_id, serialization)'
            " VALUES ('w', 's', %s, %s, 3, %s)",
            [value, offset, serialization],
        )
    for message, consumed, by in (("old", True, 1), ("late", True, 3), ("unread", False, None)):
        sql.execute(
            "INSERT INTO dbos.notifications (message_uuid, destination_uuid, topic, message, consumed,"
            " consumed_by_function_id) VALUES (%s, 'w', 't', 'm', %s, %s)",
            [message, consumed, by],
        )
    call("rewind_workflow", "w", start_step=3, application_version="nobody's", queue_name="work")
    row = _row(sql, "w")
    assert (row["status"], row["queue_name"], row["application_version"]) == ("ENQUEUED", "work", "nobody's")
    assert (row["completed_at"], row["owner_xid"]) == (None, None)

    def values(query: str) -> list[tuple[Any, ...]]:
        return [tuple(found.values()) for found in sql.execute(query).fetchall()]

    assert values("SELECT key, value FROM dbos.workflow_events ORDER BY 1") == [("changed", "1"), ("kept", "1")]
    assert values("SELECT function_id FROM dbos.workflow_events_history") == [(1,), (1,)]
    assert values("SELECT value FROM dbos.streams") == [("x",)]
    assert values("SELECT message_uuid FROM dbos.notifications") == [("old",)]
    assert values("SELECT function_id FROM dbos.operation_outputs ORDER BY 1") == [(1,), (2,)]
    assert values("SELECT * FROM dbos.workflow_output") == []


def test_a_workflow_that_has_not_ended_is_not_rewound(gate: Gate, call: Caller, sql: Sql) -> None:
    _park(gate.workflow, "w")
    before = _row(sql, "w")
    with pytest.raises(DBOSException, match=r"w is ENQUEUED.*cancel it first"):
        call("rewind_workflow", "w")
    assert _row(sql, "w") == before


# -- delete --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delete_children", [False, True])
def test_a_deleted_workflow_leaves_nothing(gate: Gate, call: Caller, sql: Sql, delete_children: bool) -> None:
    gate.open.set()
    with SetWorkflowID("w"):
        gate.workflow(with_child=True)
    call("delete_workflow", "w", delete_children=delete_children)
    left = set() if delete_children else {"w-1"}
    for table in ("workflow_status", "workflow_input", "workflow_output", "operation_outputs"):
        rows = sql.execute(f"SELECT workflow_uuid FROM dbos.{table}").fetchall()
        assert {row["workflow_uuid"] for row in rows} == left
    call("delete_workflows", ["w", "unknown"])
    if "client" not in call.way:
        assert DBOS.get_workflow_status("w") is None


def test_a_deleted_workflow_that_runs_stops_at_its_next_step(gate: Gate, call: Caller) -> None:
    gate.begin("w")
    call("delete_workflow", "w")
    gate.hears()
    gate.finish("after")
    assert gate.ran.count("third") == 1


def test_who_waits_for_a_workflow_that_is_deleted_hears_so(gate: Gate, call: Caller) -> None:
    handle, caller = gate.begin("w"), Future[str]()

    def run() -> None:
        with SetWorkflowID("called"):
            try:
                caller.set_result(gate.workflow())
            except Exception as error:  # noqa: BLE001 -- told to the test
                caller.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    assert gate.entered.acquire(timeout=30)
    call("delete_workflows", ["w", "called"])
    gate.open.set()
    for waits in (handle.get_result, lambda: caller.result(timeout=30)):
        with pytest.raises(DBOSNonExistentWorkflowError, match="No workflow has the awaited ID"):
            waits()


# -- bad input -----------------------------------------------------------------------------------------------------

NAMES: dict[str, tuple[Any, ...]] = {
    "cancel_workflow": (),
    "resume_workflow": (),
    "fork_workflow": (1,),
    "rewind_workflow": (),
    "delete_workflow": (),
    "update_workflow_attributes": ({},),
}


def test_an_id_is_text_and_several_are_a_list(gate: Gate, call: Caller) -> None:
    for name, arguments in NAMES.items():
        for workflow_id, error in (("", ValueError), ("  ", ValueError), (5, TypeError), (None, TypeError)):
            with pytest.raises(error, match="workflow ID"):
                call(name, workflow_id, *arguments)
    for name in ("cancel_workflows", "resume_workflows", "delete_workflows"):
        with pytest.raises(TypeError, match="list of workflow IDs, got 'w'"):
            call(name, "w")


def test_replacements_of_children_are_a_dictionary(gate: Gate, call: Caller) -> None:
    with pytest.raises(TypeError, match="replacement_children: expected a dictionary of workflow IDs"):
        call("fork_workflow", "w", 1, replacement_children=["a"])


def test_forks_and_rewinds_of_nothing_are_refused(gate: Gate, call: Caller) -> None:
    for name, arguments in (("resume_workflow", ()), ("fork_workflow", (1,)), ("rewind_workflow", ())):
        with pytest.raises(DBOSNonExistentWorkflowError, match="unknown"):
            call(name, "unknown", *arguments)


def test_what_a_fork_cannot_be_is_told(gate: Gate, call: Caller) -> None:
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        ("one", {}, TypeError, "start_step"),
        (-1, {}, ValueError, "start_step"),
        (1, {"timeout_seconds": 0}, ValueError, "timeout_seconds"),
        (1, {"timeout_seconds": "1"}, TypeError, "timeout_seconds"),
        (1, {"queue_name": "_dbos_mine"}, ValueError, "queue_name"),
    ]
    for start_step, options, error, text in cases:
        with pytest.raises(error, match=text):
            call("fork_workflow", "w", start_step, **options)


def test_a_rewind_begins_at_the_first_step_or_later(gate: Gate, call: Caller) -> None:
    with pytest.raises(ValueError, match="start_step: expected at least 1"):
        call("rewind_workflow", "w", start_step=0)


@pytest.mark.parametrize("name", [*NAMES, "cancel_workflows", "resume_workflows", "delete_workflows"])
async def test_a_blocking_call_on_a_loop_names_its_twin(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"await DBOS.{name}_async"):
        getattr(DBOS, name)("w", *NAMES.get(name, ()))


@pytest.mark.parametrize("name", NAMES)
def test_a_call_before_launch_says_so(name: str) -> None:
    with pytest.raises(DBOSException, match="not configured"):
        getattr(DBOS, name)("w", *NAMES[name])
