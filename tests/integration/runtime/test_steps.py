"""Steps: recorded once, retried as told, their failures kept whatever they hold."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from dbos import DBOS, SetWorkflowID
from dbos.error import DBOSException, DBOSMaxStepRetriesExceeded
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

Sql = Bystander


class UnpicklableError(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class UnloadableError(Exception):
    """Pickles, and fails when it is read: its constructor wants more than its arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def _steps(sql: Sql, workflow_id: str) -> list[dict[str, Any]]:
    return sql.execute(
        "SELECT * FROM dbos.operation_outputs WHERE workflow_uuid = %s ORDER BY function_id", [workflow_id]
    ).fetchall()


def test_a_step_outside_of_workflows_is_a_plain_function() -> None:
    @DBOS.step()
    def step(number: int) -> int:
        assert DBOS.step_id is None
        return number + 1

    assert step(1) == 2
    DBOS.destroy(destroy_registry=True)


def test_steps_are_numbered_from_one_and_recorded_with_their_times(launch: Launch, sql: Sql) -> None:
    seen = []

    @DBOS.step(name="numbered")
    def step() -> None:
        seen.append(DBOS.step_id)

    @DBOS.workflow()
    def work() -> None:
        step()
        step()
        assert DBOS.step_id is None

    launch()
    before = int(time.time() * 1000)
    with SetWorkflowID("w"):
        work()
    rows = _steps(sql, "w")
    assert seen == [1, 2]
    assert [(row["function_id"], row["function_name"], row["output"], row["error"]) for row in rows] == [
        (1, "numbered", "gAROLg==", None),
        (2, "numbered", "gAROLg==", None),
    ]
    assert all(before <= row["started_at_epoch_ms"] <= row["completed_at_epoch_ms"] for row in rows)
    assert {row["application_name"] for row in rows} == {"orders"}


def test_a_step_in_a_step_is_part_of_it(launch: Launch, sql: Sql) -> None:
    @DBOS.step()
    def inner() -> int:
        return 2

    @DBOS.step(name="outer")
    def outer() -> int:
        return inner() + 1

    @DBOS.workflow()
    def work() -> int:
        return outer()

    launch()
    with SetWorkflowID("w"):
        assert work() == 3
    assert [row["function_name"] for row in _steps(sql, "w")] == ["outer"]


def test_a_step_is_tried_again_until_it_succeeds(launch: Launch, sql: Sql) -> None:
    tries = []

    @DBOS.step(retries_allowed=True, interval_seconds=0.01, max_attempts=5)
    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return len(tries)

    @DBOS.workflow()
    def work() -> int:
        return flaky()

    launch()
    with SetWorkflowID("w"):
        assert work() == 3
    assert len(_steps(sql, "w")) == 1


def test_spent_retries_raise_one_error_that_holds_all(launch: Launch) -> None:
    @DBOS.step(name="never", retries_allowed=True, interval_seconds=0.001, max_attempts=3)
    def never() -> None:
        raise ConnectionError("down")

    @DBOS.workflow()
    def work() -> None:
        never()

    launch()
    handle = DBOS.start_workflow(work)
    with pytest.raises(DBOSMaxStepRetriesExceeded) as caught:
        handle.get_result()
    assert (caught.value.step_name, caught.value.max_retries) == ("never", 3)
    stored = handle.get_status().error
    assert isinstance(stored, DBOSMaxStepRetriesExceeded)
    assert [str(error) for error in stored.errors] == ["down"] * 3


def test_should_retry_decides_which_errors_are_tried_again(launch: Launch) -> None:
    tries = []

    @DBOS.step(
        retries_allowed=True,
        interval_seconds=0.001,
        max_attempts=9,
        should_retry=lambda error: isinstance(error, ConnectionError),
    )
    def step() -> None:
        tries.append(1)
        raise ConnectionError if len(tries) < 3 else ValueError("no use")

    @DBOS.workflow()
    def work() -> None:
        step()

    launch()
    with pytest.raises(ValueError, match="no use"):
        work()
    assert len(tries) == 3


def test_a_stop_iteration_is_an_error_like_others(launch: Launch) -> None:
    @DBOS.step(name="first")
    def first(values: list[int]) -> int:
        return next(iter(values))

    @DBOS.workflow(name="child")
    def child(values: list[int]) -> int:
        return first(values)

    def unnamed(values: list[int]) -> int:
        return DBOS.run_step({"name": "unnamed"}, lambda: next(iter(values)))

    def started(values: list[int]) -> int:
        return DBOS.start_workflow(child, values).get_result()

    @DBOS.workflow(name="work")
    def work() -> list[str]:
        said = []
        for name, call in (("step", first), ("run_step", unnamed), ("child", child), ("handle", started)):
            try:
                call([])
            except StopIteration:
                said.append(name)
        return said

    launch()
    with SetWorkflowID("w"):
        assert work() == ["step", "run_step", "child", "handle"]
    assert DBOS.fork_workflow("w", 100).get_result() == ["step", "run_step", "child", "handle"]
    for wait in (lambda: child([]), DBOS.start_workflow(child, []).get_result):
        with pytest.raises(StopIteration):
            wait()


