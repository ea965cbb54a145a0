"""The documentation's blocks about workflows: IDs, determinism, timeouts, sleeping, debouncing, coroutines."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace, TracebackType
from typing import TypedDict

import pytest

from dbos import DBOS, DBOSContextSetAuth, SetWorkflowID
from dbos.error import DBOSUnexpectedStepError
from support.bystander import Bystander
from support.product_docs import Blocks
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What DBOS.logger is told."""
    lines: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Listening()
    DBOS.logger.addHandler(handler)
    yield lines
    DBOS.logger.removeHandler(handler)


@pytest.fixture
def steps(application: DBOS) -> SimpleNamespace:
    """Two steps that note that they ran."""
    ran: list[str] = []

    @DBOS.step(name="step_one")
    def step_one() -> None:
        ran.append("one")

    @DBOS.step(name="step_two")
    def step_two() -> None:
        ran.append("two")

    return SimpleNamespace(ran=ran, step_one=step_one, step_two=step_two)


def names_of_steps(workflow_id: str) -> list[str]:
    return [step["function_name"] for step in DBOS.list_workflow_steps(workflow_id)]


def test_a_workflow_calls_its_steps(
    blocks: Blocks, application: DBOS, capsys: pytest.CaptureFixture[str], sql: Bystander
) -> None:
    blocks.run("programming-guide/10-workflow.py")["workflow"]()

    assert capsys.readouterr().out == "Step one completed!\nStep two completed!\n"
    (run,) = DBOS.list_workflows()
    assert (run.name, run.status) == ("workflow", "SUCCESS")
    assert names_of_steps(run.workflow_id) == ["step_one", "step_two"]


def test_a_background_task_gives_its_result_by_its_handle(blocks: Blocks, application: DBOS) -> None:
    space = blocks.run("programming-guide/11-start-workflow.py", input="page 1", output="read")

    assert space["output"] == "read"
    status = space["handle"].get_status()
    assert (status.status, status.input) == ("SUCCESS", {"args": ("page 1",), "kwargs": {}})


@pytest.mark.parametrize(
    "block", ["programming-guide/12-workflow-id.py", "methods-reference/37-set-workflow-id-example.py"]
)
def test_an_id_is_used_once(block: str, blocks: Blocks, application: DBOS, logged: list[str]) -> None:
    blocks.run(block)
    blocks.run(block)

    assert logged.count("I am a workflow with ID very-unique-id") == 1
    status = DBOS.get_workflow_status("very-unique-id")
    assert status is not None
    assert status.status == "SUCCESS"


def test_a_workflow_that_throws_dice_meets_another_step_on_its_replay(
    blocks: Blocks, application: DBOS, steps: SimpleNamespace
) -> None:
    dice = [0, 1]
    random = SimpleNamespace(randint=lambda low, high: dice.pop(0))
    space = blocks.run("programming-guide/13-determinism-wrong.py", random=random, **vars(steps))
    space["example_workflow"]()
    (run,) = DBOS.list_workflows()

    again = DBOS.fork_workflow(run.workflow_id, 2)
    with pytest.raises(DBOSUnexpectedStepError, match="step_one"):
        again.get_result()

    assert steps.ran == ["one"]


def test_a_workflow_whose_dice_are_a_step_replays_its_choice(
    blocks: Blocks, application: DBOS, steps: SimpleNamespace
) -> None:
    dice = [0, 1]
    random = SimpleNamespace(randint=lambda low, high: dice.pop(0))
    space = blocks.run("programming-guide/14-determinism-right.py", random=random, **vars(steps))
    space["example_workflow"]("ada")
    (run,) = DBOS.list_workflows()

    again = DBOS.fork_workflow(run.workflow_id, 2)
    again.get_result()
    space["example_workflow"]("bob")

    assert steps.ran == ["one", "one", "two"]
    assert names_of_steps(again.workflow_id) == ["generate_choice", "step_one"]


@pytest.mark.parametrize(
    "block", ["programming-guide/15-workflow-timeout.py", "methods-reference/39-set-workflow-timeout-example.py"]
)
def test_a_workflow_has_ten_seconds(block: str, blocks: Blocks, application: DBOS) -> None:
    before = time.time() * 1000
    blocks.run(block)

    (run,) = DBOS.list_workflows()
    assert (run.status, run.workflow_timeout_ms) == ("SUCCESS", 10_000)
    assert run.workflow_deadline_epoch_ms is not None
    assert before + 9_999 <= run.workflow_deadline_epoch_ms <= time.time() * 1000 + 10_001


def test_a_task_runs_after_a_sleep(blocks: Blocks, application: DBOS) -> None:
    done: list[tuple[str, float]] = []
    space = blocks.run("programming-guide/16-sleep.py", run_task=lambda task: done.append((task, time.time())))

    handle = DBOS.start_workflow(space["schedule_task"], 0.2, "report")
    handle.get_result()

    (slept,) = DBOS.list_workflow_steps(handle.workflow_id)
    assert slept["function_name"] == "DBOS.sleep"
    ((task, at),) = done
    assert task == "report"
    assert at >= slept["output"]  # when it was to wake, in seconds


