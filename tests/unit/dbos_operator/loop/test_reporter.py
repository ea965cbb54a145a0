from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from dbos_operator.errors import ClusterError
from dbos_operator.loop.reporter import MOST_FAILURES, Draft, Notice, Reporter, transition_notice
from dbos_operator.reasons import Reason
from dbos_operator.resources.conditions import ready, reconciling, stalled
from dbos_operator.resources.identity import Kind
from dbos_operator.resources.status import QueueDepth, QueueStatus, render_queue
from dbos_operator.settings import OperatorSettings
from support.builders import NOW, a_queue
from support.fake_cluster import FakeCluster


class Bench:
    """A reporter, a cluster with one DBOSQueue, and the clock."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.apply(Kind.QUEUE, "emails", {})
        self.reporter = Reporter(self.cluster, OperatorSettings())
        self.now = NOW

    async def show(self, *, enqueued: int = 0, reason: Reason = Reason.RECONCILED) -> int:
        [resource] = self.cluster.desired.snapshot().queues.values()
        depth = QueueDepth(enqueued=enqueued, delayed=0, running=0)
        status = QueueStatus(generation=1, conditions=ready(reason), queue_name="emails", depth=depth)

        def render(old: Mapping[str, Any]) -> dict[str, Any]:
            return render_queue(status, old, now=self.now)

        return await self.reporter.report([Draft(resource, render)], (), self.now)


async def test_the_first_status_is_written_with_its_numbers_and_not_again() -> None:
    bench = Bench()
    assert await bench.show(enqueued=5) == 1
    assert bench.cluster.status(Kind.QUEUE, "emails")["enqueued"] == 5
    assert await bench.show(enqueued=5) == 0


async def test_numbers_are_written_once_a_minute_at_most() -> None:
    bench = Bench()
    await bench.show(enqueued=5)
    bench.now += timedelta(seconds=59)
    assert await bench.show(enqueued=6) == 0
    bench.now += timedelta(seconds=1)
    assert await bench.show(enqueued=6) == 1


async def test_a_condition_is_written_at_once_and_takes_the_numbers_along() -> None:
    bench = Bench()
    await bench.show(enqueued=5)
    assert await bench.show(enqueued=6, reason=Reason.SUSPENDED) == 1
    assert bench.cluster.status(Kind.QUEUE, "emails")["enqueued"] == 6


async def test_what_was_written_counts_until_the_watch_has_seen_it() -> None:
    bench = Bench()
    [before] = bench.cluster.desired.snapshot().queues.values()
    await bench.show(enqueued=5)
    bench.cluster.desired.put(before)
    assert await bench.show(enqueued=5) == 0


async def test_a_status_that_could_not_be_written_is_written_next_time() -> None:
    bench = Bench()
    bench.cluster.faults["patch_status"] = ClusterError("busy")
    assert await bench.show() == 0
    bench.cluster.faults.clear()
    assert await bench.show() == 1


async def test_an_object_that_is_gone_is_no_trouble() -> None:
    bench = Bench()
    draft_of = bench.show
    bench.cluster.manifests.clear()
    assert await draft_of() == 0


async def test_an_api_server_that_fails_is_not_asked_for_every_object() -> None:
    bench = Bench()
    bench.cluster.faults["patch_status"] = ClusterError("busy")
    drafts = [Draft(a_queue(f"q{number}"), lambda _old: {"observedGeneration": 1}) for number in range(200)]
    await bench.reporter.report(drafts, (), NOW)
    assert bench.cluster.calls["patch_status"] <= MOST_FAILURES + OperatorSettings().parallel_writes


async def test_what_happens_again_and_again_is_told_now_and_then() -> None:
    bench = Bench()
    fired = Notice(a_queue().identity, Reason.FIRED, "again", repeats=True)
    for elapsed in (0, 10, 29, 30):
        await bench.reporter.report((), [fired], NOW + timedelta(seconds=elapsed))
    assert bench.cluster.reasons("emails") == ["Fired", "Fired"]
    scaled = replace(fired, reason=Reason.SCALED, repeats=False)
    await bench.reporter.report((), [scaled, scaled], NOW)
    assert bench.cluster.reasons("emails").count("Scaled") == 2


def test_an_object_that_begins_or_ceases_to_be_ready_is_told_once() -> None:
    taken = stalled(Reason.NAME_TAKEN, "somebody's")
    told = transition_notice(a_queue(), {}, taken)
    assert told is not None
    assert (told.type, told.reason, told.message) == ("Warning", Reason.NAME_TAKEN, "somebody's")
    shown = {"conditions": [{"type": "Ready", "status": "False", "reason": "NameTaken"}]}
    assert transition_notice(a_queue(), shown, taken) is None
    assert transition_notice(a_queue(), {}, reconciling(Reason.DATABASE_NOT_READY, "")) is None
    connected = transition_notice(a_queue(), shown, ready(Reason.CONNECTED))
    assert connected is not None
    assert connected.type == "Normal"


async def test_trouble_is_new_for_a_while_and_again_after_it_was_over() -> None:
    bench = Bench()
    [resource] = bench.cluster.desired.snapshot().queues.values()

    async def show(*, broken: bool) -> None:
        conditions = stalled(Reason.DATABASE_NOT_FOUND, "nowhere") if broken else ready(Reason.RECONCILED)
        status = QueueStatus(generation=1, conditions=conditions)
        await bench.reporter.report([Draft(resource, partial(render_queue, status, now=bench.now))], (), bench.now)

    def is_new() -> bool:
        return bench.reporter.is_new_trouble(resource, bench.now)

    assert is_new()
    await show(broken=True)
    bench.now += timedelta(seconds=9)
    assert is_new()
    bench.now += timedelta(seconds=2)
    assert not is_new()
    await show(broken=False)
    assert is_new()
