"""Either client enqueues to either worker, and both read the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dbos import DBOSClient, EnqueueOptions, WorkflowStatus
from integration.interoperability.parties import (
    Database,
    OfficialClient,
    official_worker,
    our_outcome,
    our_worker,
)

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
        if not str(ours.get("raised")).startswith("dbos."):  # each runtime has its own sentences
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
        ("jam", [], "builtins.Exception", "UnpicklableError: it jams"),
    ],
)
def test_exceptions_come_back_to_both_clients_as_their_class(
    enqueue: Enqueue, read_by_both: Read, name: str, args: list[Any], raised: str, text: str
) -> None:
    outcome = read_by_both(enqueue(name, *args))
    assert outcome["raised"] == raised
    assert text in outcome["text"]


def test_both_clients_tell_the_same_of_a_workflow_that_the_other_party_ran(
    enqueue: Enqueue, database: Database, official: OfficialClient, client: DBOSClient
) -> None:
    workflow_id = enqueue("greet", "status", times=2)
    official.outcome(database.url, workflow_id)
    attributes = sorted(WorkflowStatus.__annotations__)
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
