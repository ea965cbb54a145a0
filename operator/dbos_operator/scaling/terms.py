"""The share of one queue in the replicas of its target, with everything that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from dbos_operator.resources.specs import ScalingSpec
from dbos_operator.scaling.demand import QueueDemand, TargetVersions, Work, count_work
from dbos_operator.scaling.limits import QueueLimits, Useful, tightest, useful


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledQueue:
    """A queue that names the target."""

    scaling: ScalingSpec
    limits: QueueLimits
    demand: QueueDemand | None
    """None when there are no fresh numbers: unknown, which is not zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTerm:
    """What one queue adds to the sum. `share` is in replicas, not rounded."""

    queue_name: str
    work: Work
    useful: Useful
    per_replica: int
    asks_for_one: bool
    """Unproven rows that flow control would let start."""
    truncated: bool

    @property
    def share(self) -> Fraction:
        """Replicas that the useful work keeps busy."""
        return Fraction(self.useful.count, self.per_replica)


def queue_term(scaling: ScalingSpec, limits: QueueLimits, demand: QueueDemand, versions: TargetVersions) -> QueueTerm:
    """The term of a queue whose numbers are known."""
    work = count_work(demand, versions)
    bound = tightest(work, limits)
    return QueueTerm(
        queue_name=demand.queue_name,
        work=work,
        useful=useful(work, limits),
        per_replica=scaling.workflows_per_replica,
        asks_for_one=work.unproven > 0 and (bound is None or bound.count > 0),
        truncated=demand.truncated,
    )
