"""What the admin server of a running application answers."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue, SetWorkflowID
from dbos.api.runtime import process
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

_WORKFLOW_KEYS = {
    "WorkflowUUID", "Status", "WorkflowName", "WorkflowClassName", "WorkflowConfigName", "AuthenticatedUser",
    "AssumedRole", "AuthenticatedRoles", "Input", "Output", "Error", "CreatedAt", "UpdatedAt", "QueueName",
    "ApplicationVersion", "ExecutorID", "WorkflowTimeoutMS", "WorkflowDeadlineEpochMS", "DeduplicationID",
    "Priority", "QueuePartitionKey", "ForkedFrom", "WasForkedFrom", "ParentWorkflowID", "DequeuedAt",
    "DelayUntilEpochMS", "CompletedAt", "Attributes", "ScheduleName", "ApplicationName",
}  # fmt: skip


def ask(
    method: str, path: str, body: Any = None, *, raw: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """The status of a request, and its answer."""
    assert process.application is not None
    data = raw if raw is not None or body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://{process.application.admin_address}{path}", data=data, method=method, headers=headers or {}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
            assert answer.headers["Content-Type"] == "application/json"
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


@DBOS.step(name="double")
def double(number: int) -> int:
    return number * 2


def declare() -> tuple[Callable[[int], int], Callable[[], None]]:
    @DBOS.workflow(name="doubling")
    def doubling(number: int) -> int:
        return double(number)

    @DBOS.workflow(name="failing")
    def failing() -> None:
        raise ValueError("no such order")

    return doubling, failing


@pytest.fixture
def serve(launch: Launch) -> Callable[[], None]:
    """Launch with an admin server on a free port."""
    return lambda: launch(run_admin_server=True, admin_port=0)


def run_one(doubling: Callable[[int], int], workflow_id: str = "one") -> None:
    with SetWorkflowID(workflow_id):
        DBOS.start_workflow(doubling, 3).get_result()


def test_it_lives_and_describes_the_queues(serve: Callable[[], None]) -> None:
    Queue("limited", concurrency=3, worker_concurrency=2, limiter={"limit": 5, "period": 2.0})
    Queue("plain")
    serve()

    assert ask("GET", "/dbos-healthz") == (200, "healthy")
    assert ask("GET", "/conductor") == (200, {"status": True})
    status, queues = ask("GET", "/dbos-workflow-queues-metadata")
    assert status == 200
    told = {queue["name"]: queue for queue in queues}
    limited = {"name": "limited", "concurrency": 3, "workerConcurrency": 2, "rateLimit": {"limit": 5, "period": 2.0}}
    assert told["limited"] == limited
    assert told["plain"] == {"name": "plain"}
    assert told["_dbos_internal_queue"] == {"name": "_dbos_internal_queue"}


def test_workflows_and_steps_are_shown_as_other_releases_show_them(serve: Callable[[], None]) -> None:
    doubling, failing = declare()
    serve()
    run_one(doubling)
    with SetWorkflowID("two"), pytest.raises(ValueError, match="no such order"):
        failing()

    status, one = ask("GET", "/workflows/one")
    assert status == 200
    assert set(one) == _WORKFLOW_KEYS
    assert (one["Status"], one["Input"], one["Output"]) == ("SUCCESS", "{'args': (3,), 'kwargs': {}}", "6")
    assert (one["Priority"], one["WasForkedFrom"], one["QueueName"]) == ("0", False, None)
    assert one["CreatedAt"].isdecimal()
    assert ask("GET", "/workflows/two")[1]["Error"] == "no such order"
    assert ask("GET", "/workflows/none")[0] == 404
    status, (step,) = ask("GET", "/workflows/one/steps")
    assert (status, step["function_id"], step["function_name"], step["output"]) == (200, 1, "double", "6")
    assert (step["error"], step["child_workflow_id"]) == (None, None)
    assert step["started_at_epoch_ms"].isdecimal()
    assert step["completed_at_epoch_ms"].isdecimal()


def test_listings_take_filters_and_leave_values_out_unless_asked(serve: Callable[[], None], client: DBOSClient) -> None:
    doubling, _ = declare()
    serve()
    run_one(doubling)
    run_one(doubling, "two")
    waiting = client.enqueue({"workflow_name": "doubling", "queue_name": "nobody"}, 1)

    def ids(path: str, body: Any) -> list[str]:
        status, listed = ask("POST", path, body)
        assert status == 200
        return [each["WorkflowUUID"] for each in listed]

    assert set(ids("/workflows", {})) == {"one", "two", waiting.workflow_id}
    assert ids("/workflows", {"status": "SUCCESS", "limit": 1, "sort_desc": True}) == ["two"]
    assert ids("/workflows", {"workflow_uuids": ["two", "one"], "offset": 1}) == ["two"]
    assert ids("/workflows", {"workflow_id_prefix": "on"}) == ["one"]
    assert ids("/queues", {}) == [waiting.workflow_id]
    assert ids("/queues", {"queue_name": "other"}) == []
    assert ask("POST", "/workflows", raw=b"")[0] == 200
    [bare] = ask("POST", "/workflows", {"workflow_uuids": ["one"]})[1]
    [full] = ask("POST", "/workflows", {"workflow_uuids": ["one"], "load_input": True, "load_output": True})[1]
    assert (bare["Input"], bare["Output"], full["Output"]) == (None, None, "6")


def test_workflows_are_cancelled_resumed_restarted_and_forked(serve: Callable[[], None], client: DBOSClient) -> None:
    doubling, _ = declare()
    serve()
    run_one(doubling)
    waiting = client.enqueue({"workflow_name": "doubling", "queue_name": "nobody"}, 4)

    assert ask("POST", f"/workflows/{waiting.workflow_id}/cancel") == (204, "")
    assert waiting.get_status().status == "CANCELLED"
    assert ask("POST", f"/workflows/{waiting.workflow_id}/resume") == (204, "")
    assert waiting.get_result() == 8
    status, restarted = ask("POST", "/workflows/one/restart")
    assert status == 200
    assert client.retrieve_workflow(restarted["workflow_id"]).get_result() == 6
    forked = ask("POST", "/workflows/one/fork", {"start_step": 2, "new_workflow_id": "copy"})
    assert forked == (200, {"workflow_id": "copy"})
    assert client.retrieve_workflow("copy").get_result() == 6
    assert ask("POST", "/workflows/one/fork", raw=b"")[0] == 200

    for act in ("resume", "restart", "fork"):
        status, told = ask("POST", f"/workflows/none/{act}")
        assert status == 500
        assert "none" in told["error"]
    assert ask("POST", "/workflows/none/cancel") == (204, "")


def test_an_id_may_hold_what_paths_escape(serve: Callable[[], None]) -> None:
    doubling, _ = declare()
    serve()
    run_one(doubling, "a/b ü")
    assert ask("GET", "/workflows/a%2Fb%20%C3%BC")[1]["WorkflowUUID"] == "a/b ü"
    assert len(ask("GET", "/workflows/a%2Fb%20%C3%BC/steps")[1]) == 1


def test_workflows_of_executors_that_are_gone_run_again(serve: Callable[[], None], sql: Bystander) -> None:
    doubling, _ = declare()
    serve()
    run_one(doubling)
    for workflow_id, executor in (("lost", "gone"), ("mine", "one"), ("kept", "alive")):
        sql.execute(
            "INSERT INTO dbos.workflow_status "
            "(workflow_uuid, status, name, executor_id, application_version, application_name, inputs, priority) "
            "VALUES (%s, 'PENDING', 'doubling', %s, 'v1', 'orders', "
            "(SELECT inputs FROM dbos.workflow_input WHERE workflow_uuid = 'one'), 0)",
            (workflow_id, executor),
        )

    assert ask("POST", "/dbos-workflow-recovery", ["gone", "one", "nobody"]) == (200, ["lost"])
    assert DBOS.retrieve_workflow("lost").get_result() == 6
    assert DBOS.retrieve_workflow("kept").get_status().status == "PENDING"
    assert DBOS.retrieve_workflow("mine").get_status().status == "PENDING"


def test_garbage_is_what_ended_and_only_that(serve: Callable[[], None], client: DBOSClient, sql: Bystander) -> None:
    doubling, _ = declare()
    serve()
    for number in range(5):
        run_one(doubling, f"old-{number}")
    waiting = client.enqueue({"workflow_name": "doubling", "queue_name": "nobody"}, 1)
    sql.execute("UPDATE dbos.workflow_status SET created_at = created_at - 100000")
    run_one(doubling, "new")
    cutoff = int(time.time() * 1000) - 50_000

    assert ask("POST", "/dbos-garbage-collect", {}) == (204, "")
    assert len(client.list_workflows()) == 7
    assert ask("POST", "/dbos-garbage-collect", {"cutoff_epoch_timestamp_ms": cutoff}) == (204, "")
    assert {each.workflow_id for each in client.list_workflows()} == {waiting.workflow_id, "new"}
    for table in ("workflow_output", "operation_outputs"):
        assert sql.execute(f"SELECT workflow_uuid FROM dbos.{table}").fetchall() == [{"workflow_uuid": "new"}]
    run_one(doubling, "newer")
    time.sleep(0.002)  # the threshold is a time: workflows of one millisecond stay together
    run_one(doubling, "newest")
    assert ask("POST", "/dbos-garbage-collect", {"rows_threshold": 1}) == (204, "")
    assert {each.workflow_id for each in client.list_workflows()} == {waiting.workflow_id, "newest"}


def test_what_is_active_for_too_long_is_cancelled(serve: Callable[[], None], client: DBOSClient) -> None:
    doubling, _ = declare()
    begun = threading.Event()

    @DBOS.workflow(name="sleeping")
    def sleeping() -> None:
        begun.set()
        DBOS.sleep(600)

    serve()
    run_one(doubling)
    running = DBOS.start_workflow(sleeping)
    waiting = client.enqueue({"workflow_name": "doubling", "queue_name": "nobody"}, 1)
    assert begun.wait(30)

    assert ask("POST", "/dbos-global-timeout", {"cutoff_epoch_timestamp_ms": 1}) == (204, "")
    assert waiting.get_status().status == "ENQUEUED"
    later = int(time.time() * 1000) + 10_000
    assert ask("POST", "/dbos-global-timeout", {"cutoff_epoch_timestamp_ms": later}) == (204, "")
    assert (running.get_status().status, waiting.get_status().status) == ("CANCELLED", "CANCELLED")
    assert client.retrieve_workflow("one").get_status().status == "SUCCESS"


def test_deactivating_stops_schedules_and_leaves_queues(serve: Callable[[], None], client: DBOSClient) -> None:
    declare()
    Queue("work")
    serve()
    assert ask("GET", "/deactivate") == (200, "deactivated")
    assert ask("GET", "/deactivate") == (200, "deactivated")
    handle = client.enqueue({"workflow_name": "doubling", "queue_name": "work"}, 2)
    assert eventually(lambda: handle.get_status().status, lambda status: status == "SUCCESS")


@pytest.mark.parametrize(
    ("path", "raw", "told"),
    [
        ("/workflows", b"nope", "Invalid JSON input"),
        ("/workflows", b"[]", "expected a JSON object"),
        ("/workflows", b'{"limit": "x"}', "limit: expected a whole number"),
        ("/workflows", b'{"limit": -1}', "limit: expected a whole number, at least 0"),
        ("/workflows", b'{"status": [1]}', "status: expected text"),
        ("/workflows", b'{"workflow_uuids": "one"}', "workflow_uuids: expected a list"),
        ("/workflows", b'{"sort_desc": 1}', "sort_desc: expected true or false"),
        ("/workflows", b'{"start_time": "noon"}', "start_time: expected ISO 8601"),
        ("/dbos-workflow-recovery", b'{"a": 1}', "expected an array of executor IDs"),
        ("/dbos-garbage-collect", b'{"rows_threshold": 0}', "rows_threshold: expected a whole number, at least 1"),
        ("/dbos-garbage-collect", b"", "Invalid JSON input"),
        ("/dbos-global-timeout", b"{}", "cutoff_epoch_timestamp_ms: expected epoch milliseconds"),
        ("/workflows/one/fork", b'{"start_step": "2"}', "start_step: expected a whole number"),
        ("/workflows/one/fork", b'{"new_workflow_id": 2}', "new_workflow_id: expected text"),
    ],
)
def test_a_body_that_cannot_be_used_is_named(serve: Callable[[], None], path: str, raw: bytes, told: str) -> None:
    serve()
    status, answer = ask("POST", path, raw=raw)
    assert status == 400
    assert told in answer["error"]


def test_other_paths_and_methods_are_not_found(serve: Callable[[], None]) -> None:
    serve()
    for method, path in (("GET", "/"), ("POST", "/dbos-healthz"), ("DELETE", "/workflows/one"), ("GET", "/workflows")):
        assert ask(method, path)[0] == 404


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example:3001"}]
)
def test_web_pages_of_others_are_refused(serve: Callable[[], None], headers: dict[str, str]) -> None:
    serve()
    assert ask("GET", "/deactivate", headers=headers)[0] == 403
    assert ask("GET", "/dbos-healthz", headers={"Host": "localhost:3001"})[0] == 200


def test_a_port_in_use_is_a_warning(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING, "dbos"):
        launch(run_admin_server=True, admin_port=taken.getsockname()[1])
        assert "The admin server cannot listen on port" in caplog.text
        assert process.application is not None
        assert process.application.admin_address is None
        DBOS.list_workflows()


def test_it_ends_with_the_application_at_once(serve: Callable[[], None]) -> None:
    serve()
    assert process.application is not None
    address = process.application.admin_address
    assert address is not None
    host, port = address.split(":")
    DBOS.destroy()
    with pytest.raises(OSError):  # noqa: PT011 -- refused on every system
        socket.create_connection((host, int(port)), timeout=5)
