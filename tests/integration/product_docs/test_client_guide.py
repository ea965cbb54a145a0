"""The blocks of the client guide, against one running application."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, EnqueueOptions
from dbos.error import DBOSAwaitedWorkflowCancelledError
from support.product_docs import Blocks

from .shop import USER, VERSION, Shop


def ids(statuses: list[Any]) -> list[str]:
    return [status.workflow_id for status in statuses]


def test_a_workflow_is_retrieved_and_awaited(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    released = shop.blocked()
    blocks.run("client-guide/02-retrieve.py", client=client, watch=lambda line: line == 10 and released.set())

    said = capsys.readouterr().out
    assert said.startswith("Status: PENDING\nCreated: ")
    assert said.endswith("Result: workflow-123\n")


def test_a_workflow_is_retrieved_and_awaited_on_a_loop(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.start(lambda: "done")

    assert blocks.run("client-guide/03-retrieve-async.py", client=client)["result"] == "done"


def test_all_workflows_are_listed_and_those_of_a_status(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.run("process_order", "1", workflow_id="good")
    shop.run("process_payment", -1.0, workflow_id="bad")
    released = shop.blocked("busy")
    client.enqueue(EnqueueOptions(workflow_name="x", queue_name="nobody", workflow_id="waiting"))
    space = blocks.run("client-guide/04-list.py", client=client)
    released.set()

    assert ids(space["all_workflows"]) == ["good", "bad", "busy", "waiting"]
    assert {name: ids(space[name]) for name in ("pending", "success", "errors", "active")} == {
        "pending": ["busy"],
        "success": ["good"],
        "errors": ["bad"],
        "active": ["busy", "waiting"],
    }
    assert "ID: good\nName: process_order\nStatus: SUCCESS\nCreated: 1" in capsys.readouterr().out


def test_workflows_are_listed_by_name(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    order, notification = shop.run("process_order", "1"), shop.run("send_notification", "ada")
    shop.run("process_payment", 1.0)
    space = blocks.run("client-guide/05-list-by-name.py", client=client)

    assert ids(space["orders"]) == [order]
    assert ids(space["specific"]) == [order, notification]


def test_workflows_are_listed_by_time(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    new, old = shop.run("process_order", "1"), shop.run("process_order", "2")
    shop.sql.execute(
        "UPDATE dbos.workflow_status SET created_at = %s WHERE workflow_uuid = %s", (1_705_276_800_000, old)
    )
    space = blocks.run("client-guide/06-list-by-time.py", client=client)

    assert (ids(space["recent"]), ids(space["january"])) == ([new], [old])


def test_workflows_are_listed_by_prefix(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    for workflow_id in ("order-1", "payment-1", "other-1", "Order-2"):
        shop.run("process_order", "1", workflow_id=workflow_id)
    space = blocks.run("client-guide/07-list-by-prefix.py", client=client)

    assert (ids(space["orders"]), ids(space["specific"])) == (["order-1"], ["order-1", "payment-1"])


def test_workflows_are_listed_by_user(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    mine = shop.run("process_order", "1", user=USER)
    shop.run("process_order", "2", user="somebody")
    space = blocks.run("client-guide/08-list-by-user.py", client=client)

    assert (ids(space["user_workflows"]), ids(space["team_workflows"])) == ([mine], [mine])


def test_workflows_are_listed_by_queue(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    for queue in ("high-priority", "email-queue"):  # nobody serves them
        client.enqueue(EnqueueOptions(workflow_name="x", queue_name=queue, workflow_id=queue))
    shop.run("process_order", "1")
    space = blocks.run("client-guide/09-list-by-queue.py", client=client)

    assert ids(space["queued"]) == ["high-priority"]
    assert ids(space["all_queued"]) == ["high-priority", "email-queue"]
    assert ids(space["specific_queue"]) == ["email-queue"]


def test_filters_are_combined_and_listings_have_pages(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    found = shop.run("process_payment", -1.0, user=USER)
    others = [shop.run("process_payment", amount, user=user) for amount, user in ((1.0, USER), (-1.0, "somebody"))]
    space = blocks.run("client-guide/10-list-combined.py", client=client, datetime=datetime, timedelta=timedelta)

    assert ids(space["filtered"]) == [found]
    assert (ids(space["page1"]), ids(space["page2"])) == ([found, *others], [])
    assert ids(space["newest"]) == [*reversed(others), found]


def test_payloads_are_left_out(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.run("send_notification", "ada")
    space = blocks.run("client-guide/11-list-payloads.py", client=client)

    assert [(run.input, run.output) for run in space["lightweight"]] == [(None, None)]
    assert [(run.input, run.output) for run in space["results_only"]] == [(None, "ada")]


def test_a_status_tells_everything(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    options = EnqueueOptions(
        workflow_name="process_order",
        queue_name="orders",
        workflow_id="workflow-123",
        priority=7,
        queue_partition_key="a",
        authenticated_user=USER,
        authenticated_roles=["admin"],
    )
    client.enqueue(options, "1").get_result()
    status = blocks.run("client-guide/12-status.py", client=client)["status"]

    said = capsys.readouterr().out.splitlines()
    for line in (
        "Workflow ID: workflow-123",
        "Name: process_order",
        "Status: SUCCESS",
        "Class: None",
        f"Created: {status.created_at}",
        f"Dequeued: {status.dequeued_at}",
        "Parent: None",
        "Forked From: None",
        "Queue: orders",
        "Priority: 7",
        "Partition Key: a",
        f"User: {USER}",
        "Roles: ['admin']",
        "Input: {'args': ('1',), 'kwargs': {}}",
        "Output: ['1', None, None]",
        "Error: None",
        "Recovery Attempts: 1",
        f"App Version: {VERSION}",
        "Executor: one",
    ):
        assert line in said
    assert status.created_at <= status.dequeued_at <= status.updated_at


def test_steps_tell_their_names_times_and_outcomes(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.start(lambda: DBOS.run_step({"name": "count"}, lambda: 3)).get_result()
    (step,) = blocks.run("client-guide/13-steps.py", client=client)["steps"]

    said = capsys.readouterr().out
    assert "Function ID: 1\nName: count\nStarted: " in said
    assert f"Duration: {(step.completed_at - step.started_at).total_seconds()}s\nOutput: 3\nError: None\n" in said


def test_a_workflow_is_awaited_with_another_interval(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.start(lambda: "done")

    assert blocks.run("client-guide/14-wait.py", client=client)["result"] == "done"


def test_the_first_of_several_is_awaited(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [shop.blocked(f"wf-{number}") for number in (1, 2, 3)]
    events[1].set()
    space = blocks.run("client-guide/15-wait-first.py", client=client)

    assert (space["result"], capsys.readouterr().out) == ("wf-2", "First to complete: wf-2\n")
    assert asyncio.run(space["wait_for_first"]()) == "wf-2"
    for event in events:
        event.set()


def test_an_order_is_enqueued(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    space = blocks.run("client-guide/16-enqueue.py", client=client)

    assert space["result"] == ["order-12345", "customer-789", {"items": [{"id": 1, "qty": 2}]}]
    status = space["handle"].get_status()
    assert (status.workflow_id, status.queue_name, status.priority) == ("order-12345", "orders", 100)


def test_a_method_is_enqueued_with_every_option(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = blocks.run("client-guide/17-enqueue-options.py", client=client)["handle"]

    assert handle.get_result() == {"data": "value", "by": "prod-instance", "user": USER}
    status = handle.get_status()
    assert (status.class_name, status.config_name, status.app_version) == ("DataProcessor", "prod-instance", "v1.2.3")
    assert (status.workflow_timeout_ms, status.priority) == (3_600_000, 50)
    assert (status.authenticated_user, status.authenticated_roles) == (USER, ["admin", "operator"])
    row = shop.sql.execute(
        "SELECT i.inputs, s.serialization, s.queue_partition_key FROM dbos.workflow_status s "
        "JOIN dbos.workflow_input i USING (workflow_uuid) WHERE workflow_uuid = 'data-proc-456'"
    ).fetchone()
    assert row is not None
    assert json.loads(row["inputs"]) == {"positionalArgs": [{"data": "value"}], "namedArgs": {}}
    assert (row["serialization"], row["queue_partition_key"]) == ("portable_json", "partition-a")


def test_a_workflow_is_cancelled(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    released = shop.blocked()
    blocks.run("client-guide/18-cancel.py", client=client)

    assert capsys.readouterr().out == "CANCELLED\n"
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        client.retrieve_workflow("workflow-123").get_result()
    released.set()


def test_a_cancelled_workflow_is_resumed(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    released = shop.blocked()
    client.cancel_workflow("workflow-123")
    released.set()
    space = blocks.run("client-guide/19-resume.py", client=client)

    assert space["result"] == "workflow-123"
    assert space["handle"].get_workflow_id() == "workflow-123"


def test_messages_are_sent(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = shop.start(
        lambda: [DBOS.recv(), DBOS.recv("approval"), DBOS.recv("data"), DBOS.recv("status"), DBOS.recv("data", 0)]
    )
    for _ in range(2):
        blocks.run("client-guide/21-send.py", client=client)

    assert handle.get_result() == [
        {"command": "process", "data": [1, 2, 3]},
        "approved",
        "important data",
        {"status": "ready"},
        None,
    ]


def test_events_are_read(blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]) -> None:
    def publish() -> None:
        DBOS.set_event("deployment_started", "noon")
        DBOS.set_event("processing_complete", True)

    shop.start(publish)
    space = blocks.run("client-guide/22-get-event.py", client=client)

    assert (capsys.readouterr().out, space["event_value"]) == ("Event value: noon\n", True)


def test_streams_are_read(blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        for number in (1, 2):
            DBOS.write_stream("progress", number)
        DBOS.close_stream("progress")
        DBOS.write_stream("results", "done")  # its end is that of the workflow

    shop.start(write)
    blocks.run("client-guide/23-read-stream.py", client=client)

    assert capsys.readouterr().out == "Progress update: 1\nProgress update: 2\nResult: done\n"


def test_schedules_are_created_and_listed(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    blocks.run("client-guide/24-create-schedule.py", client=client)
    client.create_schedule(schedule_name="report-1", workflow_name="process_order", schedule="0 0 * * *")
    client.pause_schedule("report-1")
    space = blocks.run("client-guide/25-list-schedules.py", client=client)

    names = {key: [one["schedule_name"] for one in space[key]] for key in ("schedules", "active", "paused")}
    assert names == {
        "schedules": ["daily-backup", "report-1"],
        "active": ["daily-backup"],
        "paused": ["report-1"],
    }
    assert [one["context"] for one in space["backups"]] == [{"retention_days": 30}]
    assert [one["schedule_name"] for one in space["reports"]] == ["report-1"]


def test_a_schedule_is_shown_paused_resumed_and_deleted(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks.run("client-guide/24-create-schedule.py", client=client)
    seen: dict[int, str | None] = {}

    def watch(line: int) -> None:
        schedule = DBOS.get_schedule("daily-backup")
        seen[line] = None if schedule is None else schedule["status"]

    blocks.run("client-guide/26-manage-schedule.py", client=client, watch=watch)

    assert capsys.readouterr().out == "Cron: 0 0 2 * * *\nContext: {'retention_days': 30}\n"
    assert [seen[line] for line in (7, 9, 11)] == ["ACTIVE", "PAUSED", "ACTIVE"]
    assert DBOS.get_schedule("daily-backup") is None


def test_a_schedule_is_triggered_and_its_last_week_made_up_for(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks.run("client-guide/24-create-schedule.py", client=client)
    space = blocks.run("client-guide/27-trigger-and-backfill.py", client=client)

    assert space["result"] is None
    assert capsys.readouterr().out == "Enqueued 7 backfill executions\n"
    for handle in space["handles"]:
        assert handle.get_result() is None
    runs = DBOS.list_workflows(schedule_name="daily-backup")
    assert {run.input["args"][1]["retention_days"] for run in runs} == {30}  # type: ignore[index]
    assert {run.input["args"][0].hour for run in runs if "trigger" not in run.workflow_id} == {2}  # type: ignore[index]


def test_versions_are_listed_and_the_latest_is_set(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = shop.sql.execute("SELECT version_timestamp FROM dbos.application_versions").fetchall()
    blocks.run("client-guide/28-versions.py", client=client)

    said = capsys.readouterr().out
    assert said.startswith(f"Version: {VERSION}\nTimestamp: {row['version_timestamp']}\n")
    assert said.endswith(f"Current version: {VERSION}\n")
    (later,) = shop.sql.execute("SELECT version_timestamp FROM dbos.application_versions").fetchall()
    assert later["version_timestamp"] > row["version_timestamp"]
