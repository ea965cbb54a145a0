"""One program for both runtimes: what it leaves in the system database is compared row by row."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import people
from board import execute
from failures import RefusedError

from dbos import DBOS, DBOSClient, PortableWorkflowError, SetEnqueueOptions, SetWorkflowID
from dbos import error as errors

URL = os.environ["DBOS_SYSTEM_DATABASE_URL"]
ATTEMPTS: dict[str, int] = {}


@DBOS.step()
def observe(tag: str) -> None:
    """Keep the workflow's own row as it is while it runs."""
    execute(
        "INSERT INTO public.observed SELECT %s, to_jsonb(w) FROM dbos.workflow_status w WHERE workflow_uuid = %s",
        tag,
        DBOS.workflow_id,
    )


@DBOS.step()
def add(a: int, b: int = 1) -> int:
    """A result."""
    return a + b


@DBOS.step(name="second_time", retries_allowed=True, max_attempts=3, interval_seconds=0.01)
def second_time(key: str) -> str:
    """Succeeds on its second attempt."""
    ATTEMPTS[key] = ATTEMPTS.get(key, 0) + 1
    if ATTEMPTS[key] < 2:
        raise RefusedError("first")
    return key


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=0.01)
def hopeless() -> None:
    """Fails on every attempt."""
    raise ValueError("hopeless")


@DBOS.step(retries_allowed=True, max_attempts=5, interval_seconds=0.01, should_retry=lambda _error: False)
def picky() -> None:
    """Fails with what no retry helps against."""
    raise LookupError("picky")


@DBOS.step()
def broken(reason: str) -> None:
    """Fails."""
    raise RefusedError(reason)


@DBOS.step()
def nothing() -> None:
    """Gives nothing."""


@DBOS.workflow()
def direct(start: int, *, label: str) -> str:
    """Steps, one of them retried, one that gives nothing."""
    observe("direct")
    total = add(add(start), b=10)
    nothing()
    return f"{label}-{second_time(label)}-{total}"


@DBOS.workflow(name="catches")
def catches() -> list[str]:
    """Goes on after steps that failed."""
    caught = []
    for step in (lambda: broken("caught"), hopeless, picky):
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- the kind of failure is the point
            caught.append(type(error).__name__)
    return caught


@DBOS.workflow()
def fails() -> None:
    """A step's failure is the workflow's."""
    broken("through")


@DBOS.workflow()
def fails_itself() -> None:
    """An exception of the workflow's own."""
    raise RefusedError("itself", code=9)


@DBOS.workflow()
def child(value: int) -> int:
    """One step."""
    observe("child")
    return add(value)


@DBOS.workflow()
def failing_child() -> None:
    """Fails."""
    raise RefusedError("child")


@DBOS.workflow()
def calls_children() -> int:
    """Children as function calls."""
    first = child(1)
    try:
        failing_child()
    except RefusedError:
        first += 100
    return first + add(1)


@DBOS.workflow()
def starts_children() -> list[int]:
    """Children in the background, one under an ID of its own."""
    first = DBOS.start_workflow(child, 10)
    with SetWorkflowID("named-child"):
        second = DBOS.start_workflow(child, 20)
    third = DBOS.start_workflow(failing_child)
    results = [second.get_result(), first.get_result()]
    try:
        third.get_result()
    except RefusedError:
        results.append(-1)
    return results


@DBOS.workflow()
def enqueues_children() -> list[int]:
    """Children on a queue: plain, with options, as a step, and one that is refused."""
    plain = DBOS.enqueue_workflow("live", child, 1)
    with SetEnqueueOptions(deduplication_id="key", priority=3, app_version="other", delay_seconds=3600):
        DBOS.enqueue_workflow("parked", child, 2)
    try:
        with SetEnqueueOptions(deduplication_id="key"):
            DBOS.enqueue_workflow("parked", child, 3)
    except errors.DBOSQueueDeduplicatedError:
        nothing()
    with SetEnqueueOptions(deduplication_id="key", duplication_policy="return-existing"):
        DBOS.enqueue_workflow("parked", child, 4)
    step = DBOS.enqueue_workflow("live", add, 5, b=6)
    return [plain.get_result(), step.get_result()]


