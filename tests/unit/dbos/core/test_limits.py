"""What limits may be, and what they leave to claim."""

from __future__ import annotations

from typing import Any

import pytest

from dbos.core.limits import MAX_SECONDS, QueueLimits, check_limits, claim_budget


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"concurrency": 1, "worker_concurrency": 1},
        {"concurrency": 2**31 - 1},
        {"rate_limit": 1, "rate_period_seconds": 0.001},
        {"polling_interval_seconds": 60},
    ],
)
def test_limits_that_can_be_are_given_back(limits: Any) -> None:
    asked = QueueLimits(**limits)
    assert check_limits(asked) is asked


@pytest.mark.parametrize(
    ("limits", "kind", "said"),
    [
        ({"concurrency": -1}, ValueError, "concurrency: expected 0 to 2147483647 or None, got -1"),
        ({"partition_concurrency": 0}, ValueError, "partition_concurrency: expected 1 to 2147483647 or None, got 0"),
        ({"worker_concurrency": 2**31}, ValueError, "worker_concurrency: expected 0 to"),
        ({"rate_limit": -1, "rate_period_seconds": 1}, ValueError, "^limiter limit: expected 0 to"),
        ({"concurrency": "3"}, TypeError, "concurrency: expected a whole number or None, got '3'"),
        ({"concurrency": 1.0}, TypeError, "concurrency: expected a whole number"),
        ({"worker_concurrency": True}, TypeError, "worker_concurrency: expected a whole number"),
        ({"rate_limit": 1}, ValueError, "limiter: expected both 'limit' and 'period'"),
        ({"rate_period_seconds": 1}, ValueError, "limiter: expected both"),
        ({"rate_limit": 1, "rate_period_seconds": 0}, ValueError, "limiter period: expected more than 0 seconds"),
        ({"rate_limit": 1, "rate_period_seconds": float("nan")}, ValueError, "limiter period"),
        ({"rate_limit": 1, "rate_period_seconds": float("inf")}, ValueError, "limiter period"),
        ({"polling_interval_seconds": 0}, ValueError, "polling_interval_sec: expected more than 0"),
        ({"polling_interval_seconds": None, "concurrency": True}, TypeError, "concurrency"),
        ({"polling_interval_seconds": MAX_SECONDS + 1}, ValueError, "at most"),
        ({"concurrency": 2, "worker_concurrency": 3}, ValueError, "at most the global concurrency 2, got 3"),
    ],
)
def test_limits_that_cannot_be_are_named(limits: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        check_limits(QueueLimits(**limits))


def test_the_concurrency_of_all_processes_is_named_as_it_was_given() -> None:
    with pytest.raises(ValueError, match=r"^global_concurrency: expected 0 to"):
        check_limits(QueueLimits(concurrency=-1), shared="global_concurrency")


def test_limits_of_a_queue_become_those_of_each_partition() -> None:
    limits = QueueLimits(concurrency=4, worker_concurrency=2, rate_limit=3, rate_period_seconds=1.5)
    assert limits.of_partitions() == QueueLimits(
        partition_concurrency=4,
        partition_worker_concurrency=2,
        partition_rate_limit=3,
        partition_rate_period_seconds=1.5,
    )
    assert QueueLimits(concurrency=4, partition_concurrency=1).of_partitions() == QueueLimits(partition_concurrency=1)


@pytest.mark.parametrize(
    ("limits", "shared"),
    [
        ({}, False),
        ({"worker_concurrency": 1}, False),
        ({"concurrency": 1}, True),
        ({"rate_limit": 1, "rate_period_seconds": 1}, True),
        ({"concurrency": 0}, True),
    ],
)
def test_executors_take_turns_when_they_share_a_budget(limits: Any, shared: bool) -> None:
    assert QueueLimits(**limits).shared is shared


@pytest.mark.parametrize(
    ("worker_concurrency", "running", "batch", "budget"),
    [
        (None, 999, 100, 100),
        (10, 0, 100, 10),
        (10, 4, 100, 6),
        (10, 10, 100, 0),
        (3, 9, 100, 0),
        (50, 0, 7, 7),
        (0, 0, 9, 0),
    ],
)
def test_a_budget_is_what_worker_concurrency_leaves_within_the_batch(
    worker_concurrency: int | None, running: int, batch: int, budget: int
) -> None:
    limits = QueueLimits(worker_concurrency=worker_concurrency)
    assert claim_budget(limits, running=running, batch=batch) == budget


def test_a_period_is_counted_in_whole_milliseconds() -> None:
    assert QueueLimits(rate_limit=1, rate_period_seconds=1.0019).rate_period_ms == 1001
    assert QueueLimits().rate_period_ms is None
