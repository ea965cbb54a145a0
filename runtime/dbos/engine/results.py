"""The plans behind wait_first and asyncio_wait: in a workflow who was first is recorded, so a replay sees the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dbos.core.outcome import Outcome
from dbos.engine.context import recording_execution
from dbos.engine.plan import Invoke, Plan
from dbos.engine.services import Services, epoch_ms
from dbos.engine.steps import Operated, checkpoint_record, ensure_owned, guard, record_checkpoint, replay
from dbos.engine.waiting import await_first

WAIT_FIRST = "DBOS.waitFirst"
ASYNCIO_WAIT = "DBOS.asyncio_wait"


def wait_first(services: Services, workflow_ids: Sequence[str], *, poll_seconds: float) -> Plan[str]:
    """Wait until one of some workflows ended; the ID of the one that was first."""
    parent = recording_execution() if services.records_steps else None
    if parent is None:
        return (yield from await_first(services.signals, workflow_ids, poll_seconds=poll_seconds))
    function_id = parent.next_function_id()
    replayed = replay(parent, function_id, WAIT_FIRST)
    if replayed is not None:
        return str(replayed.unwrap())
    began = epoch_ms()
    first = yield from await_first(services.signals, workflow_ids, poll_seconds=poll_seconds, guard=guard(parent))
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
