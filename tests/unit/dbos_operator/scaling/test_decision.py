"""How many replicas a target should have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import TargetRef
from dbos_operator.resources.specs import QueueSpec, RateLimit, ScalingSpec
from dbos_operator.scaling.decision import ScalingDecision, ScalingRequest, decide_scaling, first_target
from dbos_operator.scaling.demand import INTERNAL_QUEUE, QueueDemand, TargetVersions
from dbos_operator.scaling.history import ScalingHistory
from dbos_operator.scaling.limits import QueueLimits
from dbos_operator.scaling.terms import ScaledQueue

TARGET = TargetRef("shop", "Deployment", "worker")
START = datetime(2025, 1, 1, tzinfo=UTC)
KNOWN = TargetVersions(current="v2")


def _queue(
    runnable: int = 0,
    *,
    name: str = "emails",
    running: int = 0,
    per_replica: int = 4,
    least: int = 0,
    most: int = 20,
    idle: int = 60,
    limits: QueueLimits | None = None,
    by_version: dict[str | None, int] | None = None,
    known: bool = True,
    truncated: bool = False,
    delayed_soon: int = 0,
) -> ScaledQueue:
    scaling = ScalingSpec(
        target=TARGET,
        min_replicas=least,
        max_replicas=most,
        workflows_per_replica=per_replica,
        idle_after=timedelta(seconds=idle),
    )
    demand = QueueDemand(
        queue_name=name,
        runnable=runnable,
        running=running,
        delayed_soon=delayed_soon,
        by_version=by_version or {},
        truncated=truncated,
    )
    return ScaledQueue(scaling=scaling, limits=limits or QueueLimits(), demand=demand if known else None)


def _request(*queues: ScaledQueue, current: int | None = 0, busy: int = 0) -> ScalingRequest:
    return ScalingRequest(target=TARGET, current=current, queues=queues, versions=KNOWN, busy=busy)


def _decide(request: ScalingRequest, history: ScalingHistory | None = None, second: float = 0) -> ScalingDecision:
    return decide_scaling(request, history or ScalingHistory(), START + timedelta(seconds=second))


_TEN = QueueLimits(concurrency=10)


@pytest.mark.parametrize(
    ("queues", "replicas", "limited", "message"),
    [
        ([_queue(0)], 0, "", "0 workflows to run, 4 per replica: 0 replicas"),
        ([_queue(1)], 1, "", "1 workflow to run, 4 per replica: 1 replica"),
        ([_queue(4)], 1, "", "4 workflows to run, 4 per replica: 1 replica"),
        ([_queue(5)], 2, "", "5 workflows to run, 4 per replica: 2 replicas"),
        ([_queue(2, running=2, delayed_soon=1)], 2, "", "5 workflows to run, 4 per replica: 2 replicas"),
        (
            [_queue(12, limits=_TEN)],
            3,
            "concurrency 10",
            "12 workflows to run, 10 useful (concurrency 10), 4 per replica: 3 replicas",
        ),
        (
            [_queue(1000, truncated=True)],
            20,
            "maxReplicas 20",
            "at least 1000 workflows to run, 4 per replica: 250 replicas, of which maxReplicas allows 20",
        ),
        ([_queue(0, least=2)], 2, "", "0 workflows to run, 4 per replica: 0 replicas, raised to minReplicas 2"),
        (
            [_queue(9, limits=QueueLimits(concurrency=0))],
            0,
            "concurrency 0",
            "9 workflows to run, 0 useful (concurrency 0), 4 per replica: 0 replicas",
        ),
        (
            [_queue(1, per_replica=3), _queue(1, name="reports", per_replica=3)],
            1,
            "",
            "emails: 1 workflow to run, 3 per replica; reports: 1 workflow to run, 3 per replica: 1 replica",
        ),
        (
            [_queue(12, limits=_TEN), _queue(30, name="reports", limits=QueueLimits(concurrency=2))],
            3,
            "emails: concurrency 10, reports: concurrency 2",
            (
                "emails: 12 workflows to run, 10 useful (concurrency 10), 4 per replica; "
                "reports: 30 workflows to run, 2 useful (concurrency 2), 4 per replica: 3 replicas"
            ),
        ),
    ],
)
def test_replicas_follow_the_useful_work_and_the_message_says_how(
    queues: list[ScaledQueue], replicas: int, limited: str, message: str
) -> None:
    decision = _decide(_request(*queues))
    assert (decision.wanted, decision.replicas) == (replicas, replicas)
    assert decision.change == (replicas or None)
    assert decision.reason is Reason.SCALED_ON_DEMAND
    assert decision.limited_by == limited
    assert decision.message == message


def test_shares_are_summed_exactly_and_rounded_up_once() -> None:
    queues = [_queue(1, name=f"q{number}", per_replica=10) for number in range(10)]
    assert _decide(_request(*queues)).replicas == 1


def test_the_largest_minimum_and_the_largest_maximum_hold() -> None:
    small, large = _queue(least=1, most=3), _queue(1000, name="b", least=2, most=8)
    assert _decide(_request(small, large)).replicas == 8
    assert _decide(_request(small, _queue(name="b", least=2, most=8))).replicas == 2


def test_a_rate_limit_is_worth_what_it_keeps_busy() -> None:
    demand = QueueDemand(queue_name="emails", runnable=500, mean_duration_seconds=6)
    limits = QueueLimits(rate_limit=RateLimit(100, timedelta(seconds=60)))
    queue = ScaledQueue(scaling=_queue().scaling, limits=limits, demand=demand)
    decision = _decide(_request(queue))
    assert (decision.replicas, decision.demand, decision.useful) == (3, 500, 10)
    assert decision.limited_by == "rateLimit 100 per 60s"


def test_nothing_changes_when_the_replicas_are_right() -> None:
    decision = _decide(_request(_queue(8), current=2))
    assert (decision.replicas, decision.change) == (2, None)


def test_more_replicas_come_at_once() -> None:
    first = _decide(_request(_queue(4), current=0))
    second = _decide(_request(_queue(40), current=1), first.history, 1)
    assert second.change == 10


def test_fewer_replicas_come_only_after_fewer_were_wanted_for_idle_after() -> None:
    busy = _decide(_request(_queue(8), current=2), second=0)
    idle = _decide(_request(_queue(0), current=2), busy.history, 5)
    assert (idle.wanted, idle.change, idle.hold_until) == (0, None, START + timedelta(seconds=65))
    assert idle.message.endswith("0 replicas, kept at 2 until 2025-01-01T00:01:05Z")
    still = _decide(_request(_queue(0), current=2), idle.history, 64.9)
    assert still.change is None
    gone = _decide(_request(_queue(0), current=2), still.history, 65)
    assert (gone.change, gone.replicas, gone.hold_until) == (0, 0, None)


def test_replicas_fall_to_the_most_that_was_wanted_meanwhile() -> None:
    decision = _decide(_request(_queue(40), current=10), second=0)
    for second, runnable in ((10, 4), (40, 16), (50, 0)):
        decision = _decide(_request(_queue(runnable), current=10), decision.history, second)
        assert decision.change is None
    fallen = _decide(_request(_queue(0), current=10), decision.history, 70)
    assert (fallen.change, fallen.hold_until) == (4, START + timedelta(seconds=110))
    assert _decide(_request(_queue(0), current=4), fallen.history, 110).change == 0


def test_the_longest_idle_after_of_the_queues_holds() -> None:
    queues = (_queue(0, idle=10), _queue(0, name="b", idle=100))
    first = _decide(_request(*queues, current=3), second=0)
    assert _decide(_request(*queues, current=3), first.history, 99).change is None
    assert _decide(_request(*queues, current=3), first.history, 100).change == 0


def test_without_idle_after_replicas_fall_at_once() -> None:
    busy = _decide(_request(_queue(8, idle=0), current=2), second=0)
    assert _decide(_request(_queue(0, idle=0), current=2), busy.history, 1).change == 0


def test_an_operator_that_has_just_started_waits_before_it_takes_replicas_away() -> None:
    first = _decide(_request(_queue(0), current=3), second=0)
    assert first.change is None
    assert _decide(_request(_queue(0), current=3), first.history, 59).change is None
    assert _decide(_request(_queue(0), current=3), first.history, 60).change == 0


def test_a_maximum_that_was_lowered_holds_at_once() -> None:
    assert _decide(_request(_queue(100, most=5), current=9, busy=9)).change == 5


@pytest.mark.parametrize("current", [0, 1, 7, 50])
def test_unknown_is_never_zero(current: int) -> None:
    decision = _decide(_request(_queue(100), _queue(name="b", known=False), current=current))
    assert (decision.change, decision.replicas, decision.wanted) == (None, current, current)
    assert decision.reason is Reason.STALE_DATA
    assert decision.message == f"the queues could not be counted: the replicas stay at {current}"


def test_an_unknown_internal_queue_holds_too() -> None:
    request = ScalingRequest(target=TARGET, current=2, queues=[_queue(0)], internal=None)
    assert _decide(request).reason is Reason.STALE_DATA


def test_idle_after_starts_anew_when_numbers_are_back() -> None:
    idle = _decide(_request(_queue(0), current=2), second=0)
    unknown = _decide(_request(_queue(known=False), current=2), idle.history, 300)
    back = _decide(_request(_queue(0), current=2), unknown.history, 310)
    assert (back.change, back.hold_until) == (None, START + timedelta(seconds=370))


def test_a_target_that_is_not_there_is_left_alone() -> None:
    history = ScalingHistory().record(3, START, timedelta(seconds=60))
    decision = _decide(_request(_queue(8), current=None), history)
    assert (decision.change, decision.reason, decision.history) == (None, Reason.TARGET_NOT_FOUND, history)
    assert decision.message == "deployment shop/worker does not exist"


def test_pods_that_run_workflows_stay_even_when_fewer_would_do() -> None:
    first = _decide(_request(_queue(running=3), current=5, busy=3), second=0)
    later = _decide(_request(_queue(running=3), current=5, busy=3), first.history, 60)
    assert (later.wanted, later.change) == (1, 3)
    assert later.message == "3 workflows to run, 4 per replica: 1 replica, kept at 3 while 3 have work in them"


def test_running_work_beyond_a_limit_that_was_lowered_keeps_its_replicas() -> None:
    decision = _decide(_request(_queue(50, running=12, limits=QueueLimits(concurrency=2)), current=3))
    assert (decision.replicas, decision.useful) == (3, 12)


def test_rows_of_other_versions_are_stranded_and_start_nothing() -> None:
    decision = _decide(_request(_queue(7, by_version={"v1": 7})))
    assert (decision.replicas, decision.stranded, decision.demand) == (0, 7, 0)
    assert "7 more of versions that it does not run" in decision.message


def test_each_queue_has_its_own_term() -> None:
    queues = (_queue(7, by_version={"v1": 7}), _queue(12, name="b", limits=_TEN))
    decision = _decide(_request(*queues))
    told = [(term.queue_name, term.work.total, term.useful.count, term.work.stranded) for term in decision.terms]
    assert told == [("emails", 0, 0, 7), ("b", 12, 10, 0)]


def _unknown_version(*queues: ScaledQueue, current: int = 0) -> ScalingRequest:
    return ScalingRequest(target=TARGET, current=current, queues=queues)


def test_versioned_rows_ask_for_one_replica_while_the_version_of_the_target_is_unknown() -> None:
    queues = (_queue(90, by_version={"v1": 50, "v2": 40}), _queue(9, name="b", by_version={"v1": 9}))
    decision = _decide(_unknown_version(*queues))
    assert (decision.replicas, decision.stranded) == (1, 0)
    assert "90 more of a version that the target may run" in decision.message


def test_unproven_rows_come_on_top_of_nothing() -> None:
    queue = _queue(48, by_version={None: 8, "v1": 40})
    assert _decide(_unknown_version(queue)).replicas == 2


def test_unproven_rows_of_a_queue_that_starts_nothing_ask_for_nothing() -> None:
    queue = _queue(5, by_version={"v1": 5}, limits=QueueLimits(concurrency=0))
    assert _decide(_unknown_version(queue)).replicas == 0


def test_a_replica_that_is_to_show_its_version_does_not_come_and_go() -> None:
    decision = _decide(_unknown_version(_queue(5, by_version={"v1": 5})))
    for second in range(5, 600, 5):
        decision = _decide(_unknown_version(_queue(5, by_version={"v1": 5}), current=1), decision.history, second)
        assert decision.change is None


def _with_internal(**counts: int) -> ScalingRequest:
    internal = QueueDemand(queue_name=INTERNAL_QUEUE, **counts)
    return ScalingRequest(target=TARGET, current=0, queues=[_queue(0)], versions=KNOWN, internal=internal)


def test_work_on_the_internal_queue_asks_for_one_replica() -> None:
    assert _decide(_with_internal(runnable=30)).replicas == 1
    assert _decide(_with_internal(running=1)).replicas == 1
    assert _decide(_with_internal()).replicas == 0
    assert "30 on the internal queue" in _decide(_with_internal(runnable=30)).message


def test_internal_rows_of_another_version_are_stranded() -> None:
    internal = QueueDemand(queue_name=INTERNAL_QUEUE, runnable=2, by_version={"v1": 2})
    request = ScalingRequest(target=TARGET, current=0, queues=[_queue(0)], versions=KNOWN, internal=internal)
    assert (_decide(request).replicas, _decide(request).stranded) == (0, 2)


def test_the_first_queue_by_name_gives_the_target_of_the_internal_queue() -> None:
    def spec(name: str, target: str | None) -> QueueSpec:
        ref = TargetRef("shop", "Deployment", target) if target else None
        scaling = ScalingSpec(target=ref, max_replicas=1, workflows_per_replica=1) if ref else None
        return QueueSpec(database=None, queue_name=name, scaling=scaling)

    assert first_target([spec("b", "x"), spec("a", "z"), spec("0", None)]) == TargetRef("shop", "Deployment", "z")
    assert first_target([spec("a", None)]) is None
