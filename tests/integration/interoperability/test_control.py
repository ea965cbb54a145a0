"""What the published package's client does to the workflows of our worker, and what our worker leaves alone."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dbos import DBOSClient
from dbos.error import DBOSAwaitedWorkflowCancelledError
from integration.interoperability.parties import (
    POLL_SECONDS,
    Database,
    OfficialClient,
    our_outcome,
    our_worker,
    stopped,
)
from support.waiting import eventually

APPLICATION = "control"
CANCELLED = "dbos._error.DBOSAwaitedWorkflowCancelledError"


@pytest.fixture(scope="module", autouse=True)
def worker(database: Database, official: OfficialClient) -> Iterator[subprocess.Popen[str]]:
    """One worker of ours."""
    official.register_queue(database.url, "work", application=APPLICATION)
    official.register_queue(database.url, "one", application=APPLICATION, global_concurrency=1)
    with our_worker(database.url, APP=APPLICATION, DBOS__APPVERSION="v1", DBOS__VMID="worker") as process:
        database.wait_for_application(APPLICATION)
        yield process


@pytest.fixture
def enqueue(database: Database, official: OfficialClient) -> Any:
    """Enqueue by the published package's client; the ID."""

    def put(name: str, *args: Any, queue: str = "work", **options: Any) -> str:
        return official.enqueue(database.url, {"workflow_name": name, "queue_name": queue, **options}, *args)

    return put


def test_a_cancelled_workflow_stops_at_its_next_step_and_can_be_resumed(
    database: Database, official: OfficialClient, client: DBOSClient, enqueue: Any
) -> None:
    workflow_id = enqueue("pass_gate", "cancelled")
    database.wait_for_note(workflow_id, "entered")
    awaited: list[Exception] = []

    def await_result() -> None:
        try:
            client.retrieve_workflow(workflow_id).get_result(polling_interval_sec=POLL_SECONDS)
        except Exception as error:  # noqa: BLE001 -- what the waiter gets is the point
            awaited.append(error)

    waiter = threading.Thread(target=await_result)
    waiter.start()
    official.call(database.url, "client.cancel_workflow(id)", id=workflow_id)
    waiter.join(timeout=60)
    assert [type(error) for error in awaited] == [DBOSAwaitedWorkflowCancelledError]
    row = database.workflow(workflow_id)
    assert (row["status"], row["queue_name"], row["owner_xid"]) == ("CANCELLED", None, None)

    database.open_gate("cancelled")
    after = enqueue("pass_gate", "cancelled")  # ends after the cancelled one had every chance to go on
    assert official.outcome(database.url, after) == {"value": "CANCELLED:cancelled:cancelled"}
    assert database.workflow(workflow_id) == row
    assert database.notes(workflow_id) == ["shouted", "entered"]
    assert official.outcome(database.url, workflow_id)["raised"] == CANCELLED
    assert our_outcome(client, workflow_id)["raised"] == CANCELLED

    official.call(database.url, "client.resume_workflow(id) and None", id=workflow_id)
    assert our_outcome(client, workflow_id) == official.outcome(database.url, workflow_id)
    row = database.workflow(workflow_id)
    assert (row["status"], row["recovery_attempts"], row["executor_id"]) == ("SUCCESS", 1, "worker")
    assert database.notes(workflow_id) == ["shouted", "entered", "entered", "left"]


def test_resuming_a_running_workflow_moves_it_and_its_first_execution_records_nothing(
    database: Database, official: OfficialClient, client: DBOSClient, enqueue: Any
) -> None:
    workflow_id = enqueue("pass_gate", "moved")
    database.wait_for_note(workflow_id, "entered")
    first = database.workflow(workflow_id)["owner_xid"]
    official.call(database.url, "client.resume_workflow(id) and None", id=workflow_id)
    eventually(
        lambda: database.notes(workflow_id),
        lambda notes: notes == ["shouted", "entered", "entered"],
        what="second execution",
    )
    assert database.workflow(workflow_id)["owner_xid"] not in {first, None}
    database.open_gate("moved")
    assert our_outcome(client, workflow_id) == {"value": "MOVED:moved:moved"}
    assert database.notes(workflow_id) == ["shouted", "entered", "entered", "left"]


def test_the_outcome_of_an_execution_that_was_overtaken_is_not_recorded(
    database: Database, official: OfficialClient, client: DBOSClient, enqueue: Any
) -> None:
    workflow_id = enqueue("hold", "overtaken")
    database.wait_for_note(workflow_id, "held")
    official.call(database.url, "client.resume_workflow(id) and None", id=workflow_id)
    eventually(lambda: database.notes(workflow_id), lambda notes: notes == ["held"] * 2, what="second execution")
    database.open_gate("overtaken-1")
    database.wait_for_note(workflow_id, "ends 1")
    assert our_outcome(client, enqueue("sign")) == {"value": "ours"}  # by then the first has tried
    assert database.workflow(workflow_id)["status"] == "PENDING"
    database.open_gate("overtaken-2")
    assert our_outcome(client, workflow_id) == official.outcome(database.url, workflow_id) == {"value": 2}


