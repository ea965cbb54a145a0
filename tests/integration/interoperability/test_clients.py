"""Either client, or plain SQL, enqueues to either worker, and both clients read the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dbos import DBOSClient, EnqueueOptions, PortableWorkflowError, WorkflowStatus
from integration.interoperability.parties import (
    ENDED,
    POLL_SECONDS,
    Database,
    OfficialClient,
    official_worker,
    our_outcome,
    our_worker,
)
from integration.interoperability.records import comparable_workflow

Enqueue = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def workers(database: Database, official: OfficialClient) -> Iterator[None]:
    """A worker of each kind, each with a queue and an application of its own."""
    for kind in ("ours", "theirs"):
        official.register_queue(database.url, f"{kind}-queue", application=f"{kind}-app")
    with ExitStack() as stack:
        stack.enter_context(our_worker(database.url, APP="ours-app"))
        stack.enter_context(official_worker(database.url, APP="theirs-app"))
        for kind in ("ours", "theirs"):
            database.wait_for_application(f"{kind}-app")
        yield


@pytest.fixture(params=["official client, our worker", "our client, official worker"])
def enqueue(
    request: pytest.FixtureRequest, database: Database, official: OfficialClient, client: DBOSClient
) -> Enqueue:
    """Enqueue by one party's client to the other's worker; the workflow's ID."""

    def by_official(name: str, *args: Any, **kwargs: Any) -> str:
        return official.enqueue(database.url, {"workflow_name": name, "queue_name": "ours-queue"}, *args, **kwargs)

    def by_ours(name: str, *args: Any, **kwargs: Any) -> str:
        options: EnqueueOptions = {"workflow_name": name, "queue_name": "theirs-queue"}
        return client.enqueue(options, *args, **kwargs).workflow_id

    return by_official if request.param.startswith("official") else by_ours


@pytest.fixture
def read_by_both(database: Database, official: OfficialClient, client: DBOSClient) -> Callable[[str], dict[str, Any]]:
    """The outcome of a workflow, which both clients tell alike."""

    def read(workflow_id: str) -> dict[str, Any]:
        ours, theirs = our_outcome(client, workflow_id), official.outcome(database.url, workflow_id)
        assert ours.get("value") == theirs.get("value")
        assert ours.get("raised") == theirs.get("raised")
        if not str(ours.get("raised")).startswith("dbos._error."):  # each runtime has its own sentences
            assert ours.get("text") == theirs.get("text")
        return ours

    return read


Read = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "value"),
    [
        ("greet", ["ada"], {}, "ADA"),
        ("greet", ["ada"], {"times": 3}, "ADA ada ada"),
        (
            "echo",
            [1, None, "ü", [1.5]],
            {"deep": {"er": [True]}},
            {"args": [1, None, "ü", [1.5]], "kwargs": {"deep": {"er": [True]}}},
        ),
        ("echo", [], {}, {"args": [], "kwargs": {}}),
        ("whisper", ["A", "B", "C"], {}, ["a", "b", "c"]),
        ("<temp>.loud", ["step"], {}, "STEP"),
    ],
)
def test_results_come_back_to_both_clients(
    enqueue: Enqueue, read_by_both: Read, name: str, args: list[Any], kwargs: dict[str, Any], value: Any
) -> None:
    assert read_by_both(enqueue(name, *args, **kwargs)) == {"value": value}


@pytest.mark.parametrize(
    ("name", "args", "raised", "text"),
    [
        ("refuse", ["no"], "failures.RefusedError", "('no', 7)"),
        ("misread", [], "builtins.KeyError", "'nokey'"),
        ("exhaust", [], "dbos._error.DBOSMaxStepRetriesExceeded", ""),
    ],
)
def test_exceptions_come_back_to_both_clients_as_their_class(
    enqueue: Enqueue, read_by_both: Read, name: str, args: list[Any], raised: str, text: str
) -> None:
    outcome = read_by_both(enqueue(name, *args))
    assert outcome["raised"] == raised
    assert text in outcome["text"]


def test_an_exception_that_cannot_be_pickled_keeps_its_type_where_our_worker_stored_it(
    request: pytest.FixtureRequest, enqueue: Enqueue, read_by_both: Read
) -> None:
    outcome = read_by_both(enqueue("jam"))
    ours = "our worker" in request.node.name
    assert outcome["raised"] == ("failures.UnpicklableError" if ours else "builtins.Exception")
    assert outcome["text"] == ("it jams" if ours else "UnpicklableError: it jams")