def test_a_plain_step_cannot_await_its_should_retry(launch: Launch) -> None:
    async def never(error: BaseException) -> bool:
        return False

    class Never:
        async def __call__(self, error: BaseException) -> bool:
            return False

    calls = []

    def later(error: BaseException) -> object:
        return never(error)

    @DBOS.step(name="late", retries_allowed=True, interval_seconds=0, should_retry=later)
    def late() -> None:
        calls.append(1)
        raise ValueError

    @DBOS.workflow(name="work")
    def work() -> None:
        late()

    for should_retry in (never, Never()):
        with pytest.raises(DBOSException, match="should_retry is a coroutine function"):
            DBOS.step(retries_allowed=True, should_retry=should_retry)(late)
    launch()
    with pytest.raises(DBOSException, match="should_retry gave an awaitable"):
        work()
    assert calls == [1]


def test_a_should_retry_that_fails_is_the_outcome_of_the_step(launch: Launch, sql: Sql) -> None:
    def broken(_error: BaseException) -> bool:
        raise LookupError("broken predicate")

    @DBOS.step(retries_allowed=True, interval_seconds=0.001, should_retry=broken)
    def step() -> None:
        raise ConnectionError

    @DBOS.workflow()
    def work() -> None:
        step()

    launch()
    with SetWorkflowID("w"), pytest.raises(LookupError, match="broken predicate"):
        work()
    assert [row["error"] is not None for row in _steps(sql, "w")] == [True]


@pytest.mark.parametrize("error", [UnpicklableError("type and text"), UnloadableError("type and", "text")])
def test_an_exception_that_cannot_be_pickled_keeps_its_type_and_text(
    launch: Launch, sql: Sql, error: Exception
) -> None:
    @DBOS.step()
    def step() -> None:
        raise error

    @DBOS.workflow()
    def work() -> None:
        step()

    launch()
    with SetWorkflowID("w"), pytest.raises(type(error)):
        work()
    status = DBOS.get_workflow_status("w")
    assert status is not None
    assert (status.status, type(status.error), str(status.error)) == ("ERROR", type(error), "type and text")
    with pytest.raises(type(error), match="type and text"):
        DBOS.retrieve_workflow("w").get_result()
    assert _steps(sql, "w")[0]["error"] is not None


def test_a_replay_catches_an_exception_that_cannot_be_pickled_by_its_type(launch: Launch) -> None:
    @DBOS.step()
    def step() -> None:
        raise UnpicklableError("text")

    @DBOS.step()
    def handle(text: str) -> str:
        return f"handled {text}"

    @DBOS.workflow()
    def work() -> str:
        try:
            step()
        except UnpicklableError as error:
            return handle(str(error))
        return "nothing was raised"

    launch()
    with SetWorkflowID("w"):
        assert work() == "handled text"
    assert DBOS.fork_workflow("w", 2).get_result() == "handled text"


def test_an_exception_whose_type_cannot_be_pickled_keeps_its_name_and_text(launch: Launch) -> None:
    class LocalError(Exception):
        """No other process can import it."""

    @DBOS.workflow()
    def work() -> None:
        raise LocalError("text")

    launch()
    with SetWorkflowID("w"), pytest.raises(LocalError):
        work()
    with pytest.raises(Exception, match="LocalError: text"):
        DBOS.retrieve_workflow("w").get_result()


def test_a_step_whose_result_cannot_be_stored_fails_once_and_for_all(launch: Launch, sql: Sql) -> None:
    runs = []

    @DBOS.step()
    def step() -> Any:
        runs.append(1)
        return threading.Lock()

    @DBOS.workflow()
    def work() -> str:
        try:
            step()
        except TypeError as error:
            return str(error)
        return "stored"

    launch()
    with SetWorkflowID("w"):
        assert "pickle" in work()
    assert _steps(sql, "w")[0]["error"] is not None


def test_a_workflow_whose_result_cannot_be_stored_ends_in_an_error_everywhere(launch: Launch) -> None:
    @DBOS.workflow()
    def work() -> Any:
        return threading.Lock()

    launch()
    with SetWorkflowID("called"), pytest.raises(TypeError, match="pickle"):
        work()
    handle = DBOS.start_workflow(work)
    with pytest.raises(TypeError, match="pickle"):
        handle.get_result()
    for workflow_id in ("called", handle.workflow_id):
        status = DBOS.get_workflow_status(workflow_id)
        assert status is not None
        assert status.status == "ERROR"
        assert "pickle" in str(status.error)


def test_arguments_that_cannot_be_stored_are_refused_at_the_start(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    def work(_argument: Any) -> None: ...

    launch()
    with pytest.raises(TypeError, match="pickle"):
        DBOS.start_workflow(work, threading.Lock())
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_status").fetchone() == {"n": 0}


def test_a_step_can_be_started_as_a_workflow(launch: Launch) -> None:
    @DBOS.step(name="alone")
    def step(number: int) -> int:
        return number * 2

    launch()
    handle = DBOS.start_workflow(step, 21)
    assert handle.get_result() == 42
    assert handle.get_status().name == "<temp>.alone"