def test_a_timeout_of_the_client_cancels_the_running_workflow(
    database: Database, official: OfficialClient, client: DBOSClient, enqueue: Any
) -> None:
    workflow_id = enqueue("pass_gate", "timed", workflow_timeout=4)  # time enough to reach the gate
    row = database.wait_for_status(workflow_id, "CANCELLED")
    assert row["workflow_timeout_ms"] == 4000
    assert 0 <= row["completed_at"] - row["workflow_deadline_epoch_ms"] < 20_000
    assert (row["queue_name"], row["owner_xid"], row["started_at_epoch_ms"]) == (None, None, None)
    database.open_gate("timed")
    assert official.outcome(database.url, workflow_id)["raised"] == CANCELLED
    assert our_outcome(client, workflow_id)["raised"] == CANCELLED
    assert database.notes(workflow_id) == ["shouted", "entered"]


def test_a_delayed_workflow_runs_after_its_delay(database: Database, client: DBOSClient, enqueue: Any) -> None:
    workflow_id = enqueue("sign", delay_seconds=5)  # time enough to see it wait
    assert database.workflow(workflow_id)["status"] == "DELAYED"
    assert our_outcome(client, workflow_id) == {"value": "ours"}
    row = database.workflow(workflow_id)
    assert row["delay_until_epoch_ms"] - row["created_at"] == pytest.approx(5000, abs=4000)
    assert 0 <= row["started_at_epoch_ms"] - row["delay_until_epoch_ms"] < 20_000


@pytest.mark.parametrize("options", [{}, {"app_version": "v1", "priority": 1}, {"class_name": "Class"}])
def test_a_workflow_without_a_function_goes_back_and_others_proceed(
    database: Database,
    worker: subprocess.Popen[str],
    client: DBOSClient,
    enqueue: Any,
    options: dict[str, Any],
) -> None:
    name = "echo" if "class_name" in options else f"unknown {options}"
    with stopped([worker]):  # else it could claim the row before we look
        stranger = enqueue(name, queue="one", **options)
        before = database.workflow(stranger)
    row = eventually(
        lambda: database.workflow(stranger),
        lambda row: row["updated_at"] > before["updated_at"] and row["status"] == "ENQUEUED",
        what="a workflow that was put back",
    )
    assert {**row, "updated_at": 0} == {**before, "updated_at": 0}
    for known in (enqueue("sign", queue="one"), enqueue("echo", queue="one")):
        assert "value" in our_outcome(client, known)
        row = database.workflow(known)
        assert row["started_at_epoch_ms"] - row["created_at"] < 20_000
    assert database.workflow(stranger)["recovery_attempts"] == 0
    database.execute("DELETE FROM dbos.workflow_status WHERE workflow_uuid = %s", stranger)


@pytest.mark.parametrize(
    ("serialization", "inputs"),
    [
        ("py_pickle", "not base64!"),
        ("py_pickle", "aGVsbG8="),
        (None, "aGVsbG8="),
        ("portable_json", "{oops"),
        ("portable_json", "[1]"),
        ("portable_json", '{"positionalArgs": 5}'),
        ("js_superjson", '{"json": []}'),
        ("py_pickle", None),
    ],
)
def test_arguments_that_cannot_be_read_end_in_a_visible_error(
    database: Database,
    official: OfficialClient,
    client: DBOSClient,
    enqueue: Any,
    serialization: str | None,
    inputs: str | None,
) -> None:
    workflow_id = enqueue("echo", queue="one", app_version="not yet")
    database.execute("UPDATE dbos.workflow_input SET inputs = %s WHERE workflow_uuid = %s", inputs, workflow_id)
    database.execute(
        "UPDATE dbos.workflow_status SET serialization = %s, application_version = NULL WHERE workflow_uuid = %s",
        serialization,
        workflow_id,
    )
    row = database.wait_for_status(workflow_id, "ERROR")
    assert (row["recovery_attempts"], row["owner_xid"], row["serialization"]) == (1, None, serialization)
    ours, theirs = our_outcome(client, workflow_id), official.outcome(database.url, workflow_id)
    if serialization == "js_superjson":  # no Python process reads it, but each tells why
        assert "js_superjson" in ours["text"]
        assert "js_superjson" in theirs["text"]
    else:
        assert ours == theirs
    listed = official.call(database.url, "str(client.list_workflows(workflow_ids=[id_])[0].error)", id_=workflow_id)
    assert listed not in {"", "None"}


def test_rows_of_another_application_and_of_other_versions_stay_untouched(
    database: Database, official: OfficialClient, client: DBOSClient, enqueue: Any
) -> None:
    strangers = [
        enqueue("sign", application_name="somebody-else"),
        enqueue("sign", application_name="somebody-else", app_version="v1"),
        enqueue("sign", app_version="v2"),
        enqueue("sign", application_name=APPLICATION, app_version="v2"),
    ]
    before = [database.workflow(stranger) for stranger in strangers]
    own = enqueue("sign", application_name=APPLICATION)  # younger, so it is claimed after all that may be
    assert our_outcome(client, own) == {"value": "ours"}
    assert [database.workflow(stranger) for stranger in strangers] == before


def test_rows_without_a_version_go_to_the_latest_version_only(
    database: Database, official: OfficialClient, client: DBOSClient, enqueue: Any
) -> None:
    database.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, application_name) VALUES ('2', 'v2', %s)",
        APPLICATION,
    )
    unversioned, pinned = enqueue("sign"), enqueue("sign", app_version="v1")
    assert our_outcome(client, pinned) == {"value": "ours"}
    row = database.workflow(unversioned)
    assert (row["status"], row["application_version"], row["updated_at"]) == ("ENQUEUED", None, row["created_at"])
    text = "client.set_latest_application_version('v1')"
    official.call(database.url, text, application=APPLICATION)
    assert our_outcome(client, unversioned) == {"value": "ours"}
    assert database.workflow(unversioned)["application_version"] == "v1"
