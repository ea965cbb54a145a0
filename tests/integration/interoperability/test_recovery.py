"""A process takes over what a killed one of the other kind left, under the same executor ID and version."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from dbos import DBOSClient
from integration.interoperability.parties import (
    Database,
    OfficialClient,
    official_worker,
    our_outcome,
    our_worker,
)

Worker = Callable[..., AbstractContextManager[Any]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(official_worker, our_worker, id="ours recovers what the published package left"),
        pytest.param(our_worker, official_worker, id="the published package recovers what ours left"),
    ],
)
def test_steps_and_children_are_replayed_by_the_other_runtime(
    database: Database, official: OfficialClient, client: DBOSClient, first: Worker, second: Worker
) -> None:
    application = f"recovery-{first.__name__.replace('_', '-')}"
    names = {"APP": application, "DBOS__APPVERSION": f"{application}-1", "DBOS__VMID": "the-same"}
    official.register_queue(database.url, application, application=application)
    parent = official.enqueue(
        database.url,
        {"workflow_name": "family", "queue_name": application, "workflow_id": application},
        application,
    )
    children = [f"{parent}-1", f"{parent}-4"]
    with first(database.url, **names) as process:
        for child in children:
            database.wait_for_note(child, "entered")
        process.kill()
        process.wait(timeout=10)
    left = [database.workflow(workflow_id) for workflow_id in (parent, *children)]
    assert {(row["status"], row["executor_id"], row["recovery_attempts"]) for row in left} == {
        ("PENDING", "the-same", 1)
    }
    database.open_gate(application)
    with second(database.url, **names):
        outcome = our_outcome(client, parent)
    text = f"{application.upper()}:{application}:{application}"
    assert outcome == official.outcome(database.url, parent) == {"value": [text, text, "pass_gate"]}
    after = [database.workflow(workflow_id) for workflow_id in (parent, *children)]
    assert [(row["status"], row["recovery_attempts"]) for row in after] == [("SUCCESS", 2)] * 3
    assert [row["queue_name"] for row in after] == [application, *["_dbos_internal_queue"] * 2]
    assert [row["created_at"] for row in after] == [row["created_at"] for row in left]
    for child in children:
        assert database.notes(child) == ["shouted", "entered", "entered", "left"]
