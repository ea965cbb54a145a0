"""One program for both runtimes: what managing workflows, timeouts, attributes and steps leave behind."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

from dbos import (
    DBOS,
    DBOSClient,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
)
from dbos import error as errors

URL = os.environ["DBOS_SYSTEM_DATABASE_URL"]
PARKED = "nobody-serves-this"


@DBOS.step(name="give")
def give(value: Any) -> Any:
    """A result."""
    return value


@DBOS.step(name="tick")
async def tick(value: int) -> int:
    """A result, later."""
    await asyncio.sleep(0.01)
    return value


@DBOS.step(name="slow", timeout_seconds=0.05)
async def slow() -> None:
    """Takes too long."""
    await asyncio.sleep(30)


@DBOS.step(name="slower", timeout_seconds=0.05, retries_allowed=True, max_attempts=2, interval_seconds=0.01)
async def slower() -> None:
    """Takes too long each time."""
    await asyncio.sleep(30)


@DBOS.workflow(name="child")
def child(value: Any) -> Any:
    """One step."""
    return give(value)


@DBOS.workflow(name="rich")
def rich(value: Any) -> list[Any]:
    """Steps, events, a child, a stream that it closes, a message that nobody sends."""
    told = [give(1)]  # 1
    DBOS.set_event("kept", "early")  # 2
    DBOS.set_event("changed", "early")  # 3
    told.append(child("inner"))  # 4 and 5
    DBOS.set_event("changed", "late")  # 6
    DBOS.set_event("new", "late")  # 7
    DBOS.write_stream("flow", "first")  # 8
    DBOS.close_stream("flow")  # 9
    told.append(give(value))  # 10
    return told


@DBOS.workflow(name="manages")
def manages() -> list[Any]:
    """Each call on something that is there, and on something that is not."""
    told: list[Any] = []
    DBOS.cancel_workflow("parked-1")
    DBOS.cancel_workflow("nowhere")
    DBOS.cancel_workflows(["parked-2", "ended-1"], cancel_children=True)
    told.append(DBOS.resume_workflow("parked-1", queue_name=PARKED).workflow_id)
    told.append([handle.workflow_id for handle in DBOS.resume_workflows(["parked-2", "ended-1"])])
    with suppress(errors.DBOSNonExistentWorkflowError):
        DBOS.resume_workflow("nowhere")
    with SetWorkflowID("fork-1"):
        told.append(DBOS.fork_workflow("ended-1", 1, queue_name=PARKED).workflow_id)
    with SetWorkflowID("fork-2"):
        told.append(
            DBOS.fork_workflow(
                "ended-1",
                7,
                queue_name=PARKED,
                application_version="v9",
                queue_partition_key="lane",
                timeout_seconds=12.5,
                replacement_children={"ended-1-4": "another"},
            ).workflow_id
        )
    with suppress(errors.DBOSNonExistentWorkflowError):
        DBOS.fork_workflow("nowhere", 1)
    told.append(DBOS.rewind_workflow("ended-2", start_step=7, queue_name=PARKED).workflow_id)
    told.append(
        DBOS.rewind_workflow(
            "ended-3", queue_name=PARKED, application_version="v9", queue_partition_key="lane"
        ).workflow_id
    )
    with suppress(errors.DBOSNonExistentWorkflowError):
        DBOS.rewind_workflow("nowhere")
    DBOS.delete_workflow("ended-4")
    DBOS.delete_workflows(["ended-5", "nowhere"], delete_children=True)
    DBOS.set_workflow_delay("delayed", delay_until_epoch_ms=4_000_000_000_000)
    DBOS.set_workflow_delay("ended-1", delay_seconds=5)
    DBOS.update_workflow_attributes("parked-3", {"a": 1, "b": {"c": [None]}})
    DBOS.update_workflow_attributes("parked-3", {"b": 2, "d": "ü"}, merge=True)
    DBOS.update_workflow_attributes("ended-1", None)
    DBOS.update_workflow_attributes("nowhere", {"a": 1})
    told.append(len(DBOS.list_workflow_steps("ended-1")))
    told.append([step["function_name"] for step in DBOS.list_workflow_steps("ended-1", limit=2, offset=1)])
    told.append(DBOS.get_result("ended-1"))
    handles = [DBOS.retrieve_workflow("parked-3"), DBOS.retrieve_workflow("ended-1")]
    told.append(DBOS.wait_first(handles).workflow_id)
    return told


@DBOS.workflow(name="steps")
def steps() -> list[Any]:
    """Steps without a decorator, reserved ones, patches."""
    told = [DBOS.run_step({"name": "named"}, lambda: 1), DBOS.run_step(None, give, 2)]
    reserved = DBOS.reserve_step()
    told.append(give(3))
    told.append(reserved.run({"name": "reserved"}, lambda: 4))
    told.append(DBOS.patch("changed"))
    told.append(DBOS.deprecate_patch("older"))
    return told


@DBOS.workflow(name="async_steps")
async def async_steps() -> list[Any]:
    """Steps side by side, steps that take too long, and who was done first."""
    told: list[Any] = list(await asyncio.gather(*(tick(number) for number in range(3))))
    for step in (slow, slower):
        try:
            await step()
        except errors.DBOSException as error:
            told.append(type(error).__name__)
    done, pending = await DBOS.asyncio_wait([tick(7), tick(8)])
    told += [len(done), len(pending)]
    told.append(await DBOS.run_step_async({"name": "lambda"}, lambda: 9))
    return told


@DBOS.workflow(name="timed")
def timed() -> None:
    """Children of all kinds under a deadline, with timeouts of their own, and without any."""
    DBOS.start_workflow(child, 1).get_result()
    child(2)
    with SetWorkflowTimeout(3600), SetWorkflowAttributes({"own": True}):
        DBOS.start_workflow(child, 3).get_result()
        child(4)
        with SetEnqueueOptions(queue_partition_key="lane", priority=3):
            DBOS.enqueue_workflow(PARKED, child, 5)
    with SetWorkflowTimeout(None):
        child(6)
        DBOS.enqueue_workflow(PARKED, child, 7)
    DBOS.enqueue_workflow_with_options({"workflow_name": "child", "queue_name": PARKED}, 8)
    DBOS.enqueue_workflow_with_options(
        {
            "workflow_name": "elsewhere",
            "queue_name": PARKED,
            "workflow_id": "described",
            "class_name": "Class",
            "instance_name": "instance",
            "app_version": "v9",
            "workflow_timeout": 60.5,
            "priority": 4,
            "queue_partition_key": "lane",
            "attributes": {"described": 1},
        },
        9,
    )


@DBOS.workflow(name="refused")
def refused() -> int:
    """IDs that are taken, started and called."""
    count = 0
    for start in (lambda: DBOS.start_workflow(child, 1), lambda: child(1)):
        with SetWorkflowID("ended-1", workflow_id_reuse_policy="reject"):
            try:
                start()
            except errors.DBOSWorkflowIDInUseError:
                count += 1
    return count


def prepare() -> None:
    """Workflows in every state."""
    for number in range(1, 6):
        with SetWorkflowID(f"ended-{number}"), SetWorkflowAttributes({"number": number}):
            rich(number)
    for number in range(1, 4):
        with SetWorkflowID(f"parked-{number}"), SetWorkflowTimeout(100), SetEnqueueOptions(priority=number):
            DBOS.enqueue_workflow(PARKED, child, number)
    with SetWorkflowID("delayed"), SetEnqueueOptions(delay_seconds=3600):
        DBOS.enqueue_workflow(PARKED, child, 1)


def by_client() -> None:
    """What a client does."""
    client = DBOSClient(system_database_url=URL, application_name="managing")
    client.register_queue("lanes", partition_concurrency=3, partition_worker_concurrency=2, global_concurrency=9)
    client.register_queue("rated", partition_limiter={"limit": 5, "period": 2.5})
    for number in range(1, 3):
        client.enqueue(
            {
                "workflow_name": "child",
                "queue_name": PARKED,
                "workflow_id": f"by-client-{number}",
                "queue_partition_key": "lane",
                "attributes": {"number": number},
            },
            number,
        )
    client.cancel_workflow("by-client-1")
    client.update_workflow_attributes("by-client-2", {"more": 1}, merge=True)
    with SetWorkflowID("fork-3"):
        client.fork_workflow("fork-2", 9, queue_name=PARKED)
    client.destroy()


if __name__ == "__main__":
    DBOS(config={"name": "managing", "system_database_url": URL})
    DBOS.launch()
    queue = DBOS.register_queue("changed", worker_concurrency=2)
    queue.set_global_concurrency(7)
    queue.set_limiter({"limit": 3, "period": 1.5})
    queue.set_partition_concurrency(2)
    queue.set_worker_concurrency(None)
    DBOS.register_queue("gone")
    DBOS.delete_queue("gone")
    prepare()
    for workflow in (manages, steps, timed, refused):
        with SetWorkflowID(workflow.__name__), SetWorkflowTimeout(7200 if workflow is timed else None):
            workflow()
    with SetWorkflowID("async_steps"):
        asyncio.run(async_steps())
    by_client()
    DBOS.destroy()
