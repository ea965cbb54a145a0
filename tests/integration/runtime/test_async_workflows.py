"""Coroutine workflows: the same promises, on the application's loop or the engine's."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from queue import SimpleQueue
from typing import Any

import pytest

from dbos import DBOS, Queue, SetWorkflowID
from dbos.error import DBOSNonExistentWorkflowError
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

Sql = Bystander


def _steps(sql: Sql, workflow_id: str) -> list[tuple[Any, ...]]:
    rows = sql.execute(
        "SELECT function_id, function_name, child_workflow_id FROM dbos.operation_outputs"
        " WHERE workflow_uuid = %s ORDER BY function_id",
        [workflow_id],
    ).fetchall()
    return [tuple(row.values()) for row in rows]


async def test_gathered_steps_have_the_ids_of_their_order(launch: Launch, sql: Sql) -> None:
    @DBOS.step(name="step")
    async def step(number: int) -> int:
        await asyncio.sleep(0.02 * (5 - number))
        assert DBOS.step_id == number + 1
        return number

    @DBOS.workflow()
    async def work() -> list[int]:
        return await asyncio.gather(*(step(number) for number in range(5)))

    launch()
    with SetWorkflowID("w"):
        assert await work() == [0, 1, 2, 3, 4]
    assert [row[0] for row in _steps(sql, "w")] == [1, 2, 3, 4, 5]


async def test_gathered_children_have_the_ids_of_their_order(launch: Launch, sql: Sql) -> None:
    first_done = asyncio.Event()

    @DBOS.workflow(name="child")
    async def child(number: int) -> int:
        if number == 0:
            await first_done.wait()
        else:
            first_done.set()
        return number

    @DBOS.workflow()
    async def parent() -> list[int]:
        return await asyncio.gather(child(0), child(1))

    launch()
    with SetWorkflowID("p"):
        assert await parent() == [0, 1]
    assert _steps(sql, "p") == [
        (1, "child", "p-1"),
        (2, "DBOS.getResult", "p-1"),
        (3, "child", "p-3"),
        (4, "DBOS.getResult", "p-3"),
    ]


async def test_steps_of_either_kind_run_in_a_coroutine_workflow(launch: Launch) -> None:
    @DBOS.step()
    def plain() -> int:
        return 1

    @DBOS.step(retries_allowed=True, interval_seconds=0.001)
    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise ConnectionError
        return 2

    tries: list[int] = []

    @DBOS.workflow()
    async def work() -> int:
        return plain() + await flaky()

    launch()
    assert await work() == 3


async def test_start_and_enqueue_from_a_coroutine(launch: Launch) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    launch()
    started = await DBOS.start_workflow_async(work, 1)
    queued = await queue.enqueue_async(work, 2)
    named = await DBOS.enqueue_workflow_async("work", work, 3)
    assert [await handle.get_result() for handle in (started, queued, named)] == [1, 2, 3]
    assert (await queued.get_status()).queue_name == "work"
    assert (await DBOS.get_workflow_status_async(started.workflow_id)).status == "SUCCESS"  # type: ignore[union-attr]
    again = await DBOS.retrieve_workflow_async(named.workflow_id)
    assert await again.get_result() == 3
    assert {status.workflow_id for status in await DBOS.list_workflows_async()} == {
        started.workflow_id,
        queued.workflow_id,
        named.workflow_id,
    }
    with pytest.raises(DBOSNonExistentWorkflowError):
        await DBOS.retrieve_workflow_async("nobody")
    assert await DBOS.get_workflow_status_async("nobody") is None


async def test_cancelling_who_waits_does_not_cancel_the_workflow(launch: Launch) -> None:
    go = asyncio.Event()

    @DBOS.workflow()
    async def work() -> str:
        await go.wait()
        return "done"

    launch()
    started = await DBOS.start_workflow_async(work)
    retrieved = await DBOS.retrieve_workflow_async(started.workflow_id)
    for handle in (started, retrieved):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle.get_result(), 0.05)
    go.set()
    assert await started.get_result() == "done"
    assert await retrieved.get_result() == "done"


async def test_a_started_workflow_ends_even_when_nobody_keeps_its_handle(launch: Launch) -> None:
    begun = asyncio.Event()
    waiting: list[weakref.ref[asyncio.Future[None]]] = []

    @DBOS.workflow()
    async def work() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        begun.set()
        await future

    launch()
    workflow_id = (await DBOS.start_workflow_async(work)).workflow_id
    await begun.wait()
    await asyncio.sleep(0)  # the workflow awaits its future, which only its own frame knows
    gc.collect()
    future = waiting[0]()
    assert future is not None, "the running workflow was collected as garbage"
    future.set_result(None)
    handle = await DBOS.retrieve_workflow_async(workflow_id)
    await asyncio.wait_for(handle.get_result(), 60)


def test_a_coroutine_workflow_without_a_loop_runs_on_the_engines(launch: Launch) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    async def work() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    launch()
    assert DBOS.start_workflow(work).get_result() == "dbos-event-loop"
    assert queue.enqueue(work).get_result() == "dbos-event-loop"


def test_hundreds_of_waiting_coroutines_run_at_once(launch: Launch) -> None:
    queue = Queue("work")
    begun: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    @DBOS.workflow()
    async def work() -> None:
        go = asyncio.Event()
        begun.put((asyncio.get_running_loop(), go))
        await go.wait()

    launch()
    handles = [queue.enqueue(work) for _ in range(300)]
    for loop, go in [begun.get(timeout=60) for _ in handles]:
        loop.call_soon_threadsafe(go.set)
    for handle in handles:
        handle.get_result()


async def test_a_cancelled_error_of_the_workflows_own_making_ends_it_visibly(launch: Launch) -> None:
    @DBOS.workflow()
    async def work() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    launch()
    handle = await DBOS.start_workflow_async(work)
    with pytest.raises(Exception, match="CancelledError"):
        await asyncio.wait_for(handle.get_result(), 60)
    assert (await handle.get_status()).status == "ERROR"


async def test_start_workflow_async_runs_other_functions_in_a_thread(launch: Launch) -> None:
    @DBOS.step(name="step")
    def step(number: int) -> tuple[int, bool]:
        return number, threading.current_thread() is threading.main_thread()

    @DBOS.workflow(name="work")
    def work(number: int) -> tuple[int, bool]:
        if number < 0:
            raise ValueError("negative")
        return step(number)

    launch()
    handle = await DBOS.start_workflow_async(work, 3)  # type: ignore[arg-type]
    assert await handle.get_result() == (3, False)
    assert (await handle.get_status()).status == "SUCCESS"
    refused = await DBOS.start_workflow_async(work, -1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        await refused.get_result()
    started = await DBOS.start_workflow_async(step, 4)  # type: ignore[arg-type]
    assert await started.get_result() == (4, False)


async def test_a_coroutine_parent_starts_and_awaits_children(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow(name="child")
    async def child(number: int) -> int:
        return number

    @DBOS.workflow()
    async def parent() -> int:
        handles = [await DBOS.start_workflow_async(child, number) for number in range(3)]
        return sum(await asyncio.gather(*(handle.get_result() for handle in handles)))

    launch()
    with SetWorkflowID("p"):
        assert await parent() == 3
    assert _steps(sql, "p") == [
        (1, "child", "p-1"),
        (2, "child", "p-2"),
        (3, "child", "p-3"),
        (4, "DBOS.getResult", "p-1"),
        (5, "DBOS.getResult", "p-2"),
        (6, "DBOS.getResult", "p-3"),
    ]
