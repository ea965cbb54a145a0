"""Timeouts: from start to end, with children, across restarts; and attributes, which travel the same way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dbos import (
    DBOS,
    DBOSClient,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
)
from dbos.error import DBOSAwaitedWorkflowCancelledError, DBOSException, DBOSWorkflowCancelledError
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


def _row(sql: Bystander, workflow_id: str) -> dict[str, Any]:
    row = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row


def _times(sql: Bystander, workflow_id: str) -> tuple[int | None, int | None]:
    row = _row(sql, workflow_id)
    return row["workflow_timeout_ms"], row["workflow_deadline_epoch_ms"]


@pytest.fixture
def child() -> Callable[[], str]:
    """A workflow without steps."""

    @DBOS.workflow(name="child")
    def child() -> str:
        return "done"

    return child


def test_a_workflow_is_cancelled_with_its_children_when_its_time_is_over(launch: Launch, sql: Bystander) -> None:
    release = threading.Event()

    @DBOS.step()
    def waits() -> None:
        release.wait(60)

    @DBOS.workflow(name="inner")
    def inner() -> None:
        waits()

    @DBOS.workflow(name="outer")
    def outer() -> None:
        DBOS.start_workflow(inner).get_result()

    launch()
    with SetWorkflowID("w"), SetWorkflowTimeout(3):  # long enough for the child to begin
        handle = DBOS.start_workflow(outer)
    query = "SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'CANCELLED'"
    eventually(lambda: sql.execute(query).fetchall(), lambda rows: len(rows) == 2, what="cancelled family")
    release.set()
    with pytest.raises((DBOSAwaitedWorkflowCancelledError, DBOSWorkflowCancelledError)):
        handle.get_result()
    timeout, deadline = _times(sql, "w")
    assert (timeout, _times(sql, "w-1")) == (3000, (None, deadline))


def test_a_timeout_reaches_every_kind_of_child_and_can_be_overridden(
    launch: Launch, sql: Bystander, child: Callable[[], str]
) -> None:
    @DBOS.workflow(name="parent")
    def parent() -> None:
        DBOS.start_workflow(child)  # 1
        DBOS.enqueue_workflow("work", child)  # 2
        child()  # 3 and 4
        with SetWorkflowTimeout(50):
            DBOS.start_workflow(child)  # 5
            with SetEnqueueOptions(app_version="nobody's"):
                DBOS.enqueue_workflow("work", child)  # 6
        with SetWorkflowTimeout(None):
            DBOS.start_workflow(child)  # 7
            DBOS.enqueue_workflow("work", child)  # 8

    launch()
    before = int(time.time() * 1000)
    with SetWorkflowID("w"), SetWorkflowTimeout(1000):
        parent()
    timeout, deadline = _times(sql, "w")
    assert timeout == 1_000_000
    assert deadline is not None
    assert before + 1_000_000 <= deadline <= int(time.time() * 1000) + 1_000_000
    assert [_times(sql, f"w-{number}") for number in (1, 2, 3)] == [(None, deadline)] * 3
    own, own_deadline = _times(sql, "w-5")
    assert own == 50_000
    assert own_deadline is not None
    assert own_deadline < deadline
    assert _times(sql, "w-6") == (50_000, None)
    assert [_times(sql, f"w-{number}") for number in (7, 8)] == [(None, None)] * 2


def test_the_time_of_an_enqueued_workflow_begins_when_it_is_taken(
    launch: Launch, sql: Bystander, child: Callable[[], str]
) -> None:
    launch()
    DBOS.register_queue("work")
    with SetWorkflowTimeout(100), SetWorkflowID("w"):
        handle = DBOS.enqueue_workflow("work", child)
    assert handle.get_result() == "done"
    row = _row(sql, "w")
    assert row["workflow_timeout_ms"] == 100_000
    assert abs(row["workflow_deadline_epoch_ms"] - row["started_at_epoch_ms"] - 100_000) < 2000


def test_a_deadline_holds_across_a_restart(launch: Launch, sql: Bystander) -> None:
    began = threading.Event()
    release = threading.Event()

    @DBOS.step()
    def waits() -> None:
        began.set()
        release.wait(60)

    @DBOS.workflow(name="long")
    def long() -> None:
        waits()

    launch()
    with SetWorkflowID("w"), SetWorkflowTimeout(1000):
        DBOS.start_workflow(long)
    assert began.wait(30)
    DBOS.destroy()
    soon = int(time.time() * 1000) + 500  # whoever counted anew would wait for a thousand seconds
    sql.execute("UPDATE dbos.workflow_status SET workflow_deadline_epoch_ms = %s", [soon])
    before = _times(sql, "w")
    launch()
    row = eventually(lambda: _row(sql, "w"), lambda row: row["status"] == "CANCELLED", what="cancelled workflow")
    assert (row["workflow_timeout_ms"], row["workflow_deadline_epoch_ms"]) == before
    release.set()


def test_a_workflow_that_is_resumed_has_its_time_anew(launch: Launch, sql: Bystander, client: DBOSClient) -> None:
    release = threading.Event()

    @DBOS.step()
    def waits() -> str:
        assert release.wait(60)
        return "done"

    @DBOS.workflow(name="long")
    def long() -> str:
        return waits()

    launch()
    with SetWorkflowID("w"), SetWorkflowTimeout(0.2):
        DBOS.start_workflow(long)
    eventually(lambda: _row(sql, "w")["status"], lambda status: status == "CANCELLED", what="cancelled workflow")
    before = _times(sql, "w")[1]
    sql.execute("UPDATE dbos.workflow_status SET workflow_timeout_ms = 100000")  # this time it is to be enough
    release.set()
    assert client.resume_workflow("w").get_result(polling_interval_sec=0.05) == "done"
    deadline = _times(sql, "w")[1]
    assert before is not None
    assert deadline is not None
    assert deadline >= before + 100_000 - 200


async def test_a_wait_of_a_coroutine_ends_with_its_time(launch: Launch) -> None:
    @DBOS.workflow(name="sleeps")
    async def sleeps() -> None:
        await DBOS.sleep_async(60)

    launch()
    with SetWorkflowTimeout(0.2):
        handle = await DBOS.start_workflow_async(sleeps)
    started = time.monotonic()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        await handle.get_result()
    assert time.monotonic() - started < 40


@pytest.mark.parametrize("by", ["timeout", "cancel"])
async def test_a_preemptible_step_is_cancelled_with_its_workflow(launch: Launch, by: str) -> None:
    began, ended = asyncio.Event(), []

    @DBOS.step(preemptible=True)
    async def forever() -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cleaned up")
            raise

    @DBOS.workflow(name="long")
    async def long() -> None:
        await forever()

    launch()
    with SetWorkflowID("w"), SetWorkflowTimeout(3 if by == "timeout" else None):
        handle = await DBOS.start_workflow_async(long)
    await began.wait()
    if by == "cancel":
        await DBOS.cancel_workflow_async("w")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        await handle.get_result()
    assert ended == ["cleaned up"]
    assert await DBOS.list_workflow_steps_async("w") == []


async def test_a_step_that_is_not_preemptible_ends_by_itself(launch: Launch) -> None:
    began, go_on, ended = asyncio.Event(), asyncio.Event(), []

    @DBOS.step()
    async def careful() -> None:
        began.set()
        await go_on.wait()
        ended.append(True)

    @DBOS.workflow(name="long")
    async def long() -> None:
        await careful()

    launch()
    with SetWorkflowID("w"):
        handle = await DBOS.start_workflow_async(long)
    await began.wait()
    await DBOS.cancel_workflow_async("w")
    go_on.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        await handle.get_result()
    assert ended == [True]


def test_attributes_are_given_to_what_is_started_and_not_to_its_children(
    launch: Launch, client: DBOSClient, child: Callable[[], str]
) -> None:
    @DBOS.workflow(name="parent")
    def parent() -> None:
        child()
        with SetWorkflowAttributes({"kind": "child"}):
            child()

    launch()
    with SetWorkflowAttributes({"kind": "parent", "size": [1, 2]}):
        with SetWorkflowID("w"):
            parent()
        with SetWorkflowID("queued"), SetEnqueueOptions(app_version="nobody's"):
            DBOS.enqueue_workflow("work", child)
    client.enqueue(
        {"workflow_name": "child", "queue_name": "work", "workflow_id": "by-client", "attributes": {"kind": "client"}}
    )
    attributes = {status.workflow_id: status.attributes for status in DBOS.list_workflows()}
    assert attributes == {
        "w": {"kind": "parent", "size": [1, 2]},
        "queued": {"kind": "parent", "size": [1, 2]},
        "by-client": {"kind": "client"},
        "w-1": None,
        "w-3": {"kind": "child"},
    }


@pytest.mark.parametrize(
    ("seconds", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError), (1e12, ValueError)]
)
def test_a_timeout_is_a_positive_number(seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="workflow_timeout_sec"):
        SetWorkflowTimeout(seconds)


def test_a_block_is_for_one_use_at_a_time() -> None:
    block = SetWorkflowTimeout(5)
    with block, SetWorkflowTimeout(3), pytest.raises(DBOSException, match="SetWorkflowTimeout is in use"), block:
        pass
    with block:
        pass
