"""What the rows of a queue ask of a workload: counts by status, and whose version may take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INTERNAL_QUEUE = "_dbos_internal_queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDemand:
    """The rows of one queue as they were counted, at one moment.

    Counting stops at what scaling can use, so each number means "at least" when
    `truncated` is set. It has to stop per version, or a backlog that nobody can
    take would hide the rows that somebody can.
    """

    queue_name: str
    runnable: int = 0
    """ENQUEUED."""
    running: int = 0
    """PENDING, of whatever version and executor."""
    delayed_soon: int = 0
    """DELAYED and due before a worker that starts now would be ready."""
    by_version: Mapping[str | None, int] = field(default_factory=dict)
    """Runnable and soon due rows by application version; a row that it leaves out has none."""
    oldest_enqueued_ms: int | None = None
    mean_duration_seconds: float | None = None
    """Of runs that ended lately; None when there were none."""
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVersions:
    """What is known of the application version that new pods of a target run."""

    current: str | None = None
    """Of the pod template as it is now; None until its pods have shown it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The rows of one queue, seen from one target."""

    waiting: int
    """A pod of the target can take these."""
    running: int
    unproven: int = 0
    """Of some version, while the one of the target is not known."""
    stranded: int = 0
    """Of another version than the target's: no replica would help them."""
    mean_duration_seconds: float | None = None

    @property
    def total(self) -> int:
        """What is running or can be."""
        return self.waiting + self.running


def count_work(demand: QueueDemand, versions: TargetVersions) -> Work:
    """Sort the rows of a queue by whether the target can take them.

    A row without a version always counts. A row with one counts for the target
    that runs it. While that is unknown it is neither demand nor stranded but
    unproven: it asks for one replica, whose first claim shows the version, and
    goes on asking until then, so that the replica does not come and go.
    """
    versioned = {version: count for version, count in demand.by_version.items() if version is not None}
    unversioned = max(0, demand.runnable + demand.delayed_soon - sum(versioned.values()))
    known = versions.current is not None
    own = versioned.get(versions.current, 0) if versions.current is not None else 0
    others = sum(versioned.values()) - own
    return Work(
        waiting=unversioned + own,
        running=demand.running,
        unproven=0 if known else others,
        stranded=others if known else 0,
        mean_duration_seconds=demand.mean_duration_seconds,
    )