def test_both_clients_tell_the_same_of_a_workflow_that_the_other_party_ran(
    enqueue: Enqueue, database: Database, official: OfficialClient, client: DBOSClient
) -> None:
    workflow_id = enqueue("greet", "status", times=2)
    official.outcome(database.url, workflow_id)
    attributes = sorted(WorkflowStatus.__annotations__.keys() - {"undispatchable"})  # which the other does not have
    theirs = official.call(
        database.url,
        "{name: getattr(client.list_workflows(workflow_ids=[id_])[0], name) for name in attributes}",
        id_=workflow_id,
        attributes=attributes,
    )
    (status,) = client.list_workflows(workflow_ids=[workflow_id])
    ours = {name: getattr(status, name) for name in attributes}
    ours["input"]["args"] = list(ours["input"]["args"])  # theirs came as JSON
    assert ours == theirs
    assert (ours["status"], ours["output"]) == ("SUCCESS", "STATUS status")


PORTABLE = [
    ("greet", ["ada"], {"times": 2}),
    ("echo", [1, None, "ü", [True, 1.5]], {"deep": {"er": []}}),
    ("echo", [], {}),
    ("whisper", ["A", "B"], {}),
    ("exotic", ["2026-01-31", "2026-01-31T12:30:00.250Z"], {"plain": "2026-01-31"}),
    ("unportable", [], {}),
    ("refuse", ["no"], {}),
    ("misread", [], {}),
    ("exhaust", [], {}),
    ("greet", [], {"nobody": 1}),
]
OWN_SENTENCES = {"unportable", "exhaust"}
"""Where the message is the runtime's, and each has its own."""


@pytest.mark.parametrize(
    ("name", "args", "kwargs"), PORTABLE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_plain_sql_enqueues_and_portable_results_come_back(
    database: Database, read_by_both: Read, name: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    stored, outcomes = [], []
    for kind in ("ours", "theirs"):
        statement = """SELECT dbos.enqueue_workflow(%s, %s, %s::json[], %s::json) AS id"""
        positional = [json.dumps(value) for value in args]
        (row,) = database.rows(statement, name, f"{kind}-queue", positional, json.dumps(kwargs))
        outcomes.append(read_by_both(row["id"]))
        stored.append(_portable_records(database, row["id"]))
    if name in OWN_SENTENCES:
        for outcome, record in zip(outcomes, stored, strict=True):
            outcome["text"] = record["error"] = json.loads(record["error"])["name"]
    assert outcomes[0] == outcomes[1]
    assert stored[0] == stored[1]
    assert stored[0]["serialization"] == "portable_json"


def test_a_portable_error_tells_name_message_code_and_data(database: Database, client: DBOSClient) -> None:
    statement = """SELECT dbos.enqueue_workflow('refuse', 'ours-queue', ARRAY['"sql"']::json[]) AS id"""
    (row,) = database.rows(statement)
    with pytest.raises(PortableWorkflowError) as caught:
        client.retrieve_workflow(row["id"]).get_result(polling_interval_sec=POLL_SECONDS)
    assert (caught.value.name, caught.value.message, caught.value.code, caught.value.data) == (
        "RefusedError",
        "('sql', 7)",
        7,
        {"reason": "sql"},
    )


def test_dead_letters_and_missed_deadlines_leave_the_same_rows(database: Database, client: DBOSClient) -> None:
    """Both are rare, so both runtimes had better agree."""
    rows: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
    for kind, left in rows.items():
        dead = client.enqueue(
            {
                "workflow_name": "sign",
                "queue_name": f"{kind}-queue",
                "app_version": "not yet",
                "deduplication_id": kind,
                "delay_seconds": 0.1,
            }
        )
        database.execute(
            "UPDATE dbos.workflow_status SET recovery_attempts = 101, application_version = NULL"
            " WHERE workflow_uuid = %s",
            dead.workflow_id,
        )
        timed = client.enqueue(
            {"workflow_name": "pass_gate", "queue_name": f"{kind}-queue", "workflow_timeout": 0.3}, "shut"
        )
        for handle, status in ((dead, "MAX_RECOVERY_ATTEMPTS_EXCEEDED"), (timed, "CANCELLED")):
            row = database.wait_for_status(handle.workflow_id, *ENDED)
            assert row["status"] == status
            left.append(comparable_workflow({**row, **dict.fromkeys(_NAMES)}))
    database.open_gate("shut")
    assert rows["ours"] == rows["theirs"]


_NAMES = ("workflow_uuid", "application_name", "application_version", "executor_id")
"""What tells the two workers apart."""


def _portable_records(database: Database, workflow_id: str) -> dict[str, Any]:
    """What is stored of a workflow, as text."""
    row = database.workflow(workflow_id)
    (payload,) = database.rows("SELECT output, error FROM dbos.workflow_output WHERE workflow_uuid = %s", workflow_id)
    steps = database.rows(
        "SELECT function_id, function_name, output, error IS NULL AS fine, serialization"
        "  FROM dbos.operation_outputs WHERE workflow_uuid = %s ORDER BY function_id",
        workflow_id,
    )
    columns = ("status", "serialization", "recovery_attempts", "attributes", "authenticated_roles")
    return {**{column: row[column] for column in columns}, **payload, "steps": steps}
