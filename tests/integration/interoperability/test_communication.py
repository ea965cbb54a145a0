"""Either party's workflows and clients tell each other things, and wait for each other's without polling."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
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

PARTIES = ("ours", "theirs")


@pytest.fixture(scope="module", autouse=True)
def workers(database: Database, official: OfficialClient) -> Iterator[None]:
    """A worker of each kind, each with a queue and an application of its own."""
    for kind in PARTIES:
        official.register_queue(database.url, f"{kind}-queue", application=f"{kind}-app")
    with ExitStack() as stack:
        stack.enter_context(our_worker(database.url, "talk.py", APP="ours-app"))
        stack.enter_context(official_worker(database.url, "talk", APP="theirs-app"))
        for kind in PARTIES:
            database.wait_for_application(f"{kind}-app")
        yield


class Party:
    """One kind of worker, and the client of the other kind that talks to it."""

    def __init__(self, kind: str, database: Database, official: OfficialClient, client: DBOSClient) -> None:
        self.kind = kind
        self._url, self._official, self._client = database.url, official, client

    def enqueue(self, name: str, *args: Any) -> str:
        """Have the worker run something; its ID, once it runs."""
        options: Any = {"workflow_name": name, "queue_name": f"{self.kind}-queue"}
        workflow_id = self._client.enqueue(options, *args).workflow_id
        assert self.call("get_event", workflow_id, "ready", 60) == self.kind
        return workflow_id

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A call of the other party's client."""
        if self.kind == "theirs":
            value = getattr(self._client, name)(*args, **kwargs)
            return list(value) if name == "read_stream" else value
        text = f"client.{name}(*args, **kwargs)"
        expression = f"list({text})" if name == "read_stream" else text
        return self._official.call(self._url, expression, args=args, kwargs=kwargs)

    def result(self, workflow_id: str) -> Any:
        """The result, which both clients tell alike."""
        ours = our_outcome(self._client, workflow_id)
        assert self._official.outcome(self._url, workflow_id)["value"] == ours["value"]
        return ours["value"]


@pytest.fixture(params=PARTIES)
def party(request: pytest.FixtureRequest, database: Database, official: OfficialClient, client: DBOSClient) -> Party:
    """Each worker with the other party's client."""
    return Party(request.param, database, official, client)


@pytest.fixture
def parties(database: Database, official: OfficialClient, client: DBOSClient) -> dict[str, Party]:
    """Both."""
    return {kind: Party(kind, database, official, client) for kind in PARTIES}


@pytest.mark.parametrize("name", ["hear", "hear_async"])
def test_a_workflow_hears_the_other_partys_client_in_order(party: Party, name: str) -> None:
    workflow_id = party.enqueue(name, 4)
    messages: list[Any] = [1, {"deep": [None, "ü"]}, "three"]
    for message in messages:
        party.call("send", workflow_id, message)
    party.call("send", workflow_id, "once", None, "key")
    party.call("send", workflow_id, "once", None, "key")
    assert party.result(workflow_id) == [*messages, "once"]


def test_events_and_streams_reach_the_other_partys_client(party: Party) -> None:
    workflow_id = party.enqueue("hear", 2, "topic")
    assert party.call("get_event", workflow_id, "heard-0", 0) is None
    party.call("send", workflow_id, "first", "topic")
    assert party.call("get_event", workflow_id, "heard-0", 30) == "first"
    assert party.call("read_stream_offset", workflow_id, "heard", 0, timeout_seconds=30) == "first"
    party.call("send", workflow_id, "second", "topic")
    assert party.call("read_stream", workflow_id, "heard") == ["first", "second"]
    assert party.result(workflow_id) == ["first", "second"]


@pytest.mark.parametrize(("speaker", "follower"), [("ours", "theirs"), ("theirs", "ours")])
def test_workflows_of_both_parties_follow_each_other(parties: dict[str, Party], speaker: str, follower: str) -> None:
    talking = parties[speaker].enqueue("hear", 2)
    following = parties[follower].enqueue("follow", talking)
    began = time.monotonic()
    parties[speaker].call("send", talking, "begin")
    assert parties[speaker].result(talking) == ["begin", ["followed", "begin"]]
    assert parties[follower].result(following) == ["begin", ["begin", ["followed", "begin"]]]
    assert time.monotonic() - began < 45  # an event that is not announced is found after a minute


def test_plain_sql_is_heard_by_both(party: Party, database: Database) -> None:
    workflow_id = party.enqueue("hear", 2)
    statement = "SELECT dbos.send_message(%s, %s::json, NULL, %s)"
    database.execute(statement, workflow_id, '{"by" : ["SQL", null]}', f"{workflow_id}-1")
    database.execute(statement, workflow_id, '"twice"', f"{workflow_id}-1")
    database.execute(statement, workflow_id, '"again"', f"{workflow_id}-2")
    assert party.result(workflow_id) == [{"by": ["SQL", None]}, "again"]


@pytest.mark.parametrize(("first", "second"), [("ours", "theirs"), ("theirs", "ours")])
def test_waits_that_one_party_began_are_ended_by_the_other(
    database: Database, official: OfficialClient, client: DBOSClient, first: str, second: str
) -> None:
    queue, application = f"stages-{first}", f"stages-{first}"
    official.register_queue(database.url, queue, application=application)
    variables = {"APP": application, "VERSION": application, "EXECUTOR": f"executor-{first}"}
    start = {"ours": lambda: our_worker(database.url, "talk.py", **variables)}
    start["theirs"] = lambda: official_worker(database.url, "talk", **variables)
    options: Any = {"workflow_name": "stages", "queue_name": queue, "app_version": application}
    with start[first]() as process:
        workflow_id = client.enqueue(options).workflow_id
        database.wait_for_note(workflow_id, "begun")
        client.send(workflow_id, "one", "first")
        assert client.read_stream_offset(workflow_id, "stages", 1, timeout_seconds=30) == "one"
        process.kill()
        process.wait(timeout=10)
    assert database.workflow(workflow_id)["status"] == "PENDING"
    with start[second]():
        client.send(workflow_id, "two", "second")
        expected = ["one", 1, "two", [1, "one", "two"]]
        assert our_outcome(client, workflow_id) == {"value": expected}
        assert database.notes(workflow_id) == ["begun", "first"] * 2
