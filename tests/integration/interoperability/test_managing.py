"""Our client manages the workflows of an official worker, and what either made the other takes further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dbos import DBOSClient
from integration.interoperability.parties import Database, OfficialClient, official_worker, our_outcome, our_worker

APPLICATION = "managed"
CANCELLED = "dbos._error.DBOSAwaitedWorkflowCancelledError"


@pytest.fixture(scope="module", autouse=True)
def workers(database: Database, official: OfficialClient) -> Iterator[None]:
    """A worker of each kind, each with a version and a queue of its own."""
    for kind in ("ours", "theirs"):
        official.register_queue(database.url, kind, application=APPLICATION)
    with (
        official_worker(database.url, APP=APPLICATION, DBOS__APPVERSION="theirs", DBOS__VMID="theirs"),
        our_worker(database.url, APP=APPLICATION, DBOS__APPVERSION="ours", DBOS__VMID="ours"),
    ):
        database.wait_for_application(APPLICATION)
        yield


def _enqueue(client: DBOSClient, kind: str, name: str, *args: Any, **options: Any) -> str:
    described: Any = {"workflow_name": name, "queue_name": kind, "app_version": kind, **options}
    return client.enqueue(described, *args).workflow_id


def test_our_client_cancels_and_resumes_on_their_worker(
    database: Database, official: OfficialClient, client: DBOSClient
) -> None:
    workflow_id = _enqueue(client, "theirs", "pass_gate", "managed")
    database.wait_for_note(workflow_id, "entered")
    client.cancel_workflow(workflow_id)
    assert official.outcome(database.url, workflow_id)["raised"] == CANCELLED
    database.open_gate("managed")
    client.resume_workflow(workflow_id)
    assert our_outcome(client, workflow_id) == official.outcome(database.url, workflow_id)
    row = database.workflow(workflow_id)
    assert (row["status"], row["executor_id"], row["recovery_attempts"]) == ("SUCCESS", "theirs", 1)
    assert database.notes(workflow_id).count("shouted") == 1


@pytest.mark.parametrize(("made_by", "run_by"), [("ours", "theirs"), ("theirs", "ours")])
def test_a_workflow_of_one_is_forked_and_rewound_to_the_other(
    database: Database, official: OfficialClient, client: DBOSClient, made_by: str, run_by: str
) -> None:
    gate = f"from {made_by}"
    database.open_gate(gate)
    workflow_id = _enqueue(client, made_by, "pass_gate", gate)
    expected = our_outcome(client, workflow_id)
    forked = client.fork_workflow(workflow_id, 2, application_version=run_by, queue_name=run_by).workflow_id
    assert our_outcome(client, forked) == official.outcome(database.url, forked) == expected
    assert database.notes(forked) == ["entered", "left"]
    theirs = official.call(
        database.url,
        "client.fork_workflow(id_, 3, application_version=version, queue_name=version).workflow_id",
        id_=workflow_id,
        version=run_by,
    )
    assert our_outcome(client, theirs) == expected
    assert database.notes(theirs) == ["left"]
    client.rewind_workflow(workflow_id, start_step=2, application_version=run_by, queue_name=run_by)
    assert our_outcome(client, workflow_id) == expected
    row = database.workflow(workflow_id)
    assert (row["executor_id"], row["application_version"], row["was_forked_from"]) == (run_by, run_by, True)
    assert database.notes(workflow_id) == ["shouted", "entered", "left", "entered", "left"]


def test_a_timeout_that_our_client_gives_holds_on_their_worker(database: Database, client: DBOSClient) -> None:
    workflow_id = _enqueue(client, "theirs", "pass_gate", "never", workflow_timeout=0.5)
    row = database.wait_for_status(workflow_id, "CANCELLED")
    assert row["workflow_timeout_ms"] == 500


def test_each_client_lists_the_steps_of_the_other(
    database: Database, official: OfficialClient, client: DBOSClient
) -> None:
    database.open_gate("steps")
    for kind in ("ours", "theirs"):
        workflow_id = _enqueue(client, kind, "pass_gate", "steps")
        our_outcome(client, workflow_id)
        ours = [dict(step) for step in client.list_workflow_steps(workflow_id)]
        theirs = official.call(database.url, "client.list_workflow_steps(id_)", id_=workflow_id)
        for step in theirs:
            step.pop("child_shard_key", None)
        assert ours == theirs
        assert [step["function_name"] for step in ours] == ["shout", "enter", "leave"]
    text = "client.list_workflow_steps('nowhere')"
    assert client.list_workflow_steps("nowhere") == official.call(database.url, text) == []
