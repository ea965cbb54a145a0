"""How many replicas a target should have now, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import TargetRef
from dbos_operator.resources.specs import QueueSpec
from dbos_operator.scaling.demand import INTERNAL_QUEUE, QueueDemand, TargetVersions, Work, count_work
from dbos_operator.scaling.explanation import Outcome, explain, limited_by
from dbos_operator.scaling.history import ScalingHistory
from dbos_operator.scaling.terms import QueueTerm, ScaledQueue, queue_term

NO_INTERNAL_WORK = QueueDemand(queue_name=INTERNAL_QUEUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRequest:
    """A target and everything that asks something of it. At least one queue names it."""

    target: TargetRef
    current: int | None
    """The replicas that its spec asks for; None when it does not exist."""
    queues: Sequence[ScaledQueue]
    versions: TargetVersions = field(default_factory=TargetVersions)
    internal: QueueDemand | None = NO_INTERNAL_WORK
    """The internal queue's rows, for the target that `first_target` names; None when unknown."""
    busy: int = 0
    """Replicas that must stay so that no pod with running work goes; see `busy_replicas`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """What to do with a target, what to say about it, and what to remember for the next time."""

    target: TargetRef
    current: int | None
    wanted: int
    """What the work asks for within the bounds, whether or not it is time to fall to it."""
    replicas: int
    """What the target should have from now on."""
    reason: Reason
    message: str
    history: ScalingHistory
    demand: int = 0
    useful: int = 0
    stranded: int = 0
    limited_by: str = ""
    hold_until: datetime | None = None
    """When replicas fall next if nothing more is wanted until then."""
    terms: tuple[QueueTerm, ...] = ()
    """What each queue adds, in the order of the request; empty when nothing could be computed."""

    @property
    def change(self) -> int | None:
        """The replicas to write, or None when the target already asks for them."""
        return None if self.current is None or self.replicas == self.current else self.replicas


def first_target(specs: Iterable[QueueSpec]) -> TargetRef | None:
    """The target that also works on the internal queue: of the first queue, by name, that has one."""
    scaled = [(spec.queue_name, spec.scaling.target) for spec in specs if spec.scaling is not None]
    return min(scaled)[1] if scaled else None


def decide_scaling(request: ScalingRequest, history: ScalingHistory, now: datetime) -> ScalingDecision:
    """Decide how many replicas a target should have.

    More are asked for at once; fewer only after they were enough for the
    longest `idleAfter` of its queues, and then down to the most that was wanted
    meanwhile. A pod that runs a workflow stays, and while any number is unknown
    the replicas stay as they are. The largest maximum is never exceeded.
    """
    if request.current is None:
        return _untouched(request, history, Reason.TARGET_NOT_FOUND, f"{request.target} does not exist")
    window = max(queue.scaling.idle_after for queue in request.queues)
    unknown = any(queue.demand is None for queue in request.queues)
    if unknown or request.internal is None:
        remembered = history.record(request.current, now, window)
        message = f"the queues could not be counted: the replicas stay at {request.current}"
        return _untouched(request, remembered, Reason.STALE_DATA, message)
    return _decide(request, request.current, history, now, window)


def _untouched(request: ScalingRequest, history: ScalingHistory, reason: Reason, message: str) -> ScalingDecision:
    current = request.current or 0
    return ScalingDecision(
        target=request.target,
        current=request.current,
        wanted=current,
        replicas=current,
        reason=reason,
        message=message,
        history=history,
    )


def _decide(
    request: ScalingRequest, current: int, history: ScalingHistory, now: datetime, window: timedelta
) -> ScalingDecision:
    terms = [
        queue_term(queue.scaling, queue.limits, queue.demand, request.versions)
        for queue in request.queues
        if queue.demand is not None
    ]
    internal = count_work(request.internal or NO_INTERNAL_WORK, request.versions)
    least = max(queue.scaling.min_replicas for queue in request.queues)
    most = max(queue.scaling.max_replicas for queue in request.queues)
    asked = _asked(terms, internal)
    wanted = min(max(asked, least), most)
    if not history.peaks:
        # Nothing is remembered (the operator has just started), so what is there now counts as wanted.
        history = history.record(current, now, window)
    history = history.record(wanted, now, window)
    highest = history.peaks[0]
    replicas = wanted if wanted >= current else min(max(highest.wanted, request.busy), current, most)
    waits = wanted < replicas <= highest.wanted
    outcome = Outcome(
        asked=asked,
        wanted=wanted,
        replicas=replicas,
        least=least,
        most=most,
        busy=request.busy,
        hold_until=highest.until + window if waits else None,
    )
    return ScalingDecision(
        target=request.target,
        current=current,
        wanted=wanted,
        replicas=replicas,
        reason=Reason.SCALED_ON_DEMAND,
        message=explain(terms, internal, outcome),
        history=history,
        demand=sum(term.work.total for term in terms),
        useful=sum(term.useful.count for term in terms),
        stranded=sum(term.work.stranded for term in terms) + internal.stranded,
        limited_by=limited_by(terms, outcome),
        hold_until=outcome.hold_until,
        terms=tuple(terms),
    )


def _asked(terms: Sequence[QueueTerm], internal: Work) -> int:
    """Replicas for the useful work of all queues, rounded up once; one for what cannot be measured in replicas."""
    replicas = math.ceil(sum((term.share for term in terms), Fraction(0)))
    needs_one = internal.total > 0 or internal.unproven > 0 or any(term.asks_for_one for term in terms)
    return max(replicas, 1) if needs_one else replicas
