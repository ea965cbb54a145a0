"""What the queue worker decides, with a database that only answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.errors import SerializationFailure

from dbos.core.ids import INTERNAL_QUEUE
from dbos.core.limits import QueueLimits
from dbos.engine import queue_worker
from dbos.engine.queue_worker import BATCH, LANES, UNKNOWN_BACKOFF_SECONDS, QueueWorker
from dbos.store.operation import Statement
from dbos.store.rows import ClaimedWorkflow
from support.store_records import a_claimant


class Tables:
    """Queues and what waits on them; remembers each claim."""

    schema = "dbos"

    def __init__(self, queues: dict[str, QueueLimits]) -> None:
        self.queues = queues
        self.waiting: dict[str, int] = dict.fromkeys(queues, 0)
        self.keys: list[str] = []
        self.lanes: list[dict[str, int]] = []
        self.claims: list[tuple[str, int]] = []
        self.skipped: list[str] = []
        self.failure: Exception | None = None
        self.on_load: Callable[[], None] = lambda: None

    def run_together(self, *operations: Any) -> Any:
        return [self.run(operation) for operation in operations]

    def run(self, operation: Any) -> Any:
        performed = operation()
        try:
            statement = next(performed)
            while True:
                statement = performed.send(self._answer(statement))
        except StopIteration as done:
            return done.value

    def take_turn(self, statement: Statement) -> Any:
        return self._answer(statement)

    def _answer(self, statement: Statement) -> Any:
        if self.failure is not None:
            raise self.failure
        match statement.name:
            case "sweep_due_rows":
                return [{"queues": [], "cancelled": []}]
            case "digest_active_schedules":
                return [{"digest": None}]
            case "load_queues":
                self.on_load()
                return [_queue(name, limits, self.waiting[name] > 0) for name, limits in self.queues.items()]
            case "list_partitions":
                after, limit = statement.parameters["after"], statement.parameters["limit"]
                return [{"queue_partition_key": key} for key in sorted(self.keys) if key >= after][:limit]
            case "claim_partitions" | "claim_partitions_shared":
                self.lanes.append(dict(zip(statement.parameters["keys"], statement.parameters["slots"], strict=True)))
                return [{**row, "queue_partition_key": "a"} for row in self._claim(statement)]
            case "claim_workflows" | "claim_workflows_shared":
                return self._claim(statement)
        raise AssertionError(statement.name)

    def _claim(self, statement: Statement) -> list[dict[str, Any]]:
        queue, limit = statement.parameters["queue"], statement.parameters["limit"]
        self.claims.append((queue, limit))
        self.skipped = statement.parameters["skipped"]
        taken = min(limit, self.waiting[queue])
        self.waiting[queue] -= taken
        return [_row(queue) for _ in range(taken)]


def _queue(name: str, limits: QueueLimits, runnable: bool) -> dict[str, Any]:
    return {
        "name": name,
        "concurrency": limits.concurrency,
        "worker_concurrency": limits.worker_concurrency,
        "rate_limit_max": limits.rate_limit,
        "rate_limit_period_sec": limits.rate_period_seconds,
        "polling_interval_sec": limits.polling_interval_seconds,
        "application_name": None,
        "queue_id": "id",
        "partition_concurrency": limits.partition_concurrency,
        "partition_worker_concurrency": limits.partition_worker_concurrency,
        "partition_rate_limit_max": limits.partition_rate_limit,
        "partition_rate_limit_period_sec": limits.partition_rate_period_seconds,
        "runnable": runnable,
    }


def _row(queue: str) -> dict[str, Any]:
    fields = dict.fromkeys(
        (
            *("name", "class_name", "config_name", "inputs", "serialization", "workflow_deadline_epoch_ms"),
            *(
                "workflow_timeout_ms",
                "delay_until_epoch_ms",
                "authenticated_user",
                "authenticated_roles",
            ),
            *("parent_workflow_id", "previous_version", "previous_application", "previous_executor"),
            *("previous_deadline", "queue_partition_key", "trace"),
        )
    )
    numbers = {"recovery_attempts": 1, "created_at": 1, "started_at_epoch_ms": 1}
    return {**fields, **numbers, "workflow_uuid": "w", "queue_name": queue, "replayed": False}


class Worker:
    """A queue worker without its thread."""

    def __init__(self, **queues: QueueLimits) -> None:
        self.tables = Tables(queues)
        self.dispatched: list[ClaimedWorkflow] = []
        self.backlog = 0
        services: Any = SimpleNamespace(database=self.tables, claimant=a_claimant(), new_owner=lambda: "owner")
        self.worker = QueueWorker(services, dispatch=self.dispatched.extend, backlog=lambda: self.backlog)
        self.worker._poll()
        self.worker._hot.clear()

    def claim(self, queue: str = "q", *, waiting: int | None = None) -> int:
        """Claim once; how many were dispatched."""
        before = len(self.dispatched)
        if waiting is not None:
            self.tables.waiting[queue] = waiting
        self.worker._claim(queue)
        return len(self.dispatched) - before


def test_a_claim_asks_for_a_batch_at_most_and_for_more_while_there_is_more() -> None:
    worker = Worker(q=QueueLimits())
    assert worker.claim(waiting=250) == BATCH
    assert worker.worker._hot == {"q"}
    worker.worker._hot.clear()
    assert worker.claim(waiting=30) == 30
    assert worker.worker._hot == set()
    assert worker.worker.running == {"q": 130}


@pytest.mark.parametrize(("backlog", "limit"), [(0, 100), (30, 70), (99, 1)])
def test_claimed_work_that_has_not_begun_takes_from_the_batch(backlog: int, limit: int) -> None:
    worker = Worker(q=QueueLimits())
    worker.backlog = backlog
    worker.claim()
    assert worker.tables.claims == [("q", limit)]


def test_nothing_is_asked_while_nothing_could_run() -> None:
    worker = Worker(q=QueueLimits(worker_concurrency=2), suspended=QueueLimits(worker_concurrency=0))
    assert worker.claim(waiting=5) == 2
    assert worker.claim() == 0
    assert worker.claim("suspended", waiting=5) == 0
    assert worker.tables.claims == [("q", 2)]


def test_a_queue_that_is_unknown_is_not_asked() -> None:
    worker = Worker(q=QueueLimits())
    worker.worker._claim("nowhere")
    assert worker.tables.claims == []


def test_free_slots_ask_again_once_half_of_them_are_free() -> None:
    worker = Worker(q=QueueLimits(worker_concurrency=4))
    worker.claim(waiting=10)
    worker.worker.ended("q")
    assert worker.worker._hot == set()
    worker.worker.ended("q")
    assert worker.worker._hot == {"q"}


def test_an_empty_queue_is_not_asked_for_every_end() -> None:
    worker = Worker(q=QueueLimits())
    worker.claim(waiting=3)
    for _ in range(3):
        worker.worker.ended("q")
    assert worker.worker._hot == set()


def test_a_shared_limit_is_asked_again_at_each_end_while_workflows_of_it_run_here() -> None:
    worker = Worker(q=QueueLimits(concurrency=1))
    assert worker.claim(waiting=1) == 1
    worker.tables.waiting["q"] = 0
    assert worker.claim() == 0  # news of another one, which the limit still holds back
    worker.worker.ended("q")
    assert worker.worker._hot == {"q"}


def test_a_conflict_at_a_shared_limit_is_tried_again_shortly() -> None:
    worker = Worker(q=QueueLimits(concurrency=1))
    worker.tables.failure = SerializationFailure("another was faster")
    assert worker.claim(waiting=1) == 0
    assert "q" in worker.worker._retry_at
    assert worker.worker.running == {}


def test_another_failure_is_told() -> None:
    worker = Worker(q=QueueLimits(concurrency=1))
    worker.tables.failure = OSError("disk")
    with pytest.raises(OSError, match="disk"):
        worker.claim(waiting=1)


def test_a_poll_makes_hot_what_waits_and_always_serves_the_internal_queue() -> None:
    worker = Worker(**{"a": QueueLimits(), "b": QueueLimits(), INTERNAL_QUEUE: QueueLimits()})
    worker.tables.waiting |= {"b": 1, INTERNAL_QUEUE: 1}
    worker.worker._poll()
    assert worker.worker._hot == {"b", INTERNAL_QUEUE}


def test_what_is_to_be_read_again_while_it_is_read_is_read_again() -> None:
    worker = Worker(q=QueueLimits())
    assert worker.worker._next_poll > time.monotonic()
    worker.tables.on_load = worker.worker.refresh
    worker.worker._poll()
    assert worker.worker._next_poll <= time.monotonic()


def test_a_queue_that_is_gone_is_served_no_more() -> None:
    worker = Worker(q=QueueLimits())
    worker.tables.queues.clear()
    worker.worker._poll()
    worker.claim()
    assert worker.tables.claims == []


def test_only_a_global_concurrency_makes_ends_news_for_others() -> None:
    worker = Worker(
        shared=QueueLimits(concurrency=1), own=QueueLimits(worker_concurrency=1), rate=QueueLimits(rate_limit=1)
    )
    assert [worker.worker.shares_limits(name) for name in ("shared", "own", "rate", "nowhere")] == [
        True,
        False,
        False,
        False,
    ]


def test_an_unknown_function_is_left_to_others_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(queue_worker, "time", SimpleNamespace(monotonic=lambda: now[0]))
    worker = Worker(q=QueueLimits())
    first, longest = UNKNOWN_BACKOFF_SECONDS
    pauses = []
    for _ in range(6):
        worker.worker.skip("strange")
        worker.claim()
        assert worker.tables.skipped == ["strange"]
        start = now[0]
        while worker.worker._skipped_keys():
            now[0] += 0.5
        pauses.append(now[0] - start)
        worker.claim()
        assert worker.tables.skipped == []
    assert pauses == [first, 2 * first, 4 * first, 8 * first, longest, longest]


def test_lanes_offer_what_this_worker_may_still_take_of_each() -> None:
    worker = Worker(q=QueueLimits(partition_worker_concurrency=2))
    worker.tables.keys = ["a", "b"]
    assert worker.claim(waiting=1) == 1
    assert worker.claim(waiting=1) == 1
    assert worker.claim(waiting=0) == 0
    assert worker.tables.lanes == [{"a": 2, "b": 2}, {"a": 1, "b": 2}, {"b": 2}]
    worker.worker.ended("q", "a")
    assert worker.worker._hot == {"q"}
    worker.claim()
    assert worker.tables.lanes[-1] == {"a": 1, "b": 2}


def test_very_many_lanes_are_looked_at_part_by_part() -> None:
    worker = Worker(q=QueueLimits(partition_concurrency=1))
    worker.tables.keys = [f"{number:04}" for number in range(LANES + 5)]
    worker.claim(waiting=0)
    assert worker.worker._hot == {"q"}
    worker.worker._hot.clear()
    worker.claim(waiting=0)
    assert worker.worker._hot == set()
    seen = [set(lanes) for lanes in worker.tables.lanes]
    assert seen[0] | seen[1] == set(worker.tables.keys)


def test_a_queue_without_a_lane_in_which_something_waits_is_not_asked() -> None:
    worker = Worker(q=QueueLimits(partition_concurrency=1))
    assert worker.claim(waiting=5) == 0
    assert worker.tables.lanes == []
