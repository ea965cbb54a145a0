"""The documentation's blocks about steps that are tried again, and about queues."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from dbos import DBOS, Queue, SetEnqueueOptions
from dbos.error import DBOSQueueDeduplicatedError
from support.bystander import Bystander
from support.product_docs import Blocks

pytestmark = pytest.mark.both_databases


class FlakyWeb:
    """Stands in for `requests`: fails so often, then answers."""

    def __init__(self, failures: int) -> None:
        self.asked: list[str] = []
        self._failures = failures

    def get(self, url: str) -> SimpleNamespace:
        self.asked.append(url)
        if len(self.asked) <= self._failures:
            raise ConnectionError("the page is down")
        return SimpleNamespace(text="the page")


def limits_of(sql: Bystander, queue: str) -> dict[str, Any]:
    row = sql.execute(
        "SELECT concurrency, worker_concurrency, partition_concurrency, rate_limit_max, rate_limit_period_sec "
        "FROM dbos.queues WHERE name = %s",
        (queue,),
    ).fetchone()
    assert row is not None
    return {name: value for name, value in row.items() if value is not None}


def test_a_step_is_tried_again(blocks: Blocks, application: DBOS) -> None:
    requests = FlakyWeb(failures=1)
    step = blocks.run("programming-guide/38-step-retries-example.py", requests=requests)["example_step"]

    @DBOS.workflow()
    def fetch() -> Any:
        return step()

    assert fetch() == "the page"
    assert requests.asked == ["https://example.com"] * 2


@pytest.mark.parametrize(
    ("block", "queue", "limits"),
    [
        ("programming-guide/39-queue.py", "example_queue", {}),
        ("programming-guide/43-worker-concurrency.py", "example_queue", {"worker_concurrency": 5}),
        ("programming-guide/44-global-concurrency.py", "example_queue", {"concurrency": 10}),
        (
            "programming-guide/46-rate-limit.py",
            "example_queue",
            {"rate_limit_max": 50, "rate_limit_period_sec": 30.0},
        ),
    ],
)
def test_a_queue_has_its_limits(
    block: str, queue: str, limits: dict[str, Any], blocks: Blocks, application: DBOS, sql: Bystander
) -> None:
    declared = blocks.run(block)["queue"]

    @DBOS.workflow()
    def answer() -> int:
        return 42

    assert declared.enqueue(answer).get_result() == 42
    assert limits_of(sql, queue) == limits


def test_a_task_is_enqueued(blocks: Blocks, application: DBOS) -> None:
    handle = blocks.run("programming-guide/40-queue-enqueue.py")["handle"]

    assert handle.get_result() is None
    status = handle.get_status()
    assert (status.name, status.queue_name, status.status) == ("process_task", "example_queue", "SUCCESS")
    assert status.input == {"args": (...,), "kwargs": {}}


def test_a_workflow_enqueues_tasks_and_waits_for_all(blocks: Blocks, application: DBOS) -> None:
    process_tasks = blocks.run("programming-guide/41-queue-example.py")["process_tasks"]
    handle = DBOS.start_workflow(process_tasks, ["a", "b", "c"])

    assert handle.get_result() == [None] * 3
    children = DBOS.list_workflows(parent_workflow_id=handle.workflow_id)
    assert {child.queue_name for child in children} == {"example_queue"}
    assert sorted(child.input["args"] for child in children) == [(task,) for task in "abc"]  # type: ignore[index]


def test_another_application_enqueues(blocks: Blocks, application: DBOS) -> None:
    Queue("pipeline_queue")

    @DBOS.workflow(name="data_pipeline")
    def data_pipeline(task: str) -> str:
        return f"{task} processed"

    space = blocks.run("programming-guide/42-client-enqueue.py", task="records")
    space["client"].destroy()

    assert space["result"] == "records processed"


def test_events_are_processed_one_by_one_in_their_order(blocks: Blocks, application: DBOS) -> None:
    space = blocks.run("programming-guide/45-in-order.py")
    for event in "abcd":
        space["event_endpoint"](event)
    for run in DBOS.list_workflows():
        DBOS.retrieve_workflow(run.workflow_id).get_result()

    runs = sorted(DBOS.list_workflows(), key=lambda run: (run.dequeued_at or 0, run.completed_at or 0))
    assert [run.input["args"] for run in runs] == [(event,) for event in "abcd"]  # type: ignore[index]
    times = [time for run in runs for time in (run.dequeued_at, run.completed_at)]
    assert times == sorted(times)  # type: ignore[type-var]


def test_an_enqueued_workflow_has_ten_seconds_from_its_start(blocks: Blocks, application: DBOS) -> None:
    before = time.time() * 1000
    blocks.run("programming-guide/47-queue-timeout.py")

    (run,) = DBOS.list_workflows()
    DBOS.retrieve_workflow(run.workflow_id).get_result()
    (run,) = DBOS.list_workflows()
    assert run.workflow_timeout_ms == 10_000
    assert run.workflow_deadline_epoch_ms is not None
    assert before + 9_999 <= run.workflow_deadline_epoch_ms <= time.time() * 1000 + 10_001


def test_each_user_has_a_lane_of_one_task(blocks: Blocks, application: DBOS, sql: Bystander) -> None:
    space = blocks.run("programming-guide/48-partitions.py", Task=str)
    for user, task in (("ada", "1"), ("bob", "2"), ("ada", "3")):
        space["on_user_task_submission"](user, task)
    for run in DBOS.list_workflows():
        DBOS.retrieve_workflow(run.workflow_id).get_result()

    assert limits_of(sql, "partitioned_queue") == {"partition_concurrency": 1}
    assert sorted((run.queue_partition_key, run.input["args"]) for run in DBOS.list_workflows()) == [  # type: ignore[index]
        ("ada", ("1",)),
        ("ada", ("3",)),
        ("bob", ("2",)),
    ]
    first, second = sorted((run for run in DBOS.list_workflows() if run.queue_partition_key == "ada"), key=began)
    assert first.completed_at is not None
    assert first.completed_at <= began(second)[0]


def began(run: Any) -> tuple[int, int]:
    return int(run.dequeued_at), int(run.completed_at)


@pytest.fixture
def held() -> Any:
    """A workflow that holds the deduplication ID until it is released, and what releases it."""
    released = threading.Event()

    @DBOS.workflow(name="example_workflow")
    def example_workflow(argument: object) -> None:
        assert released.wait(60)

    yield SimpleNamespace(workflow=example_workflow, release=released)
    released.set()


@pytest.mark.parametrize("block", ["programming-guide/49-deduplication.py", "methods-reference/41-deduplication.py"])
def test_a_duplicate_is_refused_while_the_first_is_active(
    block: str, blocks: Blocks, application: DBOS, held: SimpleNamespace
) -> None:
    handled = "\n        handled.append(e)\n"
    errors: list[DBOSQueueDeduplicatedError] = []
    given = {
        "example_workflow": held.workflow,
        "DBOSQueueDeduplicatedError": DBOSQueueDeduplicatedError,
        "handled": errors,
        "tail": handled,
    }
    if block.startswith("methods"):
        given["queue"] = Queue("example_queue")
        first = blocks.run(block, **given)["handle"]
    else:
        with SetEnqueueOptions(deduplication_id="my_dedup_id"):
            first = DBOS.enqueue_workflow("example_queue", held.workflow, ...)
    assert not errors

    space = blocks.run(block, **given)

    assert "handle" not in space
    assert [error.deduplication_id for error in errors] == ["my_dedup_id"]
    held.release.set()
    first.get_result()
    with SetEnqueueOptions(deduplication_id="my_dedup_id"):
        DBOS.enqueue_workflow("example_queue", held.workflow, ...).get_result()


@pytest.mark.parametrize("block", ["programming-guide/50-priority.py", "methods-reference/42-priority.py"])
def test_priorities_are_those_of_their_blocks(block: str, blocks: Blocks, application: DBOS) -> None:
    @DBOS.workflow()
    def task_workflow(task: str) -> str:
        return task

    @DBOS.workflow()
    def first_workflow() -> str:
        return "first"

    given = {"tasks": ["a", "b"], "task_workflow": task_workflow, "first_workflow": first_workflow}
    if block.startswith("methods"):
        given["queue"] = Queue("priority_queue")
    blocks.run(block, **given)

    runs = DBOS.list_workflows()
    assert sorted((DBOS.retrieve_workflow(run.workflow_id).get_result(), run.priority) for run in runs) == [
        ("a", 10),
        ("b", 10),
        ("first", 1),
    ]
    assert {run.queue_name for run in runs} == {"priority_queue"}
