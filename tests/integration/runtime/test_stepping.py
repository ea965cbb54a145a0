"""Further options of steps: without a decorator, time limits, reservations, patches; and IDs that are taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, SetWorkflowID
from dbos.error import (
    DBOSException,
    DBOSMaxStepRetriesExceeded,
    DBOSStepTimeoutError,
    DBOSWorkflowIDInUseError,
    is_workflow_id_in_use_error,
)
from integration.runtime.conftest import Launch

pytestmark = pytest.mark.both_databases


def _steps(workflow_id: str) -> list[tuple[int, str, Any]]:
    return [(step.function_id, step.name, step.output) for step in DBOS.list_workflow_steps(workflow_id)]


def _run(workflow_id: str, workflow: Callable[..., Any], *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return workflow(*args)


def test_a_function_becomes_a_step_for_once(launch: Launch) -> None:
    def plain(number: int, *, plus: int = 0) -> int:
        return number + plus

    async def awaited(number: int) -> int:
        await asyncio.sleep(0)
        return number

    @DBOS.step()
    def decorated(number: int) -> int:
        return number * 2

    @DBOS.workflow(name="work")
    def work() -> list[int]:
        return [
            DBOS.run_step(None, plain, 1, plus=2),
            DBOS.run_step({"name": "named"}, lambda: 4),
            DBOS.run_step({}, awaited, 5),
            DBOS.run_step({"name": "lazy"}, lambda: awaited(6)),
            DBOS.run_step(None, decorated, 7),
            DBOS.run_step(None, partial(plain, 8)),
        ]

    launch()
    assert _run("w", work) == [3, 4, 5, 6, 14, 8]
    names = [name.rpartition(".")[2] for _, name, _ in _steps("w")]
    assert names == ["plain", "named", "awaited", "lazy", "decorated", "plain"]
    assert DBOS.run_step(None, plain, 1) == 1


async def test_a_function_becomes_a_step_in_a_coroutine(launch: Launch) -> None:
    here: list[int] = []

    def plain(number: int) -> int:
        here.append(threading.get_ident())
        return number

    async def awaited(number: int) -> int:
        return number

    @DBOS.workflow(name="work")
    async def work() -> list[int]:
        return [
            await DBOS.run_step_async({"name": "one"}, plain, 1),
            await DBOS.run_step_async({"name": "two"}, awaited, 2),
            await DBOS.run_step_async({"name": "three"}, lambda: awaited(3)),
        ]

    launch()
    with SetWorkflowID("w"):
        assert await work() == [1, 2, 3]
    steps = await DBOS.list_workflow_steps_async("w")
    assert [step["function_name"] for step in steps] == ["one", "two", "three"]
    assert here != [threading.get_ident()]
    assert await DBOS.run_step_async(None, awaited, 4) == 4


def test_a_step_for_once_is_retried_as_told(launch: Launch) -> None:
    seen: list[Any] = []

    def fails() -> None:
        seen.append(DBOS.step_status)
        raise ValueError(len(seen))

    @DBOS.workflow(name="work")
    def work() -> str:
        options: Any = {"retries_allowed": True, "max_attempts": 3, "interval_seconds": 0.01, "name": "fails"}
        try:
            DBOS.run_step(options, fails)
        except DBOSMaxStepRetriesExceeded as error:
            return str([str(each) for each in error.errors])
        return ""

    launch()
    assert _run("w", work) == "['1', '2', '3']"
    assert [(status.step_id, status.current_attempt, status.max_attempts) for status in seen] == [
        (1, 0, 3),
        (1, 1, 3),
        (1, 2, 3),
    ]


def test_the_status_of_a_step_is_there_in_steps_only(launch: Launch) -> None:
    @DBOS.step()
    def look() -> Any:
        return DBOS.step_status

    @DBOS.workflow(name="work")
    def work() -> Any:
        assert DBOS.step_status is None
        return look()

    launch()
    status = work()
    assert (status.step_id, status.current_attempt, status.max_attempts) == (1, None, None)
    assert DBOS.step_status is None
    assert look() is None


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (5, TypeError, "StepOptions: expected a dictionary of options, or None, got 5"),
        ({"name": 5}, TypeError, "name: expected text"),
        ({"bogus": 1}, TypeError, "unknown bogus"),
        ({"max_attempts": 0}, ValueError, "max_attempts"),
        ({"timeout_seconds": 1}, DBOSException, "coroutine functions"),
        ({"preemptible": True}, DBOSException, "coroutine functions"),
        ({"should_retry": asyncio.sleep}, DBOSException, "should_retry is a coroutine function"),
        ({"should_retry": 5}, TypeError, "should_retry: expected a function of the error, got 5"),
    ],
)
def test_options_that_cannot_be_are_named(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        DBOS.run_step(options, lambda: 1)


def test_what_is_no_function_is_no_step() -> None:
    with pytest.raises(TypeError, match="func: expected a function to run as a step, got None"):
        DBOS.run_step(None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 1e12])
def test_a_time_limit_is_positive_and_finite(seconds: float) -> None:
    async def step() -> None: ...

    with pytest.raises(DBOSException, match="timeout_seconds"):
        DBOS.step(timeout_seconds=seconds)(step)


async def test_an_attempt_that_takes_too_long_is_cancelled_and_fails(launch: Launch) -> None:
    ended: list[str] = []

    @DBOS.step(name="slow", timeout_seconds=0.05)
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")

    @DBOS.step(name="slower", timeout_seconds=0.05, retries_allowed=True, max_attempts=2, interval_seconds=0.01)
    async def slower() -> None:
        await asyncio.sleep(60)

    @DBOS.step(name="own", timeout_seconds=60)
    async def own() -> None:
        raise TimeoutError("mine")

    @DBOS.workflow(name="work")
    async def work() -> list[str]:
        told = []
        for step in (slow, slower, own):
            try:
                await step()
            except Exception as error:  # noqa: BLE001 -- what is raised is what is tested
                told.append(type(error).__name__)
        return told

    launch()
    with SetWorkflowID("w"):
        assert await work() == ["DBOSStepTimeoutError", "DBOSMaxStepRetriesExceeded", "TimeoutError"]
    first, second, third = await DBOS.list_workflow_steps_async("w")
    assert isinstance(first["error"], DBOSStepTimeoutError)
    assert (first["error"].step_name, first["error"].timeout_seconds) == ("slow", 0.05)
    assert [type(error) for error in second["error"].errors] == [DBOSStepTimeoutError] * 2
    assert str(third["error"]) == "mine"
    assert ended == ["slow"]


async def test_a_plain_function_that_stops_an_iteration_fails_on_a_loop_too(launch: Launch) -> None:
    @DBOS.workflow(name="work")
    async def work() -> None:
        await DBOS.run_step_async({"name": "first"}, lambda: next(iter([])))

    launch()
    for run in (work(), DBOS.run_step_async(None, lambda: next(iter([])))):  # a coroutine cannot raise StopIteration
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(run, 30)


@pytest.mark.parametrize("way", ["returns", "raises"])
async def test_an_attempt_that_withstands_its_cancellation_fails_all_the_same(launch: Launch, way: str) -> None:
    @DBOS.step(name="stubborn", timeout_seconds=0.05)
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if way == "raises":
                raise ValueError("not now") from None
        return "too late"

    @DBOS.workflow(name="work")
    async def work() -> str:
        return await stubborn()

    launch()
    with pytest.raises(DBOSStepTimeoutError):
        await work()


async def test_steps_side_by_side_are_numbered_in_the_order_of_the_calls(launch: Launch) -> None:
    @DBOS.step(name="tick")
    async def tick(number: int) -> int:
        await asyncio.sleep(0.05 / number)
        return number

    @DBOS.workflow(name="work")
    async def work() -> list[int]:
        return list(await asyncio.gather(*(tick(number) for number in range(1, 6))))

    launch()
    with SetWorkflowID("w"):
        assert await work() == [1, 2, 3, 4, 5]
    steps = await DBOS.list_workflow_steps_async("w")
    assert [step["output"] for step in steps] == [1, 2, 3, 4, 5]


async def test_a_reserved_step_keeps_its_place(launch: Launch) -> None:
    @DBOS.workflow(name="work")
    async def work() -> int:
        reserved = DBOS.reserve_step()
        await DBOS.run_step_async({"name": "first"}, lambda: 1)
        result: int = await reserved.run_async({"name": "reserved"}, lambda: reserved.step_id)
        with pytest.raises(DBOSException, match="for one step"):
            await reserved.run_async(None, lambda: 3)
        return result

    launch()
    with SetWorkflowID("w"):
        assert await work() == 1
    steps = await DBOS.list_workflow_steps_async("w")
    assert [(step["function_id"], step["function_name"]) for step in steps] == [(1, "reserved"), (2, "first")]
    with pytest.raises(DBOSException, match="for workflows"):
        DBOS.reserve_step()


def test_a_run_from_before_a_patch_goes_on_without_it_and_a_new_one_takes_it(
    launch: Launch, client: DBOSClient
) -> None:
    patched = False

    @DBOS.step(name="first")
    def first() -> str:
        return "first"

    @DBOS.step(name="old")
    def old() -> str:
        return "old"

    @DBOS.workflow(name="work")
    def work() -> str:
        told = first()
        if patched and DBOS.patch("better"):
            return f"{told} new {first()}"
        return f"{told} {old()}"

    @DBOS.workflow(name="later")
    def later() -> str:
        told = first()
        DBOS.deprecate_patch("better")
        return f"{told} new {first()}"

    launch()
    assert _run("before", work) == "first old"
    patched = True
    assert client.rewind_workflow("before", start_step=3).get_result(polling_interval_sec=0.05) == "first old"
    assert _run("after", work) == "first new first"
    assert [name for _, name, _ in _steps("after")] == ["first", "DBOS.patch-better", "first"]
    assert client.rewind_workflow("after", start_step=4).get_result(polling_interval_sec=0.05) == "first new first"
    assert _run("last", later) == "first new first"
    assert [name for _, name, _ in _steps("last")] == ["first", "first"]


def test_a_patch_is_for_workflows(launch: Launch) -> None:
    launch()
    for call in (DBOS.patch, DBOS.deprecate_patch):
        with pytest.raises(DBOSException, match="for workflows"):
            call("name")


async def test_asyncio_wait_finds_the_same_done_in_a_replay(launch: Launch) -> None:
    replayed = False
    looked, passed = asyncio.Event(), asyncio.Event()

    @DBOS.step(name="tick")
    async def tick(number: int) -> int:
        if replayed and number == 1:
            await passed.wait()
            await asyncio.sleep(0.1)
        elif replayed:
            passed.set()
        elif number == 2:
            await looked.wait()
        return number

    @DBOS.workflow(name="work")
    async def work() -> list[int]:
        done, pending = await DBOS.asyncio_wait([tick(1), tick(2)], return_when=asyncio.FIRST_COMPLETED)
        first = [task.result() for task in done]
        looked.set()
        await asyncio.gather(*pending)
        return first

    launch()
    with SetWorkflowID("w"):
        assert await work() == [1]
    replayed = True
    rewound = await DBOS.fork_workflow_async("w", 2)
    assert await rewound.get_result() == [1]
    steps = await DBOS.list_workflow_steps_async("w")
    assert [(step["function_name"], step["output"]) for step in steps] == [
        ("DBOS.asyncio_wait", [0]),
        ("tick", 1),
        ("tick", 2),
    ]
    done, pending = await DBOS.asyncio_wait([asyncio.sleep(0)], timeout=5)
    assert (len(done), len(pending)) == (1, 0)


def test_an_id_that_is_taken_is_refused_on_request(launch: Launch, client: DBOSClient) -> None:
    @DBOS.workflow(name="work")
    def work(number: int) -> int:
        return number

    @DBOS.workflow(name="parent")
    def parent() -> list[str]:
        told = []
        for start in (lambda: DBOS.start_workflow(work, 2), lambda: work(2)):
            with SetWorkflowID("taken", workflow_id_reuse_policy="reject"):
                try:
                    start()
                except DBOSWorkflowIDInUseError as error:
                    told.append(f"{error.workflow_id} {error.workflow_status} {error.workflow_name}")
        return told

    launch()
    assert _run("taken", work, 1) == 1
    for policy in ("return-existing", None):
        with SetWorkflowID("taken", workflow_id_reuse_policy=policy):  # type: ignore[arg-type]
            assert work(2) == 1
    with SetWorkflowID("taken", workflow_id_reuse_policy="reject"), pytest.raises(DBOSWorkflowIDInUseError) as raised:
        work(2)
    assert is_workflow_id_in_use_error(raised.value)
    with SetWorkflowID("new", workflow_id_reuse_policy="reject"):
        assert work(3) == 3
    with pytest.raises(DBOSWorkflowIDInUseError, match="taken"):
        client.enqueue(
            {
                "workflow_name": "work",
                "queue_name": "work",
                "workflow_id": "taken",
                "workflow_id_reuse_policy": "reject",
            },
            1,
        )
    assert _run("p", parent) == ["taken SUCCESS work"] * 2
    assert [(number, name) for number, name, _ in _steps("p")] == [(1, "work"), (2, "work"), (3, "DBOS.getResult")]
    assert client.rewind_workflow("p", start_step=4).get_result(polling_interval_sec=0.05) == ["taken SUCCESS work"] * 2
    with pytest.raises(ValueError, match="workflow_id_reuse_policy"):
        SetWorkflowID("w", workflow_id_reuse_policy="perhaps")  # type: ignore[arg-type]
