"""What flow control lets run at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbos_operator.resources.identity import ObjectKey, TargetRef
from dbos_operator.resources.specs import QueueSpec, RateLimit, ScalingSpec
from dbos_operator.scaling.demand import Work
from dbos_operator.scaling.limits import MOST_COUNTED, QueueLimits, Useful, countable, limits_in_force, useful

PER_MINUTE = RateLimit(100, timedelta(seconds=60))


def _work(waiting: int, running: int = 0, mean: float | None = None) -> Work:
    return Work(waiting=waiting, running=running, mean_duration_seconds=mean)


@pytest.mark.parametrize(
    ("work", "limits", "expected"),
    [
        (_work(12), QueueLimits(), Useful(12, "")),
        (_work(12), QueueLimits(concurrency=12), Useful(12, "")),
        (_work(12), QueueLimits(concurrency=10), Useful(10, "concurrency 10")),
        (_work(12, running=3), QueueLimits(concurrency=10), Useful(10, "concurrency 10")),
        (_work(12, running=20), QueueLimits(concurrency=10), Useful(20, "concurrency 10")),
        (_work(12, running=2), QueueLimits(concurrency=0), Useful(2, "concurrency 0")),
        (_work(12), QueueLimits(worker_concurrency=3), Useful(12, "")),
        (_work(12, running=1), QueueLimits(worker_concurrency=0), Useful(1, "workerConcurrency 0")),
        (_work(500), QueueLimits(rate_limit=PER_MINUTE), Useful(100, "rateLimit 100 per 60s")),
        (_work(500, running=50), QueueLimits(rate_limit=PER_MINUTE), Useful(150, "rateLimit 100 per 60s")),
        (_work(500, mean=6), QueueLimits(rate_limit=PER_MINUTE), Useful(10, "rateLimit 100 per 60s")),
        (_work(500, mean=6.01), QueueLimits(rate_limit=PER_MINUTE), Useful(11, "rateLimit 100 per 60s")),
        (_work(500, mean=0), QueueLimits(rate_limit=PER_MINUTE), Useful(1, "rateLimit 100 per 60s")),
        (_work(500, mean=600), QueueLimits(rate_limit=PER_MINUTE), Useful(100, "rateLimit 100 per 60s")),
        (_work(900, 900, mean=600), QueueLimits(rate_limit=PER_MINUTE), Useful(1000, "rateLimit 100 per 60s")),
        (_work(500, running=30, mean=6), QueueLimits(rate_limit=PER_MINUTE), Useful(30, "rateLimit 100 per 60s")),
        (_work(9, mean=6), QueueLimits(rate_limit=PER_MINUTE), Useful(9, "")),
        (_work(500, mean=6), QueueLimits(concurrency=4, rate_limit=PER_MINUTE), Useful(4, "concurrency 4")),
        (_work(500, mean=6), QueueLimits(concurrency=40, rate_limit=PER_MINUTE), Useful(10, "rateLimit 100 per 60s")),
        (_work(5), QueueLimits(rate_limit=RateLimit(0, timedelta(seconds=1))), Useful(0, "rateLimit 0 per 1s")),
        (_work(5), QueueLimits(rate_limit=RateLimit(2, timedelta(seconds=0.5))), Useful(2, "rateLimit 2 per 0.5s")),
    ],
)
def test_the_tightest_limit_binds_and_is_named(work: Work, limits: QueueLimits, expected: Useful) -> None:
    assert useful(work, limits) == expected


_LIMITS = st.builds(
    QueueLimits,
    concurrency=st.none() | st.integers(0, 50),
    worker_concurrency=st.none() | st.integers(0, 5),
    rate_limit=st.none() | st.builds(RateLimit, st.integers(0, 50), st.timedeltas(timedelta(seconds=1), timedelta(1))),
)
_WORK = st.builds(
    Work,
    waiting=st.integers(0, 100),
    running=st.integers(0, 100),
    mean_duration_seconds=st.none() | st.floats(0, 10_000),
)


@given(_WORK, _LIMITS)
def test_useful_lies_between_what_runs_and_what_there_is(work: Work, limits: QueueLimits) -> None:
    result = useful(work, limits)
    assert work.running <= result.count <= work.total
    assert bool(result.limited_by) == (result.count < work.total) or result.count == work.running


@given(_WORK, _LIMITS)
def test_more_waiting_work_is_never_less_useful(work: Work, limits: QueueLimits) -> None:
    more = Work(waiting=work.waiting + 1, running=work.running, mean_duration_seconds=work.mean_duration_seconds)
    assert useful(more, limits).count >= useful(work, limits).count


def test_limits_of_the_row_hold_where_the_resource_manages_none() -> None:
    spec = QueueSpec(database=None, queue_name="q", concurrency=0, rate_limit=None)
    row = QueueLimits(concurrency=7, worker_concurrency=3, rate_limit=PER_MINUTE)
    assert limits_in_force(spec, row) == QueueLimits(concurrency=0, worker_concurrency=3, rate_limit=PER_MINUTE)


def test_without_a_row_the_limits_are_those_of_the_resource() -> None:
    spec = QueueSpec(database=ObjectKey("a", "b"), queue_name="q", worker_concurrency=2)
    assert limits_in_force(spec) == QueueLimits(worker_concurrency=2)


def _scaling(most: int, per_replica: int) -> ScalingSpec:
    return ScalingSpec(target=TargetRef("a", "Deployment", "w"), max_replicas=most, workflows_per_replica=per_replica)


def test_counting_may_stop_where_no_further_row_could_matter() -> None:
    assert countable([]) == 0
    assert countable([_scaling(5, 10), _scaling(20, 4)]) == 200


def test_counting_has_an_end_whatever_a_spec_says() -> None:
    assert countable([_scaling(3, 1_000_000_000)]) == MOST_COUNTED
