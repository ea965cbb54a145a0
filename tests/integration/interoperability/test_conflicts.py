"""A workflow ID, or a deduplication ID, is taken whichever client took it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbos import DBOSClient
from integration.interoperability.parties import Database, OfficialClient

Enqueue = Callable[..., dict[str, Any]]
"""Gives `{"value": ID}`, or `{"raised": class}`."""


@pytest.fixture(params=["ours after theirs", "theirs after ours"])
def first_and_second(
    request: pytest.FixtureRequest, database: Database, official: OfficialClient, client: DBOSClient
) -> tuple[Enqueue, Enqueue]:
    """Enqueue by one client, and by the other. Nobody serves the queue."""

    def by_theirs(*args: Any, **options: Any) -> dict[str, Any]:
        text = "client.enqueue({'queue_name': 'parked', **options}, *args).workflow_id"
        answer = official.ask(database.url, text, options=options, args=args)
        return {name: value for name, value in answer.items() if name != "text"}

    def by_ours(*args: Any, **options: Any) -> dict[str, Any]:
        try:
            return {"value": client.enqueue({"queue_name": "parked", **options}, *args).workflow_id}  # type: ignore[typeddict-item]
        except Exception as error:  # noqa: BLE001 -- what it raises is the answer
            return {"raised": f"{type(error).__module__}.{type(error).__qualname__}"}

    return (by_theirs, by_ours) if request.param == "ours after theirs" else (by_ours, by_theirs)


def test_an_id_that_is_taken_gives_the_workflow_that_has_it(
    database: Database, first_and_second: tuple[Enqueue, Enqueue]
) -> None:
    first, second = first_and_second
    workflow_id = f"once-{first.__name__}"
    assert first(1, workflow_name="once", workflow_id=workflow_id) == {"value": workflow_id}
    before, inputs = database.workflow(workflow_id), _inputs(database, workflow_id)
    assert second(2, workflow_name="once", workflow_id=workflow_id, priority=5) == {"value": workflow_id}
    assert database.workflow(workflow_id) == before
    assert _inputs(database, workflow_id) == inputs


@pytest.mark.parametrize("other", [{"workflow_name": "other"}, {"workflow_name": "once", "class_name": "Other"}])
def test_an_id_of_another_workflow_is_refused(
    database: Database, first_and_second: tuple[Enqueue, Enqueue], other: dict[str, Any]
) -> None:
    first, second = first_and_second
    workflow_id = f"conflict-{first.__name__}-{len(other)}"
    first(workflow_name="once", workflow_id=workflow_id)
    assert second(workflow_id=workflow_id, **other) == {"raised": "dbos._error.DBOSConflictingWorkflowError"}


def test_a_deduplication_id_is_held_against_the_other_client(
    database: Database, first_and_second: tuple[Enqueue, Enqueue]
) -> None:
    first, second = first_and_second
    key = f"key-{first.__name__}"
    holder = first(workflow_name="once", deduplication_id=key)
    refused = second(workflow_name="once", deduplication_id=key, workflow_id=f"refused-{key}")
    assert refused == {"raised": "dbos._error.DBOSQueueDeduplicatedError"}
    attached = second(workflow_name="once", deduplication_id=key, duplication_policy="return-existing")
    assert attached == holder
    assert _inputs(database, f"refused-{key}") == []
    held = database.rows("SELECT 1 FROM dbos.workflow_status WHERE deduplication_id = %s", key)
    assert len(held) == 1


def _inputs(database: Database, workflow_id: str) -> list[dict[str, Any]]:
    return database.rows("SELECT * FROM dbos.workflow_input WHERE workflow_uuid = %s", workflow_id)
