"""Wait for the ends of workflows. A workflow that waits records what it waited for, so that a replay sees the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dbos.core.outcome import Outcome
from dbos.engine.context import Execution, recording_execution
from dbos.engine.pauses import pausing
from dbos.engine.plan import Invoke, Plan, Read
from dbos.engine.services import Services, epoch_ms
from dbos.engine.steps import Operated, checkpoint_record, ensure_owned, record_checkpoint, replay
from dbos.engine.waiting import look_for_outcome
from dbos.store.workflows import load_first_ended

T = TypeVar("T")

WAIT_FIRST = "DBOS.waitFirst"
ASYNCIO_WAIT = "DBOS.asyncio_wait"


def await_result(
    services: Services, workflow_id: str, *, poll_seconds: float, execution: Execution | None
) -> Plan[Outcome]:
    """Wait until a workflow ended; what it gave.

    Raises the signal that ends `execution`, which waits, when its own workflow was cancelled or taken over.
    """

    def look() -> Plan[Outcome | None]:
        return look_for_outcome(workflow_id)

    return (yield from _await_news(services, [workflow_id], look, poll_seconds, execution))


def wait_first(services: Services, workflow_ids: Sequence[str], *, poll_seconds: float) -> Plan[str]:
    """Wait until one of some workflows ended; the ID of the one that was first."""
    parent = recording_execution() if services.records_steps else None

    def look() -> Plan[str | None]:
        ended: str | None = yield Read(lambda: load_first_ended(workflow_ids), polls=True)
        return ended

    if parent is None:
        return (yield from _await_news(services, workflow_ids, look, poll_seconds, None))
    function_id = parent.next_function_id()
    replayed = replay(parent, function_id, WAIT_FIRST)
    if replayed is not None:
        return str(replayed.unwrap())
    began = epoch_ms()
    first = yield from _await_news(services, workflow_ids, look, poll_seconds, parent)
    operated = Operated(function_id, WAIT_FIRST, began)
    yield from record_checkpoint(parent, checkpoint_record(services, parent, operated, Outcome(first)))
    return first


def wait_for_tasks(
    services: Services, tasks: Sequence[asyncio.Future[Any]], *, timeout: float | None, return_when: str
) -> Plan[set[int]]:
    """Wait as asyncio.wait does; the places of the tasks that are done.

    Its ID is drawn before the tasks begin to draw theirs. A replay waits for the tasks that were done,
    however long the others take.
    """
    parent = recording_execution()
    if parent is None:
        return (yield from _wait(tasks, timeout, return_when))
    function_id = parent.next_function_id()
    replayed = replay(parent, function_id, ASYNCIO_WAIT)
    if replayed is not None:
        recorded = [int(place) for place in replayed.unwrap()]
        if recorded:
            yield from _wait([tasks[place] for place in recorded], None, asyncio.ALL_COMPLETED)
        return set(recorded)
    yield from ensure_owned(parent)
    began = epoch_ms()
    done = yield from _wait(tasks, timeout, return_when)
    operated = Operated(function_id, ASYNCIO_WAIT, began)
    yield from record_checkpoint(parent, checkpoint_record(services, parent, operated, Outcome(sorted(done))))
    return done


def _wait(tasks: Sequence[asyncio.Future[Any]], timeout: float | None, return_when: str) -> Plan[set[int]]:
    waited: Outcome = yield Invoke(asyncio.wait, (tasks,), {"timeout": timeout, "return_when": return_when})
    done, _ = waited.unwrap()
    return {place for place, task in enumerate(tasks) if task in done}


def _await_news(
    services: Services,
    workflow_ids: Sequence[str],
    look: Callable[[], Plan[T | None]],
    poll_seconds: float,
    execution: Execution | None,
) -> Plan[T]:
    with pausing(services, execution, *workflow_ids) as pause:
        while True:
            pause.rearm()
            found = yield from look()
            if found is not None:
                return found
            yield from pause.until(None, at_most=poll_seconds)