@DBOS.workflow()
def starts_step() -> int:
    """A step as a workflow in the background."""
    return DBOS.start_workflow(add, 30).get_result()


@DBOS.workflow()
def awaits(workflow_id: str) -> str:
    """The failure of a workflow that somebody else started."""
    try:
        DBOS.retrieve_workflow(workflow_id).get_result()
    except PortableWorkflowError as error:
        return f"{error.name} {error.code} {add(1)}"
    return ""


@DBOS.workflow()
def has_time() -> list[int]:
    """Children under the deadline of their parent."""
    started = DBOS.start_workflow(child, 1)
    enqueued = DBOS.enqueue_workflow("live", child, 2)
    return [child(3), started.get_result(), enqueued.get_result()]


@DBOS.step()
def looks_inside() -> str:
    """What a step looks at is not recorded."""
    status = DBOS.get_workflow_status("direct")
    return "" if status is None else status.status


@DBOS.workflow()
def introspects() -> list[Any]:
    """Looks at workflows, its own child included; what a client does here is no step."""
    handle = DBOS.retrieve_workflow("direct")
    seen: list[Any] = [handle.get_status().status, handle.get_result()]
    seen.append(DBOS.retrieve_workflow("direct", existing_workflow=False).workflow_id)
    seen.append(DBOS.get_workflow_status("nowhere"))
    seen.append(len(DBOS.list_workflows(name="fails", status="ERROR")))
    seen.append(len(DBOS.list_queued_workflows(queue_name="nowhere")))
    try:
        DBOS.retrieve_workflow("nowhere")
    except errors.DBOSNonExistentWorkflowError as error:
        seen.append(type(error).__name__)
    seen.append(DBOS.enqueue_workflow("parked", child, 9).get_status().status)
    try:
        with SetWorkflowID("fails"):
            DBOS.start_workflow(child, 1)
    except errors.DBOSConflictingWorkflowError as error:
        seen.append(type(error).__name__)
    seen.append(looks_inside())
    client = DBOSClient(system_database_url=URL)
    enqueued = client.enqueue(
        {"workflow_name": "child", "queue_name": "live", "workflow_id": "by-client-in-workflow"}, 3
    )
    seen += [enqueued.get_result(polling_interval_sec=0.05), enqueued.get_status().status]
    client.destroy()
    return [*seen, add(1)]


@DBOS.step()
async def tick(number: int) -> int:
    """Ends out of order."""
    await asyncio.sleep(0.03 / number)
    return number


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=0.01)
async def async_hopeless(number: int) -> None:
    """Fails on every attempt."""
    raise RefusedError(str(number))


@DBOS.workflow()
async def async_child(number: int) -> int:
    """One step."""
    return await tick(number)


@DBOS.workflow(name="gathers")
async def gathers(count: int) -> list[int]:
    """Steps side by side, then children of all three kinds."""
    first = list(await asyncio.gather(*(tick(number) for number in range(1, count + 1))))
    failures = await asyncio.gather(async_hopeless(1), tick(5), async_hopeless(2), return_exceptions=True)
    first.append(sum(isinstance(failure, Exception) for failure in failures))
    first.append(await async_child(7))
    started = await DBOS.start_workflow_async(async_child, 8)
    first.append(await started.get_result())
    enqueued = await DBOS.enqueue_workflow_async("live", async_child, 9)
    first.append(await enqueued.get_result())
    first.append((await enqueued.get_status()).recovery_attempts or 0)
    seen = await DBOS.retrieve_workflow_async("direct")
    first.append((await seen.get_status()).priority or 0)
    first.append(len(await DBOS.list_workflows_async(workflow_ids=["direct"])))
    return first


def run(workflow_id: str, act: Callable[[], Any]) -> None:
    """Do something under a workflow ID; what it raises is recorded, and no more."""
    with SetWorkflowID(workflow_id), suppress(RefusedError):
        act()


