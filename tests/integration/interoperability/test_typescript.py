"""The published SDK for TypeScript on our database: values, errors, messages, events and streams, both ways."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, EnqueueOptions, PortableWorkflowError, Queue, WorkflowSerializationFormat
from integration.interoperability.parties import PROGRAMS, Database
from support.typescript_sdk import node, sdk, start_typescript

PORTABLE = WorkflowSerializationFormat.PORTABLE
VALUES = [
    None,
    True,
    0,
    -17,
    2**53 - 1,
    1.5,
    "",
    "ünïcödé ✓ \U0001f600",
    'quotes " and \\ and \n',
    [],
    [1, [2, [None]]],
    {},
    {"a": {"b": [1, {"c": None}]}, "ключ": "значение"},
]


class Typescript:
    """The other party: one call at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, name: str, **given: Any) -> Any:
        """The answer to a call."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": name, **given}) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """The next line; AssertionError when the process ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the party ended with {self._process.wait(30)}"
        return json.loads(line)


@pytest.fixture(scope="module")
def typescript(database: Database) -> Iterator[Typescript]:
    """A process with a worker and a client of the SDK for TypeScript."""
    with start_typescript(PROGRAMS / "typescript_party.js", env={"URL": database.url}) as process:
        watchdog = threading.Timer(400, process.kill)  # a party that hangs ends, and with it what waits for its answer
        watchdog.start()
        try:
            party = Typescript(process)
            assert party.answer() == "ready"
            yield party
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture(scope="module", autouse=True)
def _worker(database: Database) -> Iterator[None]:
    """Our worker, in this process."""
    DBOS(
        config={
            "name": "python-app",
            "system_database_url": database.url,
            "application_version": "py-1",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    Queue("python-queue")

    @DBOS.workflow(name="echo", serialization_type=PORTABLE)
    def echo(*values: object, **named: object) -> object:
        return {"values": list(values), "named": named}

    @DBOS.workflow(name="fail")
    def fail(message: str) -> None:
        raise PortableWorkflowError(message, "OutOfStock", "E42", {"left": [1, None]})

    @DBOS.workflow(name="fail_plainly")
    def fail_plainly(message: str) -> None:
        raise KeyError(message)

    @DBOS.workflow(name="converse")
    def converse(count: int) -> list[object]:
        heard = []
        for _ in range(count):
            message = DBOS.recv("questions", 60)
            heard.append(message)
            DBOS.set_event("last", message)
            DBOS.write_stream("heard", message)
        DBOS.close_stream("heard")
        return heard

    DBOS.launch()
    yield
    DBOS.destroy(destroy_registry=True)


@pytest.fixture(scope="module")
def client(database: Database) -> Iterator[DBOSClient]:
    """Our client, for the application of the other party."""
    with DBOSClient(system_database_url=database.url, application_name="typescript-app") as client:
        yield client


def to_typescript(name: str) -> EnqueueOptions:
    return {"workflow_name": name, "queue_name": "typescript-queue", "serialization_type": PORTABLE}


def to_python(name: str) -> dict[str, str]:
    return {"workflowName": name, "queueName": "python-queue"}


def test_values_of_ours_reach_their_worker_and_come_back(typescript: Typescript, client: DBOSClient) -> None:
    handle = client.enqueue(to_typescript("echo"), *VALUES)
    assert handle.get_result() == VALUES
    assert typescript.call("result", id=handle.workflow_id) == {"value": VALUES}
    [status] = client.list_workflows(workflow_ids=[handle.workflow_id])
    assert (status.executor_id, status.app_version, status.output) == ("typescript", "ts-1", VALUES)


def test_values_of_theirs_reach_our_worker_and_come_back(typescript: Typescript) -> None:
    named = {"größe": 3, "empty": None}
    workflow_id = typescript.call("enqueue", options=to_python("echo"), positional=VALUES, named=named)
    told = {"values": VALUES, "named": named}
    assert DBOS.retrieve_workflow(workflow_id).get_result() == told
    assert typescript.call("result", id=workflow_id) == {"value": told}


def test_errors_of_theirs_are_told_with_name_code_and_data(typescript: Typescript, client: DBOSClient) -> None:
    handle = client.enqueue(to_typescript("fail"), "nothing left")
    with pytest.raises(PortableWorkflowError, match="nothing left") as raised:
        handle.get_result()
    assert (raised.value.name, raised.value.code, raised.value.data) == ("OutOfStock", "E42", {"left": [1, None]})

    handle = client.enqueue(to_typescript("failPlainly"), "no number")
    with pytest.raises(PortableWorkflowError, match="no number") as raised:
        handle.get_result()
    assert raised.value.name == "TypeError"


def test_errors_of_ours_are_told_with_name_code_and_data(typescript: Typescript) -> None:
    # The name is that of the class, as the published package for Python stores it: here too.
    failed = typescript.call("enqueue", options=to_python("fail"), positional=["nothing left"])
    assert typescript.call("result", id=failed) == {
        "error": {
            "name": "PortableWorkflowError",
            "message": "nothing left",
            "code": "E42",
            "data": {"left": [1, None]},
        }
    }

    failed = typescript.call("enqueue", options=to_python("fail_plainly"), positional=["x"])
    assert typescript.call("result", id=failed) == {
        "error": {"name": "KeyError", "message": "'x'", "code": None, "data": None}
    }


def test_messages_of_ours_are_received_and_their_events_and_streams_are_read(
    typescript: Typescript, client: DBOSClient
) -> None:
    handle = client.enqueue(to_typescript("converse"), len(VALUES))
    for value in VALUES:
        client.send(handle.workflow_id, value, "questions", serialization_type=PORTABLE)
    assert handle.get_result() == VALUES
    assert client.get_event(handle.workflow_id, "last") == VALUES[-1]
    assert list(client.read_stream(handle.workflow_id, "heard")) == VALUES


def test_messages_of_theirs_are_received_and_our_events_and_streams_are_read(typescript: Typescript) -> None:
    workflow_id = typescript.call("enqueue", options=to_python("converse"), positional=[len(VALUES)])
    for value in VALUES:
        typescript.call("send", id=workflow_id, message=value, topic="questions")
    assert typescript.call("result", id=workflow_id) == {"value": VALUES}
    assert typescript.call("event", id=workflow_id, key="last") == VALUES[-1]
    assert typescript.call("stream", id=workflow_id, key="heard") == VALUES


def test_the_schema_that_we_made_is_one_that_they_take_as_it_is(database: Database, typescript: Typescript) -> None:
    assert database.rows("SELECT version FROM dbos.dbos_migrations") == [{"version": 125}]
    assert (sdk() / "node_modules" / "@dbos-inc" / "dbos-sdk").is_dir()
    assert node().exists()
