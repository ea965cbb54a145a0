"""Thousands at once: few commits, in order, and one refusal harms no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue, SetEnqueueOptions, SetWorkflowID
from dbos.error import DBOSException, DBOSQueueDeduplicatedError
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

OPTIONS: Any = {"workflow_name": "work", "queue_name": "work"}


def _order(sql: Bystander) -> list[str]:
    rows = sql.execute("SELECT workflow_uuid FROM dbos.workflow_status ORDER BY created_at, workflow_uuid").fetchall()
    return [row["workflow_uuid"] for row in rows]


def test_a_queue_takes_many_calls_and_runs_each(launch: Launch) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    def double(number: int) -> int:
        return number * 2

    launch()
    handles = queue.enqueue_many(double, [(number,) for number in range(1500)])

    assert [handle.get_result() for handle in handles] == [number * 2 for number in range(1500)]


def test_they_are_listed_in_the_order_of_their_calls(client: DBOSClient, sql: Bystander) -> None:
    handles = client.enqueue_many(OPTIONS, [(number,) for number in range(200)])
    handles += [client.enqueue(OPTIONS, number) for number in range(20)]
    sql.execute("UPDATE dbos.workflow_status SET created_at = 1")  # as on a machine that does all in one millisecond

    assert [each.workflow_id for each in client.list_workflows()] == [handle.workflow_id for handle in handles]


def test_coroutines_enqueue_many_too(launch: Launch, client: DBOSClient) -> None:
    queue = Queue("work")

    @DBOS.workflow(name="work")
    async def double(number: int) -> int:
        return number * 2

    launch()

    async def main() -> list[int]:
        handles = await queue.enqueue_many_async(double, [[1], [2]])
        handles += await client.enqueue_many_async(OPTIONS, [[3]])
        return [await handle.get_result() for handle in handles]

    assert asyncio.run(main()) == [2, 4, 6]


def test_children_of_a_workflow_are_enqueued_once_however_often_it_runs(launch: Launch, sql: Bystander) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    def double(number: int) -> int:
        return number * 2

    @DBOS.workflow()
    def parent() -> int:
        return sum(handle.get_result() for handle in queue.enqueue_many(double, [(1,), (2,), (3,)]))

    launch()
    with SetWorkflowID("p"):
        assert parent() == 12
    forked = DBOS.fork_workflow("p", 4)

    assert forked.get_result() == 12
    assert [workflow for workflow in _order(sql) if workflow.startswith("p-")] == ["p-1", "p-2", "p-3"]


def test_a_client_enqueues_many_under_ids_of_its_own(client: DBOSClient, sql: Bystander) -> None:
    ids = [f"order-{number:03}" for number in range(200)]
    handles = client.enqueue_many(OPTIONS, [(number,) for number in range(200)], workflow_ids=ids)
    again = client.enqueue_many(OPTIONS, [(number,) for number in range(200)], workflow_ids=ids)

    assert [handle.workflow_id for handle in handles] == [handle.workflow_id for handle in again] == ids
    assert sorted(_order(sql)) == ids


def test_one_refusal_is_raised_after_the_others_are_stored(client: DBOSClient, sql: Bystander) -> None:
    with pytest.raises(DBOSQueueDeduplicatedError):
        client.enqueue_many({**OPTIONS, "deduplication_id": "one"}, [(1,), (2,)])
    assert len(_order(sql)) == 1
    existing = client.enqueue_many(
        {**OPTIONS, "deduplication_id": "one", "duplication_policy": "return-existing"}, [(3,), (4,)]
    )
    assert {handle.workflow_id for handle in existing} == set(_order(sql))
    for calls in ([(5,), (6,)], []):
        with pytest.raises(DBOSException, match="duplication_policy: expected a deduplication_id"):
            client.enqueue_many({**OPTIONS, "duplication_policy": "return-existing"}, calls)


def test_the_options_around_the_call_apply_to_each(launch: Launch, sql: Bystander) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    def work(number: int) -> None: ...

    launch()
    with SetEnqueueOptions(priority=7, delay_seconds=3600):
        queue.enqueue_many(work, [(1,), (2,)])
    rows = sql.execute("SELECT status, priority FROM dbos.workflow_status").fetchall()
    assert rows == [{"status": "DELAYED", "priority": 7}] * 2


def test_nothing_is_stored_when_a_call_cannot_be(client: DBOSClient, sql: Bystander) -> None:
    for calls in (["text"], [(1,), 2], [(1,), None]):
        with pytest.raises(TypeError, match="arguments of each call"):
            client.enqueue_many(OPTIONS, calls)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one for each of 2 calls, got 1"):
        client.enqueue_many(OPTIONS, [(1,), (2,)], workflow_ids=["a"])
    with pytest.raises(ValueError, match="expected workflow_ids"):
        client.enqueue_many({**OPTIONS, "workflow_id": "a"}, [(1,), (2,)])
    assert client.enqueue_many(OPTIONS, []) == []
    assert _order(sql) == []