def in_application() -> None:
    """What an application does itself."""
    run("direct", lambda: direct(1, label="x"))
    run("direct", lambda: direct(1, label="again"))
    run("catches", catches)
    run("fails", fails)
    run("fails-itself", fails_itself)
    run("calls-children", calls_children)
    run("starts-children", starts_children)
    run("enqueues-children", enqueues_children)
    run("starts-step", starts_step)
    run("introspects", introspects)
    run("background", lambda: DBOS.start_workflow(direct, 2, label="background").get_result())
    run("enqueued", lambda: DBOS.enqueue_workflow("live", direct, 3, label="enqueued").get_result())
    run("enqueued-step", lambda: DBOS.enqueue_workflow("live", add, 4).get_result())
    run("enqueued-failing", lambda: DBOS.enqueue_workflow("limited", fails).get_result())
    run("async", lambda: asyncio.run(gathers(3)))
    run("enqueued-async", lambda: DBOS.enqueue_workflow("live", gathers, 2).get_result())
    with SetEnqueueOptions(deduplication_id="d", priority=7, app_version="v1", delay_seconds=0.2):
        run("enqueued-options", lambda: DBOS.enqueue_workflow("limited", child, 1).get_result())
    with SetEnqueueOptions(deduplication_id="d", priority=2147483647, app_version="v9", delay_seconds=3600):
        run("parked", lambda: DBOS.enqueue_workflow("parked", direct, 5, label="parked"))
    people.everything()
    run("parked-plain", lambda: DBOS.enqueue_workflow("parked", direct, 6, label="parked"))


def by_sql() -> None:
    """What plain SQL enqueues is portable, and so is what it gives; what it calls is not."""
    enqueue = "SELECT dbos.enqueue_workflow(%s, 'live', %s::json[], workflow_id => %s)"
    execute(enqueue, "calls_children", [], "portable-parent")
    execute(enqueue, "fails_itself", [], "portable-failure")
    with suppress(PortableWorkflowError):
        DBOS.retrieve_workflow("portable-failure").get_result()
    execute(enqueue, "awaits", ['"portable-failure"'], "portable-awaits")
    run("awaits", lambda: awaits("portable-failure"))
    for workflow_id in ("portable-parent", "portable-awaits"):
        DBOS.retrieve_workflow(workflow_id).get_result()


def by_client() -> None:
    """What a client does."""
    for name, application in (("nameless", None), ("named", "scenarios")):
        client = DBOSClient(system_database_url=URL, application_name=application)
        plain = client.enqueue({"workflow_name": "child", "queue_name": "live", "workflow_id": f"{name}-plain"}, 1)
        client.enqueue(
            {
                "workflow_name": "child",
                "queue_name": "parked",
                "workflow_id": f"{name}-options",
                "app_version": "v9",
                "workflow_timeout": 60.5,
                "delay_seconds": 3600,
                "deduplication_id": f"{name}-key",
                "duplication_policy": "reject",
                "priority": 12,
                "class_name": "Class",
                "instance_name": "instance",
            },
            1,
            value=[None, 2.5, "ü"],
        )
        client.enqueue(
            {
                "workflow_name": "child",
                "queue_name": "parked",
                "workflow_id": f"{name}-never",
                "deduplication_id": f"{name}-key",
                "duplication_policy": "return-existing",
            },
            2,
        )
        timed = client.enqueue(
            {
                "workflow_name": "child",
                "queue_name": "live",
                "workflow_id": f"{name}-timed",
                "workflow_timeout": 3600,
                "app_version": "v1",
                "priority": 1,
            },
            2,
        )
        family = client.enqueue(
            {
                "workflow_name": "has_time",
                "queue_name": "live",
                "workflow_id": f"{name}-family",
                "workflow_timeout": 3600,
            }
        )
        family.get_result(polling_interval_sec=0.05)
        plain.get_result(polling_interval_sec=0.05)
        timed.get_result(polling_interval_sec=0.05)
        client.destroy()


if __name__ == "__main__":
    DBOS(config={"name": "scenarios", "system_database_url": URL})
    DBOS.launch()
    DBOS.register_queue("live", polling_interval_sec=0.05)
    DBOS.register_queue(
        "limited",
        worker_concurrency=2,
        global_concurrency=3,
        limiter={"limit": 50, "period": 1.5},
        polling_interval_sec=0.05,
    )
    in_application()
    by_sql()
    by_client()
    DBOS.destroy()
