"""The blocks of the client reference, and of its first edition, against one running application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, EnqueueOptions, Queue
from support.product_docs import Blocks

from .shop import USER as GUIDE_USER
from .shop import Shop

USER = GUIDE_USER.replace(" ", "\N{NO-BREAK SPACE}")
"""The reference's user; an address there has another space."""
ORDER = EnqueueOptions(workflow_name="process_order", queue_name="orders")
ENQUEUED = {"options": ORDER, "args": ("1",), "kwargs": {"customer_id": "ada"}}


def test_a_workflow_is_enqueued(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = blocks.run("client-reference/03-enqueue.py", client=client, **ENQUEUED)["handle"]

    assert handle.get_result() == ["1", "ada", None]


def test_a_workflow_is_enqueued_on_a_loop(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = blocks.run("client-reference/05-enqueue-async.py", client=client, **ENQUEUED)["handle"]

    assert blocks.wait(handle.get_result()) == ["1", "ada", None]


def test_a_mail_is_enqueued_with_options(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = blocks.run("client-reference/04-enqueue-example.py", client=client)["handle"]

    assert handle.get_result() == f"Welcome for {USER}: Thanks for signing up!"
    status = handle.get_status()
    assert (status.workflow_id, status.priority, status.authenticated_user) == ("email-unique-123", 10, USER)


def test_a_payment_is_enqueued_with_all_options(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = blocks.run("client-reference/31-enqueue-options-example.py", client=client)["handle"]

    assert handle.get_result() == 99.99
    status = handle.get_status()
    assert (status.workflow_id, status.app_version) == ("payment-unique-123", "v1.2.3")
    assert (status.workflow_timeout_ms, status.priority) == (300_000, 10)
    assert (status.authenticated_user, status.authenticated_roles) == (USER, ["admin", "finance"])
    assert status.queue_partition_key == "customer-456"


def test_a_handle_is_retrieved(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.start(lambda: "done", "w")
    handle = blocks.run("client-reference/06-retrieve.py", client=client, workflow_id="w")["handle"]
    on_loop = blocks.run("client-reference/08-retrieve-async.py", client=client, workflow_id="w")["handle"]

    assert handle.get_result() == blocks.wait(on_loop.get_result()) == "done"


def test_a_result_is_taken_once_it_is_there(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.start(lambda: "done", "my-workflow-id").get_result()
    blocks.run("client-reference/07-retrieve-example.py", client=client)

    assert capsys.readouterr().out == "Workflow status: SUCCESS\nResult: done\n"


def test_a_workflow_is_cancelled_and_resumed(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    released = shop.blocked("w")
    blocks.run("client-reference/09-cancel.py", client=client, workflow_id="w")
    assert client.retrieve_workflow("w").get_status().status == "CANCELLED"

    released.set()
    handle = blocks.run("client-reference/10-resume.py", client=client, workflow_id="w")["handle"]
    assert handle.get_result() == "w"


def test_all_defaults_of_a_listing_can_be_given(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    first, second = shop.run("process_order", "1"), shop.run("send_notification", "ada")
    workflows = blocks.run("client-reference/11-list-workflows.py", client=client)["workflows"]

    assert [status.workflow_id for status in workflows] == [first, second]


def test_failures_of_the_last_hour_are_listed_newest_first(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = [shop.run("process_payment", -1.0) for _ in range(2)]
    shop.run("process_payment", 1.0)
    blocks.run("client-reference/12-list-example.py", client=client)

    assert capsys.readouterr().out.splitlines() == [
        f"Failed workflow: {workflow_id} - a negative payment" for workflow_id in reversed(failed)
    ]


def test_what_waits_on_queues_is_listed(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.run("process_order", "1")
    client.enqueue(EnqueueOptions(workflow_name="x", queue_name="nobody", workflow_id="w"))
    queued = blocks.run("client-reference/13-list-queued-workflows.py", client=client)["queued"]

    assert [status.workflow_id for status in queued] == ["w"]


def test_steps_are_listed(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.start(lambda: DBOS.run_step({"name": "count"}, lambda: 3), "w").get_result()
    (step,) = blocks.run("client-reference/14-list-workflow-steps.py", client=client, workflow_id="w")["steps"]

    assert (step["function_id"], step["function_name"], step["output"]) == (1, "count", 3)


def two_steps(ran: list[str]) -> Callable[[], None]:
    def job() -> None:
        for name in ("first", "second"):
            DBOS.run_step({"name": name}, lambda name=name: ran.append(name))

    return job


def test_a_fork_runs_from_its_step(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    ran: list[str] = []
    shop.start(two_steps(ran), "w").get_result()
    given = {"client": client, "workflow_id": "w", "start_step": 2}
    handle = blocks.run("client-reference/15-fork.py", **given)["handle"]
    handle.get_result()
    assert ran == ["first", "second", "second"]
    assert handle.get_status().forked_from == "w"


def test_the_first_to_end_is_awaited(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    events = [shop.blocked(name) for name in ("a", "b")]
    events[1].set()
    handles = [client.retrieve_workflow(name) for name in ("a", "b")]
    completed = blocks.run("client-reference/16-wait-first.py", client=client, handles=handles)["completed"]
    events[0].set()

    assert completed.workflow_id == "b"


def test_a_message_is_sent(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    handle = shop.start(DBOS.recv, "w")
    blocks.run("client-reference/17-send.py", client=client, destination_id="w", message={"a": 1})

    assert handle.get_result() == {"a": 1}


def test_an_event_is_read(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    shop.start(lambda: DBOS.set_event("progress", 50), "w")
    space = blocks.run("client-reference/18-get-event.py", client=client, workflow_id="w", key="progress")

    assert space["value"] == 50


def test_a_stream_is_read(blocks: Blocks, shop: Shop, client: DBOSClient) -> None:
    def write() -> None:
        for number in (1, 2):
            DBOS.write_stream("numbers", number)

    shop.start(write, "w")
    read: list[int] = []
    given = {"workflow_id": "w", "key": "numbers", "process": read.append}
    blocks.run("client-reference/19-read-stream.py", client=client, **given)

    assert read == [1, 2]


def test_schedules_are_created_listed_paused_resumed_and_deleted(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks.run("client-reference/20-create-schedule.py", client=client)
    blocks.run("client-reference/24-list-schedules-example.py", client=client)
    assert capsys.readouterr().out == (
        "Schedule: hourly_job\n  Workflow: cleanup_workflow\n  Cron: 0 0 * * * *\n  Status: ACTIVE\n"
    )
    listed = blocks.run("client-reference/22-list-schedules.py", client=client)["schedules"]
    found = blocks.run("client-reference/25-get-schedule.py", client=client, name="hourly_job")["schedule"]
    assert [found] == listed

    seen: list[Any] = []

    def watch(line: int) -> None:
        schedule = client.get_schedule("hourly_job")
        assert schedule is not None
        seen.append(schedule["status"])

    block = "client-reference/27-pause-and-resume-schedule.py"
    blocks.run(block, client=client, name="hourly_job", watch=watch)
    assert seen == ["ACTIVE", "PAUSED"]
    watch(0)
    assert seen[-1] == "ACTIVE"
    blocks.run("client-reference/26-delete-schedule.py", client=client, name="hourly_job")
    assert client.get_schedule("hourly_job") is None


def test_a_schedule_is_backfilled_between_two_times_and_triggered(
    blocks: Blocks, shop: Shop, client: DBOSClient
) -> None:
    client.create_schedule(schedule_name="backup", workflow_name="backup_database", schedule="0 * * * *", context=None)
    client.pause_schedule("backup")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    window = {"start": start, "end": start + timedelta(hours=3)}
    handles = blocks.run("client-reference/28-backfill.py", client=client, schedule_name="backup", **window)["handles"]
    handle = blocks.run("client-reference/29-trigger.py", client=client, schedule_name="backup")["handle"]

    hours = [handle.get_status().input["args"][0] for handle in handles]
    assert hours == [start + timedelta(hours=1), start + timedelta(hours=2)]  # both ends are left out
    assert [one.get_result() for one in [*handles, handle]] == [None] * 3


def test_a_schedule_input_is_applied(
    blocks: Blocks, shop: Shop, client: DBOSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    space = blocks.run("client-reference/33-schedule-input-example.py")
    DBOS.apply_schedules([space["schedule_input"]])
    handle: Any = DBOS.trigger_schedule("hourly_task")
    handle.get_result()

    said = capsys.readouterr().out
    assert said.startswith("Running at 2")
    assert said.endswith(" with context {'key': 'value'}\n")


def test_a_client_is_closed(blocks: Blocks, shop: Shop) -> None:
    closing = DBOSClient(system_database_url=shop.url)
    blocks.run("client-reference/34-destroy.py", client=closing)

    with pytest.raises(Exception, match="closed"):
        closing.list_workflows()


@pytest.fixture
def example(shop: Shop) -> None:
    """A workflow and a queue by the names of the first edition."""
    if "process_task" not in {queue.name for queue in DBOS.list_queues()}:
        Queue("process_task")

        @DBOS.workflow(name="example_queue")
        def example_queue(task: str) -> str:
            return f"{task} processed"


def test_the_first_edition_enqueues(blocks: Blocks, shop: Shop, client: DBOSClient, example: None) -> None:
    given = {"client": client, "task": "records"}

    assert blocks.run("client-reference-1x/05-enqueue-example.py", **given)["result"] == "records processed"
    assert blocks.run("client-reference-1x/07-enqueue-async-example.py", **given)["result"] == "records processed"
