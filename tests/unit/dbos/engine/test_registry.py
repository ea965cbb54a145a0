"""The names of workflows, and the version that their code makes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from dbos._error import DBOSException
from dbos.core.limits import QueueLimits
from dbos.engine.registry import Registry, StepFunction, WorkflowFunction, code_version, step_workflow_name


def _workflow(function: Callable[..., Any], name: str = "work") -> WorkflowFunction:
    return WorkflowFunction(name=name, function=function, is_async=False)


def _one() -> int:
    return 1


def _two() -> int:
    return 2


def test_a_second_workflow_of_a_name_takes_its_place_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    registry.add_workflow(_workflow(_one))
    with caplog.at_level(logging.WARNING, "dbos"):
        registry.add_workflow(_workflow(_one))
        assert caplog.text == ""
        registry.add_workflow(_workflow(_two))
    assert "'work' is registered twice" in caplog.text
    assert registry.workflows["work"].function is _two


def _from_file(file: str, body: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"__name__": "application"}
    exec(compile(f"def work():\n    return {body}\n", file, "exec"), namespace)
    function: Callable[..., Any] = namespace["work"]
    return function


def test_a_second_workflow_of_another_file_is_refused() -> None:
    registry = Registry()
    first = _workflow(_from_file("/app/orders.py", "1"))
    registry.add_workflow(first)
    with pytest.raises(
        DBOSException, match=r"'work' is registered by two different functions, in /app/orders\.py and in"
    ):
        registry.add_workflow(_workflow(_from_file("/app/bills.py", "1")))
    assert registry.workflows["work"] is first
    registry.clear()
    registry.add_workflow(_workflow(_from_file("/app/bills.py", "1")))


def test_a_module_that_is_loaded_again_replaces_its_workflows() -> None:
    registry = Registry()
    for body in ("1", "2"):
        registry.add_workflow(_workflow(_from_file("/app/orders.py", body)))
    assert registry.workflows["work"].function() == 2


@pytest.mark.parametrize("files", [("<stdin>", "/app/orders.py"), ("/tmp/ipykernel_7/1.py", "/tmp/ipykernel_7/2.py")])
def test_what_is_typed_in_replaces_what_was_there(files: tuple[str, str]) -> None:
    registry = Registry()
    for number, file in enumerate(files):
        registry.add_workflow(_workflow(_from_file(file, str(number))))
    assert registry.workflows["work"].function() == 1


def test_a_queue_is_declared_once_and_forgotten_on_request() -> None:
    registry = Registry()
    registry.add_queue("q", QueueLimits())
    with pytest.raises(ValueError, match="'q' is declared twice"):
        registry.add_queue("q", QueueLimits())
    with pytest.raises(ValueError, match="reserved"):
        registry.add_queue("_dbos_q", QueueLimits())
    registry.clear()
    registry.add_queue("q", QueueLimits())
    assert list(registry.queues) == ["q"]


def test_a_step_is_a_workflow_under_a_name_of_its_own() -> None:
    assert step_workflow_name(StepFunction(name="step", function=_one, is_async=False)) == "<temp>.step"


def _version(*functions: Callable[..., Any], package: str = "1", application: str = "orders") -> str:
    workflows = {str(number): _workflow(function) for number, function in enumerate(functions)}
    return code_version(workflows, package_version=package, application=application)


def test_a_version_is_the_same_for_the_same_code_in_any_order() -> None:
    assert _version(_one, _two) == _version(_two, _one)
    assert len(_version()) == 32


@pytest.mark.parametrize(
    "other",
    [_version(_one), _version(_two), _version(_one, _two, package="2"), _version(_one, _two, application="shop")],
)
def test_a_version_changes_with_code_release_and_application(other: str) -> None:
    assert other != _version(_one, _two)


def test_code_without_a_source_counts_by_what_it_does() -> None:
    def made(text: str) -> Callable[..., Any]:
        namespace: dict[str, Any] = {}
        exec(f"def work():\n    return {text}\n", namespace)
        function: Callable[..., Any] = namespace["work"]
        return function

    assert _version(made("1")) == _version(made("1"))
    assert _version(made("1")) != _version(made("2"))
    assert _version(made("len")) != _version(made("sum"))
