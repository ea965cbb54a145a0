"""Blocking calls on a running event loop: DBOS refuses them and names the twin; a client makes them and warns."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import suppress
from typing import Any

import pytest

from dbos import DBOS, DBOSClient
from dbos.api import runtime
from dbos.error import DBOSNonExistentWorkflowError
from integration.runtime.conftest import Launch

pytestmark = pytest.mark.both_databases

NOT_REFUSED = {
    "start_workflow", "enqueue_workflow", "enqueue_workflow_with_options",
    "create_schedule", "apply_schedules", "list_schedules", "get_schedule", "delete_schedule",
    "list_application_versions", "get_latest_application_version", "set_latest_application_version",
}  # fmt: skip
"""Calls that the published package makes on a loop too: they start something, or are made once at a start."""
EXAMPLES: dict[str, Any] = {
    "workflow_ids": ["nobody"], "handles": [], "messages": [], "start_step": 1, "seconds": 0.01, "offset": 0,
    "attributes": {}, "dbos_step_options": None, "func": len,
}  # fmt: skip
DONE_QUICKLY = (
    ("retrieve_workflow", ("nobody",)),
    ("list_workflows", ()),
    ("list_queued_workflows", ()),
    ("list_workflow_steps", ("nobody",)),
    ("get_event", ("nobody", "key", 0)),
    ("send", ("nobody", 1)),
    ("cancel_workflow", ("nobody",)),
    ("register_queue", ("queue",)),
)


def _twins(owner: type) -> list[str]:
    names = (name.removesuffix("_async") for name in dir(owner) if name.endswith("_async") and name[0] != "_")
    return sorted(name for name in names if callable(getattr(owner, name, None)))


def _arguments(call: Any) -> list[Any]:
    parameters = inspect.signature(call).parameters.values()
    wanted = [each for each in parameters if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    return [EXAMPLES.get(each.name, "text") for each in wanted]


async def _call(owner: Any, name: str, *arguments: Any) -> None:
    made = getattr(owner, name)(*arguments)
    if inspect.isgenerator(made):
        list(made)


@pytest.mark.parametrize("name", [name for name in _twins(DBOS) if name not in {*NOT_REFUSED, "run_until_drained"}])
def test_a_blocking_call_on_an_event_loop_is_refused_and_names_its_twin(launch: Launch, name: str) -> None:
    launch()
    with pytest.raises(
        RuntimeError, match=rf"DBOS\.{name} would block the running event loop; await DBOS\.{name}_async"
    ):
        asyncio.run(_call(DBOS, name, *_arguments(getattr(DBOS, name))))


def test_the_calls_that_are_not_refused_are_there() -> None:
    assert set(_twins(DBOS)) >= NOT_REFUSED


@pytest.mark.parametrize(("name", "arguments"), DONE_QUICKLY)
def test_a_client_makes_a_blocking_call_on_an_event_loop_and_warns_once(
    client: DBOSClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    arguments: tuple[Any, ...],
) -> None:
    monkeypatch.setattr(runtime, "_noted", set())
    logging.getLogger("dbos").propagate = True
    with caplog.at_level("WARNING", logger="dbos"):
        for _ in range(2):
            with suppress(DBOSNonExistentWorkflowError):
                asyncio.run(_call(client, name, *arguments))
    told = f"DBOSClient.{name} blocks the running event loop; await DBOSClient.{name}_async instead"
    assert [record.getMessage() for record in caplog.records].count(told) == 1
