"""What the running code knows, and the options set around a call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbos import SetEnqueueOptions, SetWorkflowID
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.engine.context import (
    EnqueueSettings,
    Execution,
    StepScope,
    current_execution,
    current_step,
    enqueue_settings,
    recording_execution,
    take_pending_id,
)


def test_an_id_is_taken_by_the_first_start_only() -> None:
    assert take_pending_id() is None
    with SetWorkflowID("one"):
        assert take_pending_id() == "one"
        assert take_pending_id() is None
    assert take_pending_id() is None


def test_blocks_nest_and_the_outer_one_comes_back() -> None:
    with SetWorkflowID("outer"):
        with SetWorkflowID("inner"):
            assert take_pending_id() == "inner"
        assert take_pending_id() == "outer"


def test_a_block_ends_with_an_exception_too() -> None:
    with pytest.raises(KeyError), SetWorkflowID("one"):
        raise KeyError
    assert take_pending_id() is None


async def test_tasks_have_blocks_of_their_own() -> None:
    async def start(name: str) -> str | None:
        with SetWorkflowID(name):
            await asyncio.sleep(0)
            return take_pending_id()

    assert await asyncio.gather(start("a"), start("b"), start("c")) == ["a", "b", "c"]


@pytest.mark.parametrize(("value", "kind"), [("", ValueError), (" ", ValueError), (5, TypeError), ("a\0", ValueError)])
def test_an_id_that_cannot_be_is_refused(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="workflow ID"):
        SetWorkflowID(value)


def test_options_of_an_enqueue_hold_in_their_block() -> None:
    assert enqueue_settings.get() is None
    with SetEnqueueOptions(deduplication_id="d", priority=3, app_version="v", delay_seconds=1.5):
        assert enqueue_settings.get() == EnqueueSettings(
            deduplication_id="d", priority=3, app_version="v", delay_seconds=1.5
        )
        with SetEnqueueOptions(duplication_policy="return-existing"):
            assert enqueue_settings.get() == EnqueueSettings(duplication_policy="return-existing")
    assert enqueue_settings.get() is None


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"priority": 0}, ValueError, "priority: expected 1 to 2147483647, got 0"),
        ({"priority": 2**31}, ValueError, "priority: expected 1 to"),
        ({"priority": "1"}, TypeError, "priority: expected a whole number"),
        ({"priority": True}, TypeError, "priority: expected a whole number"),
        ({"delay_seconds": -0.1}, ValueError, "delay_seconds: expected 0 to"),
        ({"delay_seconds": float("inf")}, ValueError, "delay_seconds: expected 0 to"),
        ({"delay_seconds": float("nan")}, ValueError, "delay_seconds: expected 0 to"),
        ({"delay_seconds": "1"}, TypeError, "delay_seconds: expected seconds"),
        ({"duplication_policy": "ignore"}, ValueError, "duplication_policy: expected 'reject' or 'return-existing'"),
        ({"deduplication_id": ""}, ValueError, "deduplication_id: expected text"),
        ({"app_version": ""}, ValueError, "app_version: expected text that is not blank"),
        ({"app_version": 5}, TypeError, "app_version: expected text, got int"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        SetEnqueueOptions(**options)


def test_operations_count_from_one() -> None:
    execution = Execution(workflow_id=WorkflowId("w"), owner=OwnerToken("o"), name="n")
    assert [execution.next_function_id() for _ in range(3)] == [1, 2, 3]


def test_nothing_is_recorded_outside_of_workflows_and_inside_steps() -> None:
    execution = Execution(workflow_id=WorkflowId("w"), owner=OwnerToken("o"), name="n")
    assert recording_execution() is None
    outer = current_execution.set(execution)
    try:
        assert recording_execution() is execution
        inner = current_step.set(StepScope(1, "step", 1, 1))
        assert recording_execution() is None
        current_step.reset(inner)
    finally:
        current_execution.reset(outer)
