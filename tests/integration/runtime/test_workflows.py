"""Workflows: called, started, nested, named once, replayed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
from dbos.error import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
    DBOSConflictingWorkflowError,
    DBOSException,
    DBOSNonExistentWorkflowError,
    DBOSUnexpectedStepError,
)
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

Sql = Bystander


def _forget_outcome(sql: Sql, workflow_id: str, *, keep_steps: int = 100) -> None:
    """As if the process had died in the middle: PENDING, and only some of the steps recorded."""
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'PENDING', owner_xid = 'dead', completed_at = NULL"
        " WHERE workflow_uuid = %s",
        [workflow_id],
    )
    sql.execute("DELETE FROM dbos.workflow_output WHERE workflow_uuid = %s", [workflow_id])
    sql.execute(
        "DELETE FROM dbos.operation_outputs WHERE workflow_uuid = %s AND function_id > %s", [workflow_id, keep_steps]
    )


def test_a_call_gives_the_result_and_records_it(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    def double(number: int, *, plus: int = 0) -> int:
        assert DBOS.workflow_id == "my-id"
        return 2 * number + plus

    launch()
    with SetWorkflowID("my-id"):
        assert double(4, plus=1) == 9
    row = sql.execute("SELECT * FROM dbos.workflow_status").fetchone()
    assert row is not None
    wanted = {"status": "SUCCESS", "recovery_attempts": 1, "queue_name": None, "owner_xid": None, "executor_id": "one"}
    assert {name: row[name] for name in wanted} == wanted
    assert DBOS.workflow_id is None


def test_a_call_raises_what_the_workflow_raised(launch: Launch) -> None:
    @DBOS.workflow()
    def fail() -> None:
        raise KeyError("nokey")

    launch()
    with SetWorkflowID("failed"), pytest.raises(KeyError, match="nokey"):
        fail()
    status = DBOS.get_workflow_status("failed")
    assert status is not None
    assert status.status == "ERROR"
    assert isinstance(status.error, KeyError)


def test_a_started_workflow_runs_in_the_background(launch: Launch) -> None:
    go = threading.Event()

    @DBOS.workflow()
    def wait() -> str:
        go.wait(60)
        return threading.current_thread().name

    launch()
    handle = DBOS.start_workflow(wait)
    assert handle.get_status().status == "PENDING"
    go.set()
    assert handle.get_result() != threading.current_thread().name
    assert handle.get_workflow_id() == handle.workflow_id


def test_a_workflow_id_names_the_first_workflow_of_its_block_only(launch: Launch) -> None:
    @DBOS.workflow()
    def identify() -> str | None:
        return DBOS.workflow_id

    launch()
    with SetWorkflowID("outer"):
        with SetWorkflowID("inner"):
            assert identify() == "inner"
        assert identify() == "outer"
        assert identify() not in {"outer", "inner", None}


def test_concurrent_starts_with_one_id_run_it_once(launch: Launch) -> None:
    runs = []
    barrier = threading.Barrier(8)

    @DBOS.workflow()
    def once(number: int) -> int:
        runs.append(number)
        return number

    def start(number: int) -> int:
        barrier.wait(60)
        with SetWorkflowID("same"):
            return DBOS.start_workflow(once, number).get_result()

    launch()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(start, range(8)))
    assert len(runs) == 1
    assert set(results) == set(runs)


def test_an_id_that_another_workflow_has_is_refused(launch: Launch) -> None:
    @DBOS.workflow()
    def one() -> None: ...

    @DBOS.workflow()
    def two() -> None: ...

    launch()
    with SetWorkflowID("same"):
        one()
    with SetWorkflowID("same"), pytest.raises(DBOSConflictingWorkflowError, match="its name is"):
        two()


def test_a_child_has_its_parents_id_and_its_result_is_a_step(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow(name="child")
    def child(number: int) -> int:
        return number * 10

    @DBOS.workflow(name="parent")
    def parent() -> int:
        started = DBOS.start_workflow(child, 2)
        return child(1) + started.get_result()

    launch()
    with SetWorkflowID("top"):
        assert parent() == 30
    rows = sql.execute(
        "SELECT function_id, function_name, child_workflow_id FROM dbos.operation_outputs"
        " WHERE workflow_uuid = 'top' ORDER BY function_id"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        (1, "child", "top-1"),
        (2, "child", "top-2"),
        (3, "DBOS.getResult", "top-2"),
        (4, "DBOS.getResult", "top-1"),
    ]
    children = sql.execute("SELECT workflow_uuid FROM dbos.workflow_status WHERE parent_workflow_id = 'top'").fetchall()
    assert {row["workflow_uuid"] for row in children} == {"top-1", "top-2"}


def test_a_restart_replays_recorded_steps_and_runs_the_rest(launch: Launch, sql: Sql) -> None:
    ran: list[str] = []

    @DBOS.step()
    def step(name: str) -> str:
        ran.append(name)
        return name

    @DBOS.workflow()
    def work() -> str:
        return step("a") + step("b") + step("c")

    launch()
    with SetWorkflowID("w"):
        work()
    DBOS.destroy()
    _forget_outcome(sql, "w", keep_steps=2)
    ran.clear()
    launch()
    assert DBOS.retrieve_workflow("w").get_result() == "abc"
    assert ran == ["c"]
    assert DBOS.retrieve_workflow("w").get_status().recovery_attempts == 2


def test_a_replay_attaches_to_children_and_repeats_recorded_errors(launch: Launch, sql: Sql) -> None:
    ran: list[str] = []

    @DBOS.workflow()
    def child() -> int:
        ran.append("child")
        return 7

    @DBOS.step()
    def fail() -> None:
        ran.append("fail")
        raise ValueError("always")

    @DBOS.workflow()
    def parent() -> str:
        result = DBOS.start_workflow(child).get_result()
        try:
            fail()
        except ValueError as error:
            return f"{result} {error}"
        return "no error"

    launch()
    with SetWorkflowID("p"):
        assert parent() == "7 always"
    DBOS.destroy()
    _forget_outcome(sql, "p")
    ran.clear()
    launch()
    assert DBOS.retrieve_workflow("p").get_result() == "7 always"
    assert ran == []


def test_a_replay_that_meets_another_step_ends_in_an_error_that_names_both(launch: Launch, sql: Sql) -> None:
    @DBOS.step(name="before")
    def before() -> None: ...

    @DBOS.step(name="after")
    def after() -> None: ...

    change: list[bool] = []

    @DBOS.workflow()
    def work() -> None:
        (after if change else before)()

    launch()
    with SetWorkflowID("w"):
        work()
    DBOS.destroy()
    _forget_outcome(sql, "w")
    change.append(True)
    launch()
    with pytest.raises(DBOSUnexpectedStepError, match="called after as step 1, where before is recorded"):
        DBOS.retrieve_workflow("w").get_result()


def test_only_workflows_of_the_same_version_and_executor_are_recovered(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    def work() -> str:
        return "again"

    launch()
    for name in ("mine", "other-version", "other-executor", "other-application"):
        with SetWorkflowID(name):
            work()
        _forget_outcome(sql, name)
    DBOS.destroy()
    for name, column in (
        ("other-version", "application_version"),
        ("other-executor", "executor_id"),
        ("other-application", "application_name"),
    ):
        sql.execute(f"UPDATE dbos.workflow_status SET {column} = 'x' WHERE workflow_uuid = %s", [name])  # type: ignore[arg-type]
    launch()
    assert DBOS.retrieve_workflow("mine").get_result() == "again"
    rows = sql.execute("SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'PENDING'").fetchall()
    assert {row["workflow_uuid"] for row in rows} == {"other-version", "other-executor", "other-application"}


def test_a_workflow_that_was_started_too_often_becomes_a_dead_letter(launch: Launch, sql: Sql) -> None:
    runs = []

    @DBOS.workflow(max_recovery_attempts=2)
    def work() -> None:
        runs.append(1)

    launch()
    with SetWorkflowID("w"):
        work()
    for last in (False, False, True):
        DBOS.destroy()
        _forget_outcome(sql, "w")
        launch()
        with pytest.raises(DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded) if last else nullcontext():
            DBOS.retrieve_workflow("w").get_result()
    status = DBOS.retrieve_workflow("w").get_status()
    assert (status.status, status.recovery_attempts, len(runs)) == ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 4, 3)


def test_a_cancelled_workflow_stops_at_its_next_step_and_records_nothing(launch: Launch, sql: Sql) -> None:
    inside, go, after = threading.Event(), threading.Event(), []

    @DBOS.step()
    def step(name: str) -> None:
        after.append(name)
        if name == "first":
            inside.set()
            go.wait(60)

    @DBOS.workflow()
    def work() -> str:
        try:
            step("first")
            step("second")
        except Exception:  # noqa: BLE001 -- a workflow that handles everything
            after.append("caught")
        return "done"

    launch()
    handle = DBOS.start_workflow(work)
    assert inside.wait(30)
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL, completed_at = 1")
    go.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert after == ["first"]
    assert sql.execute("SELECT count(*) AS n FROM dbos.operation_outputs").fetchone() == {"n": 0}
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_output").fetchone() == {"n": 0}


def test_an_execution_that_lost_its_workflow_gives_the_outcome_of_the_new_owner(launch: Launch, sql: Sql) -> None:
    inside, go = threading.Event(), threading.Event()
    runs: list[int] = []

    @DBOS.step()
    def step() -> None: ...

    @DBOS.workflow()
    def work() -> int:
        runs.append(1)
        mine = len(runs)
        if mine == 1:
            inside.set()
            go.wait(60)
        step()
        return mine

    launch()
    handle = DBOS.start_workflow(work)
    assert inside.wait(30)
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', owner_xid = NULL, queue_name = '_dbos_internal_queue'"
    )
    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == 2
    go.set()
    assert handle.get_result() == 2


def test_retrieving_what_does_not_exist(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow(name="late")
    def late() -> str:
        return "here"

    launch()
    with pytest.raises(DBOSNonExistentWorkflowError, match="nobody"):
        DBOS.retrieve_workflow("nobody")
    assert DBOS.get_workflow_status("nobody") is None
    handle = DBOS.retrieve_workflow("late-id", existing_workflow=False)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(handle.get_result)
        with SetWorkflowID("late-id"):
            DBOS.start_workflow(late)
        assert result.result(30) == "here"


@pytest.mark.parametrize("how", ["called", "started", "enqueued"])
def test_a_step_starts_no_workflow(launch: Launch, sql: Sql, how: str) -> None:
    @DBOS.workflow()
    def inner() -> None: ...

    @DBOS.step()
    def step() -> None:
        {
            "called": inner,
            "started": lambda: DBOS.start_workflow(inner),
            "enqueued": lambda: DBOS.enqueue_workflow("work", inner),
        }[how]()

    @DBOS.workflow()
    def outer() -> None:
        step()

    launch()
    with pytest.raises(DBOSException, match="not by steps"):
        outer()
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_status").fetchone() == {"n": 1}


def test_a_parent_that_died_within_a_call_of_its_child_goes_on_with_it(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    def child(number: int) -> int:
        return number * 10

    @DBOS.workflow()
    def parent() -> int:
        return child(1) + child(2)

    launch()
    with SetWorkflowID("p"):
        assert parent() == 30
    DBOS.destroy()
    _forget_outcome(sql, "p", keep_steps=3)  # the start of the second child is recorded, its result is not
    _forget_outcome(sql, "p-3")
    launch()
    assert DBOS.retrieve_workflow("p").get_result() == 30
    assert DBOS.retrieve_workflow("p-3").get_status().recovery_attempts == 2
    assert DBOS.retrieve_workflow("p-1").get_status().recovery_attempts == 1


def test_an_id_that_is_set_within_a_workflow_goes_to_the_same_child_on_a_replay(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    def child() -> str | None:
        return DBOS.workflow_id

    @DBOS.workflow()
    def parent() -> list[str | None]:
        with SetWorkflowID("named"):
            return [DBOS.start_workflow(child).get_result(), DBOS.start_workflow(child).get_result()]

    launch()
    with SetWorkflowID("p"):
        assert parent() == ["named", "p-3"]
    DBOS.destroy()
    _forget_outcome(sql, "p", keep_steps=2)
    sql.execute("DELETE FROM dbos.workflow_status WHERE workflow_uuid = 'p-3'")
    launch()
    assert DBOS.retrieve_workflow("p").get_result() == ["named", "p-3"]


def test_a_child_may_be_a_workflow_that_is_there_already(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    def child(number: int) -> int:
        return number

    @DBOS.workflow()
    def parent() -> int:
        with SetWorkflowID("there"):
            return child(2)

    launch()
    with SetWorkflowID("there"):
        child(1)
    with SetWorkflowID("p"):
        assert parent() == 1
    rows = sql.execute(
        "SELECT function_id, child_workflow_id FROM dbos.operation_outputs WHERE workflow_uuid = 'p' ORDER BY 1"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [(1, "there"), (2, "there")]


def test_a_cancelled_parent_starts_no_child(launch: Launch, sql: Sql) -> None:
    inside, go, ran = threading.Event(), threading.Event(), []

    @DBOS.workflow()
    def child() -> None:
        ran.append(1)

    @DBOS.workflow()
    def parent() -> None:
        inside.set()
        go.wait(60)
        child()

    launch()
    handle = DBOS.start_workflow(parent)
    assert inside.wait(30)
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL, completed_at = 1")
    go.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert ran == []
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_status").fetchone() == {"n": 1}


def test_options_of_an_enqueue_are_refused_where_nothing_is_enqueued(launch: Launch) -> None:
    @DBOS.workflow()
    def work() -> None: ...

    launch()
    with (
        SetEnqueueOptions(priority=1),
        pytest.raises(ValueError, match="SetEnqueueOptions applies to what is enqueued"),
    ):
        DBOS.start_workflow(work)


def test_a_function_that_is_not_registered_is_refused(launch: Launch) -> None:
    def plain() -> None: ...

    launch()
    with pytest.raises(DBOSException, match="plain is not registered"):
        DBOS.start_workflow(plain)


@pytest.mark.parametrize("workflow_id", ["a\x00b", "a\ud800b"])
def test_an_id_that_postgresql_cannot_store_is_refused_where_it_is_set(workflow_id: str) -> None:
    with pytest.raises(ValueError, match="workflow ID"):
        SetWorkflowID(workflow_id)
