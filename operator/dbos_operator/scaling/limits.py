"""What flow control lets run at once: replicas that it would leave idle are not worth starting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbos_operator.resources.specs import QueueSpec, RateLimit, ScalingSpec
from dbos_operator.scaling.demand import Work

MOST_COUNTED = 1_000_000
"""Rows of one queue that a look counts at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """The limits of a queue that are in force. None: no limit."""

    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate_limit: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """How many workflows of a queue may run at once, and the limit that says so."""

    count: int
    name: str


@dataclass(frozen=True, slots=True)
class Useful:
    """How much of the work replicas can be busy with; `limited_by` is empty when that is all of it."""

    count: int
    limited_by: str


def limits_in_force(spec: QueueSpec, row: QueueLimits | None = None) -> QueueLimits:
    """The limits of a resource, and those of its row where the resource manages none."""
    row = row or QueueLimits()
    return QueueLimits(
        concurrency=spec.concurrency if spec.concurrency is not None else row.concurrency,
        worker_concurrency=spec.worker_concurrency if spec.worker_concurrency is not None else row.worker_concurrency,
        rate_limit=spec.rate_limit or row.rate_limit,
    )


def tightest(work: Work, limits: QueueLimits) -> Bound | None:
    """The limit that allows the least; None when nothing limits the queue."""
    return min(_bounds(work, limits), key=lambda bound: bound.count, default=None)


def useful(work: Work, limits: QueueLimits) -> Useful:
    """How many of the workflows that run or wait can run at once.

    Never less than what runs already, whatever the limits say by now.
    """
    bound = tightest(work, limits)
    if bound is None or bound.count >= work.total:
        return Useful(work.total, "")
    return Useful(max(work.running, bound.count), bound.name)


def countable(scalings: Iterable[ScalingSpec]) -> int:
    """The most rows of one queue that can make a difference to a target shared by these queues.

    Never more than MOST_COUNTED: the numbers of a spec may be any, and a count takes time.
    """
    specs = tuple(scalings)
    if not specs:
        return 0
    useful = max(spec.max_replicas for spec in specs) * max(spec.workflows_per_replica for spec in specs)
    return min(useful, MOST_COUNTED)


def _bounds(work: Work, limits: QueueLimits) -> Iterator[Bound]:
    if limits.concurrency is not None:
        yield Bound(limits.concurrency, f"concurrency {limits.concurrency}")
    if limits.worker_concurrency == 0:
        yield Bound(0, "workerConcurrency 0")
    if limits.rate_limit is not None:
        yield _rate_bound(work, limits.rate_limit)


def _rate_bound(work: Work, rate: RateLimit) -> Bound:
    """Starts per second times seconds per run, and no more than one period can add to what runs.

    A limit that lets anything start is worth one workflow, however short the runs are.
    """
    seconds = rate.period.total_seconds()
    count = work.running + rate.limit
    if work.mean_duration_seconds is not None and rate.limit > 0 and seconds > 0:
        steady = math.ceil(rate.limit / seconds * work.mean_duration_seconds)
        count = min(count, max(1, steady))
    return Bound(count, f"rateLimit {rate.limit} per {seconds:g}s")
