"""What holds for every scaling decision, whatever the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import TargetRef
from dbos_operator.resources.specs import RateLimit, ScalingSpec
from dbos_operator.scaling.decision import ScalingDecision, ScalingRequest, decide_scaling
from dbos_operator.scaling.demand import INTERNAL_QUEUE, QueueDemand, TargetVersions
from dbos_operator.scaling.history import ScalingHistory
from dbos_operator.scaling.limits import QueueLimits
from dbos_operator.scaling.terms import ScaledQueue

TARGET = TargetRef("shop", "Deployment", "worker")
START = datetime(2025, 1, 1, tzinfo=UTC)
IDLE = timedelta(seconds=60)
COUNTS = st.integers(0, 60)


@st.composite
def _scalings(draw: st.DrawFn) -> ScalingSpec:
    least = draw(st.integers(0, 3))
    return ScalingSpec(
        target=TARGET,
        min_replicas=least,
        max_replicas=draw(st.integers(max(least, 1), 12)),
        workflows_per_replica=draw(st.integers(1, 10)),
        idle_after=IDLE,
    )


_LIMITS = st.builds(
    QueueLimits,
    concurrency=st.none() | st.integers(0, 40),
    worker_concurrency=st.none() | st.integers(0, 5),
    rate_limit=st.none() | st.builds(RateLimit, st.integers(0, 50), st.timedeltas(timedelta(seconds=1), timedelta(1))),
)
_DEMANDS = st.builds(
    QueueDemand,
    queue_name=st.sampled_from(["a", "b"]),
    runnable=COUNTS,
    running=COUNTS,
    delayed_soon=COUNTS,
    by_version=st.dictionaries(st.sampled_from([None, "v1", "v2"]), st.integers(0, 20)),
    mean_duration_seconds=st.none() | st.floats(0, 1000),
)
_QUEUES = st.builds(ScaledQueue, scaling=_scalings(), limits=_LIMITS, demand=_DEMANDS)
_REQUESTS = st.builds(
    ScalingRequest,
    target=st.just(TARGET),
    current=st.integers(0, 15),
    queues=st.lists(_QUEUES, min_size=1, max_size=3),
    versions=st.builds(TargetVersions, current=st.sampled_from([None, "v1", "v2"])),
    internal=st.builds(QueueDemand, queue_name=st.just(INTERNAL_QUEUE), runnable=st.integers(0, 3)),
    busy=st.integers(0, 15),
)
_HISTORIES = st.lists(st.integers(0, 15), max_size=5).map(
    lambda numbers: _remember(numbers, ScalingHistory()),
)


def _remember(numbers: list[int], history: ScalingHistory) -> ScalingHistory:
    for number in numbers:
        history = history.record(number, START, IDLE)
    return history


def _bounds(request: ScalingRequest) -> tuple[int, int]:
    scalings = [queue.scaling for queue in request.queues]
    return max(each.min_replicas for each in scalings), max(each.max_replicas for each in scalings)


def _for_running(request: ScalingRequest) -> int:
    shares = [
        Fraction(queue.demand.running, queue.scaling.workflows_per_replica) for queue in request.queues if queue.demand
    ]
    return math.ceil(sum(shares))


@given(_REQUESTS, _HISTORIES)
def test_replicas_stay_within_the_bounds(request: ScalingRequest, history: ScalingHistory) -> None:
    least, most = _bounds(request)
    decision = decide_scaling(request, history, START)
    assert least <= decision.wanted <= most
    assert least <= decision.replicas <= most


@given(_REQUESTS, _HISTORIES)
def test_replicas_never_fall_below_what_running_work_needs(request: ScalingRequest, history: ScalingHistory) -> None:
    _, most = _bounds(request)
    decision = decide_scaling(request, history, START)
    assert decision.replicas >= min(_for_running(request), most)
    assert decision.replicas >= min(request.busy, request.current or 0, most)


@given(_REQUESTS, _HISTORIES, st.integers(1, 20))
def test_more_demand_never_means_fewer_replicas(request: ScalingRequest, history: ScalingHistory, more: int) -> None:
    first = request.queues[0]
    assert first.demand is not None
    larger = replace(first, demand=replace(first.demand, runnable=first.demand.runnable + more))
    before = decide_scaling(request, history, START)
    after = decide_scaling(replace(request, queues=[larger, *request.queues[1:]]), history, START)
    assert after.wanted >= before.wanted
    assert after.replicas >= before.replicas


@given(_REQUESTS, _HISTORIES, st.integers(0, 2))
def test_any_unknown_number_holds_the_replicas(request: ScalingRequest, history: ScalingHistory, which: int) -> None:
    queues = list(request.queues)
    unknown = which % len(queues)
    queues[unknown] = replace(queues[unknown], demand=None)
    decision = decide_scaling(replace(request, queues=queues), history, START)
    assert (decision.change, decision.reason) == (None, Reason.STALE_DATA)


@given(_REQUESTS, _HISTORIES)
def test_a_decision_that_was_carried_out_asks_for_nothing_more(
    request: ScalingRequest, history: ScalingHistory
) -> None:
    first = decide_scaling(request, history, START)
    again = decide_scaling(replace(request, current=first.replicas), first.history, START)
    assert again.change is None


@dataclass(frozen=True)
class _Tick:
    second: int
    decision: ScalingDecision


def _run(runnable_by_tick: list[int]) -> list[_Tick]:
    scaling = ScalingSpec(target=TARGET, max_replicas=12, workflows_per_replica=4, idle_after=IDLE)
    history, current, ticks = ScalingHistory(), 0, []
    for number, runnable in enumerate(runnable_by_tick):
        queue = ScaledQueue(
            scaling=scaling, limits=QueueLimits(), demand=QueueDemand(queue_name="a", runnable=runnable)
        )
        request = ScalingRequest(target=TARGET, current=current, queues=[queue])
        decision = decide_scaling(request, history, START + timedelta(seconds=5 * number))
        history, current = decision.history, decision.replicas
        ticks.append(_Tick(5 * number, decision))
    return ticks


@given(st.lists(COUNTS, min_size=1, max_size=60))
def test_replicas_fall_only_when_fewer_were_wanted_all_through_idle_after(runnable: list[int]) -> None:
    ticks = _run(runnable)
    for tick in ticks:
        if tick.decision.change is None or tick.decision.change >= (tick.decision.current or 0):
            continue
        window = [t for t in ticks if tick.second - 60 <= t.second <= tick.second]
        assert tick.second >= 60
        assert max(t.decision.wanted for t in window) == tick.decision.change


@given(st.lists(st.sampled_from([0, 4]), min_size=13, max_size=60))
def test_work_that_comes_and_goes_within_idle_after_never_moves_the_replicas(runnable: list[int]) -> None:
    steady = [4 if number % 12 == 0 else count for number, count in enumerate(runnable)]
    changes = [tick.decision.change for tick in _run(steady) if tick.decision.change is not None]
    assert changes == [1]
