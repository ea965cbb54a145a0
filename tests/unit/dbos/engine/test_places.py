"""From where a call is made, and what follows for the format of what it stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from dbos._error import DBOSException
from dbos._serialization import WorkflowSerializationFormat
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.engine.context import Execution, StepScope, current_execution, current_step
from dbos.engine.places import (
    caller,
    calling_workflow,
    calling_workflow_or_step,
    check_duration,
    check_format,
    encoded,
)
from dbos.store.values import Stored

PORTABLE, NATIVE = WorkflowSerializationFormat.PORTABLE, WorkflowSerializationFormat.NATIVE
DEFAULT = WorkflowSerializationFormat.DEFAULT
STEP = StepScope(3, "step", 1, 1)


def services_of(*, client: bool = False, serialization: str = "py_pickle") -> Any:
    """What the functions need of an application, or of a client."""
    return SimpleNamespace(records_steps=not client, serialization=serialization)


@contextmanager
def running(*, step: bool = False, serialization: str | None = None) -> Iterator[Execution]:
    """What runs in the block is a workflow, or a step of one."""
    execution = Execution(workflow_id=WorkflowId("w"), owner=OwnerToken("o"), name="n", serialization=serialization)
    tokens = current_execution.set(execution), current_step.set(STEP if step else None)
    try:
        yield execution
    finally:
        current_execution.reset(tokens[0])
        current_step.reset(tokens[1])


def test_workflows_their_steps_and_others_are_told_apart() -> None:
    services = services_of()
    assert caller(services) == (None, None)
    for refusing in (calling_workflow, calling_workflow_or_step):
        with pytest.raises(DBOSException, match=r"recv\(\) must be called from within a workflow"):
            refusing(services, "recv")  # type: ignore[operator]
    with running() as execution:
        assert calling_workflow(services, "recv") is execution
        assert calling_workflow_or_step(services, "set_event") == (execution, None)
    with running(step=True) as execution:
        assert calling_workflow_or_step(services, "set_event") == (execution, STEP)
        with pytest.raises(DBOSException, match=r"recv\(\) must be called from within a workflow"):
            calling_workflow(services, "recv")


def test_a_client_calls_from_nowhere_even_in_a_workflow() -> None:
    with running():
        assert caller(services_of(client=True)) == (None, None)


@pytest.mark.parametrize(
    ("asked", "workflow", "application", "expected"),
    [
        (DEFAULT, None, "py_pickle", "py_pickle"),
        (DEFAULT, None, "portable_json", "portable_json"),
        (DEFAULT, "portable_json", "py_pickle", "portable_json"),
        (NATIVE, "portable_json", "portable_json", "py_pickle"),
        (PORTABLE, "py_pickle", "py_pickle", "portable_json"),
    ],
)
def test_the_format_is_the_one_asked_for_then_the_workflows_then_the_applications(
    asked: WorkflowSerializationFormat, workflow: str | None, application: str, expected: str
) -> None:
    services = services_of(serialization=application)
    with running(serialization=workflow):
        assert encoded(services, 1, asked).serialization == expected
    if workflow is None:
        assert encoded(services, 1, asked).serialization == expected
    assert encoded(services, {"a": (1,)}, PORTABLE) == Stored('{"a":[1]}', "portable_json")


def test_a_format_is_a_member_and_none_is_the_default() -> None:
    assert check_format(None) is DEFAULT
    assert WorkflowSerializationFormat.JSON is PORTABLE
    for wrong in ("portable", 1, "json"):
        with pytest.raises(TypeError, match="serialization_type: expected a member of WorkflowSerializationFormat"):
            check_format(wrong)


@pytest.mark.parametrize("seconds", [0, 1, -5, 0.25, 10**9])
def test_a_duration_is_a_number(seconds: float) -> None:
    assert check_duration(seconds, subject="x") == seconds


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(None, TypeError), ("1", TypeError), (False, TypeError), (float("nan"), ValueError), (1e300, ValueError)],
)
def test_another_duration_is_refused(seconds: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="x: expected"):
        check_duration(seconds, subject="x")
