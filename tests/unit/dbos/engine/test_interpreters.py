"""Plans performed with a storage that only remembers, in a thread and on a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from dbos._error import DBOSWorkflowCancelledError
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.core.outcome import Outcome
from dbos.engine.context import Execution, ExecutionStoppedError, current_execution
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.plan import Await, Invoke, Plan, Read, Wait, Write
from dbos.store.operation import DatabaseClosedError, Operation, Statement
from support.store_records import a_workflow


class Memory:
    """Answers writes with their number, and statements with their names; raises what it is given."""

    def __init__(self, *, failure: Exception | None = None) -> None:
        self.records: list[Any] = []
        self.failure = failure
        self.writer = self.database = self

    def write(self, record: Any) -> int:
        if self.failure is not None:
            raise self.failure
        self.records.append(record)
        return len(self.records)

    def submit(self, given: Any, *, together: bool = False, polls: bool = False) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self.run(given) if callable(given) else self.write(given))
        except Exception as error:  # noqa: BLE001 -- as an executor does
            future.set_exception(error)
        return future

    def run(self, operation: Callable[[], Operation[Any]]) -> Any:
        if self.failure is not None:
            raise self.failure
        performed = operation()
        try:
            statement = next(performed)
            performed.send([{"name": statement.name}])
        except StopIteration as done:
            return done.value
        raise AssertionError("one statement is expected")


Run = Callable[[Plan[Any], Any], Any]


def _on_loop(plan: Plan[Any], storage: Any) -> Any:
    return asyncio.run(run_on_loop(plan, storage))


@pytest.fixture(params=[run_blocking, _on_loop], ids=["thread", "loop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Either interpreter."""
    interpreter: Run = request.param
    return interpreter


@pytest.fixture
def code(request: pytest.FixtureRequest) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """User code as the interpreter wants it: a coroutine function on a loop."""
    if "loop" not in request.node.callspec.id:
        return lambda function: function

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call

    return wrapped


@pytest.fixture
def in_workflow() -> Iterator[None]:
    """What runs is a workflow."""
    token = current_execution.set(Execution(workflow_id=WorkflowId("w"), owner=OwnerToken("o"), name="n"))
    yield
    current_execution.reset(token)


def _load() -> Operation[str]:
    rows = yield Statement("some_statement")
    return str(rows[0]["name"])


def test_each_effect_is_answered(run: Run, code: Any) -> None:
    storage = Memory()
    record = a_workflow()
    done: Future[None] = Future()
    done.set_result(None)

    def plan() -> Plan[list[Any]]:
        answers: list[Any] = [(yield Write(record)), (yield Read(_load))]
        answers.append((yield Invoke(code(lambda one, *, two: one + two), (1,), {"two": 2})))
        answers.append((yield Await(done, 5)))
        answers.append((yield Await(Future(), 0)))
        answers.append((yield Wait(0)))
        return answers

    assert run(plan(), storage) == [1, "some_statement", Outcome(3), None, None, None]
    assert storage.records == [record]


def test_an_exception_of_user_code_is_its_outcome(run: Run, code: Any) -> None:
    error = ValueError("user")

    def fail() -> None:
        raise error

    def plan() -> Plan[Outcome]:
        return (yield Invoke(code(fail)))

    assert run(plan(), Memory()) == Outcome(error=error)


def test_a_signal_passes_through_the_plan(run: Run, code: Any) -> None:
    def stop() -> None:
        raise DBOSWorkflowCancelledError("now")

    seen = []

    def plan() -> Plan[None]:
        try:
            yield Invoke(code(stop))
        except DBOSWorkflowCancelledError as signal:
            seen.append(signal)
            raise

    with pytest.raises(DBOSWorkflowCancelledError):
        run(plan(), Memory())
    assert len(seen) == 1


def test_a_failed_effect_is_raised_inside_the_plan_which_may_go_on(run: Run) -> None:
    storage = Memory(failure=OSError("disk"))

    def plan() -> Plan[str]:
        try:
            yield Write(a_workflow())
        except OSError as error:
            return f"caught {error}"
        return "written"

    assert run(plan(), storage) == "caught disk"


def test_an_error_that_the_plan_lets_go_reaches_the_caller(run: Run) -> None:
    def plan() -> Plan[None]:
        yield Read(_load)

    with pytest.raises(OSError, match="disk"):
        run(plan(), Memory(failure=OSError("disk")))


def test_exit_is_an_error_where_it_could_only_end_a_thread_of_ours(run: Run, code: Any) -> None:
    def leave() -> None:
        raise SystemExit(3)

    def plan(*, contain: bool) -> Plan[Outcome]:
        return (yield Invoke(code(leave), contain=contain))

    outcome = run(plan(contain=True), Memory())
    assert str(outcome.error) == "Broken off by SystemExit: 3"
    with pytest.raises(SystemExit):
        run(plan(contain=False), Memory())


@pytest.mark.usefixtures("in_workflow")
@pytest.mark.parametrize("effect", [Write(a_workflow()), Read(_load)], ids=["write", "read"])
def test_in_a_workflow_the_end_of_the_process_is_no_exception(run: Run, effect: Any) -> None:
    def plan() -> Plan[str]:
        try:
            yield effect
        except Exception:  # noqa: BLE001 -- user code that handles everything
            return "handled"
        return "done"

    with pytest.raises(ExecutionStoppedError):
        run(plan(), Memory(failure=DatabaseClosedError()))


def test_outside_of_workflows_a_closed_database_says_so(run: Run) -> None:
    def plan() -> Plan[None]:
        yield Write(a_workflow())

    with pytest.raises(DatabaseClosedError, match="launch DBOS, or make a client, again"):
        run(plan(), Memory(failure=DatabaseClosedError()))


async def test_a_cancelled_error_of_user_code_is_its_outcome_and_a_cancelled_task_ends() -> None:
    async def cancel_another() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    def plan(function: Any) -> Plan[Outcome]:
        return (yield Invoke(function))

    outcome = await run_on_loop(plan(cancel_another), Memory())  # type: ignore[arg-type]
    assert str(outcome.error).startswith("Broken off by CancelledError")

    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(run_on_loop(plan(wait), Memory()))  # type: ignore[arg-type]
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_stops_waiting_for_a_future_does_not_cancel_it() -> None:
    future: Future[None] = Future()

    def plan() -> Plan[None]:
        yield Await(future, None)

    task = asyncio.ensure_future(run_on_loop(plan(), Memory()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not future.cancelled()
