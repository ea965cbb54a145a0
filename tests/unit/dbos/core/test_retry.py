"""When a failed attempt is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from dbos.core.retry import MAX_DELAY_SECONDS, RetryPolicy, reconnect_delay


def test_without_retries_a_step_runs_once() -> None:
    policy = RetryPolicy(max_attempts=5)
    assert (policy.attempts, policy.delay_after(1)) == (1, None)


def test_each_delay_is_longer_than_the_one_before() -> None:
    policy = RetryPolicy(allowed=True, interval_seconds=0.5, max_attempts=5, backoff_rate=3)
    assert [policy.delay_after(attempt) for attempt in range(1, 6)] == [0.5, 1.5, 4.5, 13.5, None]


def test_a_delay_is_an_hour_at_most_however_many_attempts_there_were() -> None:
    policy = RetryPolicy(allowed=True, interval_seconds=1, max_attempts=10_000, backoff_rate=2)
    assert policy.delay_after(500) == MAX_DELAY_SECONDS
    assert policy.delay_after(9_999) == MAX_DELAY_SECONDS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_attempts": 0}, "max_attempts: expected at least 1, got 0"),
        ({"interval_seconds": -1}, "interval_seconds: expected 0 or more"),
        ({"backoff_rate": 0.5}, "backoff_rate: expected at least 1"),
    ],
)
def test_options_that_cannot_be_are_named(options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RetryPolicy(**options)


def test_reconnecting_waits_longer_each_time_up_to_a_minute() -> None:
    assert [reconnect_delay(attempt, 1.0) for attempt in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert reconnect_delay(10**6, 1.5) == 90
    assert reconnect_delay(1, 0.5) == 0.5
