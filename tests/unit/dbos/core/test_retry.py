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


@pytest.mark.parametrize(("rate", "delays"), [(0.5, [2, 1, 0.5]), (0, [2, 0, 0])])
def test_a_rate_below_one_shortens_the_delays(rate: float, delays: list[float]) -> None:
    policy = RetryPolicy(allowed=True, interval_seconds=2, max_attempts=4, backoff_rate=rate)
    assert [policy.delay_after(attempt) for attempt in range(1, 4)] == delays


@pytest.mark.parametrize(("interval", "delay"), [(1.0, MAX_DELAY_SECONDS), (0.0, 0.0)])
def test_a_delay_beyond_what_a_float_holds_is_the_longest_one_all_the_same(interval: float, delay: float) -> None:
    policy = RetryPolicy(allowed=True, interval_seconds=interval, max_attempts=10_000, backoff_rate=2.0)
    assert policy.delay_after(9_999) == delay


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"max_attempts": 0}, ValueError, "max_attempts: expected at least 1, got 0"),
        ({"max_attempts": "3"}, TypeError, "max_attempts: expected a whole number, got '3'"),
        ({"max_attempts": None}, TypeError, "max_attempts: expected a whole number, got None"),
        ({"interval_seconds": -1}, ValueError, "interval_seconds: expected 0 or more"),
        ({"interval_seconds": None}, TypeError, "interval_seconds: expected a number, got None"),
        ({"backoff_rate": -0.5}, ValueError, "backoff_rate: expected 0 or more"),
        ({"backoff_rate": float("nan")}, ValueError, "backoff_rate: expected 0 or more"),
        ({"backoff_rate": "2"}, TypeError, "backoff_rate: expected a number, got '2'"),
    ],
)
def test_options_that_cannot_be_are_named(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        RetryPolicy(**options)


def test_reconnecting_waits_longer_each_time_up_to_a_minute() -> None:
    assert [reconnect_delay(attempt, 1.0) for attempt in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert reconnect_delay(10**6, 1.5) == 90
    assert reconnect_delay(1, 0.5) == 0.5