def test_the_last_of_several_inputs_is_processed_a_minute_later(blocks: Blocks, application: DBOS) -> None:
    space = blocks.run("programming-guide/19-debouncer.py")
    submit = space["on_user_input_submit"]
    before = time.time() * 1000
    for text in ("h", "he", "hello"):
        submit("ada", text)
    submit("bob", "hi")

    ada, bob = waiting = DBOS.list_workflows()
    for run in waiting:
        assert run.status == "DELAYED"
        assert run.delay_until_epoch_ms is not None
        assert before + 59_999 <= run.delay_until_epoch_ms <= time.time() * 1000 + 60_001
        DBOS.set_workflow_delay(run.workflow_id, delay_seconds=0)
        DBOS.retrieve_workflow(run.workflow_id).get_result()
    assert [run.input for run in (ada, bob)] == [{"args": (text,), "kwargs": {}} for text in ("hello", "hi")]
    submit("ada", "again")
    assert len(DBOS.list_workflows(status="DELAYED")) == 1


def test_a_coroutine_workflow_sleeps_asks_the_web_and_calls_a_transaction(
    blocks: Blocks, application: DBOS, sql: Bystander
) -> None:
    asked: list[str] = []

    @DBOS.transaction()
    def example_transaction(body: str) -> str:
        return body.upper()

    space = blocks.run(
        "programming-guide/22-coroutines.py", aiohttp=SimpleNamespace(ClientSession=lambda: Session(asked)), **locals()
    )
    with SetWorkflowID("w"):
        DBOS.start_workflow(space["example_workflow"], "ada")
    eventually(lambda: names_of_steps("w"), bool, what="sleep")
    DBOS.cancel_workflow("w")
    # The sleep is durable: one that was begun long ago, by an execution that is gone, is over.
    sql.execute("UPDATE dbos.operation_outputs SET output = %s WHERE function_id = 1", (f"{time.time() - 60:.3f}",))

    assert DBOS.resume_workflow("w").get_result() == "THE PAGE"
    assert asked == ["https://example.com"]
    assert names_of_steps("w") == ["DBOS.sleep", "example_step", example_transaction.__qualname__]


class Session:
    """Stands in for a session of `aiohttp`, and for its response."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def get(self, url: str) -> Session:
        self._asked.append(url)
        return self

    async def text(self) -> str:
        return "the page"


def test_a_workflow_starts_in_the_background(blocks: Blocks, application: DBOS, logged: list[str]) -> None:
    handle = blocks.run("methods-reference/14-start-workflow-example.py")["handle"]

    assert handle.get_result() is None
    assert handle.get_status().input == {"args": ("var1", "var2"), "kwargs": {}}
    assert "I am a workflow" in logged


def test_a_coroutine_workflow_starts_in_the_background(blocks: Blocks, application: DBOS, logged: list[str]) -> None:
    handle = blocks.run("methods-reference/16-start-workflow-async-example.py")["handle"]

    assert blocks.wait(handle.get_result()) is None
    assert blocks.wait(handle.get_status()).input == {"args": ("var1", "var2"), "kwargs": {}}
    assert "I am a workflow" in logged


@pytest.mark.parametrize("block", ["programming-guide/59-step-info.py", "methods-reference/20-step-info.py"])
def test_a_step_has_the_keys_of_the_documentation(block: str, blocks: Blocks, application: DBOS) -> None:
    wanted = blocks.run(block, TypedDict=TypedDict)["StepInfo"].__annotations__

    @DBOS.workflow()
    def parent() -> None:
        DBOS.run_step({"name": "first"}, lambda: 1)

    handle = DBOS.start_workflow(parent)
    handle.get_result()
    (step,) = DBOS.list_workflow_steps(handle.workflow_id)
    assert wanted.keys() <= step.keys()
    assert step["function_id"] == 1


def test_a_context_is_there_in_its_block(blocks: Blocks, application: DBOS) -> None:
    seen: list[object] = []

    def watch(line: int) -> None:
        DBOS.set_authentication("ada", ["reader"])
        seen.append(DBOS.authenticated_user)

    with DBOSContextSetAuth("eve", []):
        blocks.run("methods-reference/44-context-ensure-example.py", watch=watch)

    assert seen == ["ada", "ada"]


def test_a_user_and_roles_are_set_in_their_block(blocks: Blocks, application: DBOS) -> None:
    seen: list[object] = []
    blocks.run(
        "methods-reference/46-context-set-auth-example.py",
        curuser="ada",
        curroles=["reader"],
        watch=lambda line: seen.append((DBOS.authenticated_user, DBOS.authenticated_roles)),
    )

    assert seen == [(None, None), ("ada", ["reader"])]
    assert DBOS.authenticated_user is None
