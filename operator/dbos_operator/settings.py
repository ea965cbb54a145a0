"""What the person who runs the operator decides, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dbos_operator.resources.identity import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """How often the loop looks, and at what. Raises ValueError for a value that cannot work."""

    tick: timedelta = timedelta(seconds=5)
    """How long a loop sleeps at most when nothing wakes it."""

    default_database: ObjectKey | None = None
    """The DBOSDatabase of resources that name none and whose namespace has no `default`."""

    namespaces: tuple[str, ...] = ()
    """The namespaces that are watched; empty: all."""

    sample: timedelta = timedelta(seconds=30)
    """How often exact depths and completed workflows are counted for the metrics."""

    coalesce: timedelta = timedelta(milliseconds=50)
    """How long a loop waits for more changes after the first one."""

    telemetry: timedelta = timedelta(seconds=60)
    """How often a status may be written when only its numbers changed."""

    happenings: timedelta = timedelta(seconds=5)
    """How often a status may be written when replicas changed or a schedule fired."""

    secret_refresh: timedelta = timedelta(seconds=60)
    """How often a Secret is read again while its database answers."""

    max_back_off: timedelta = timedelta(seconds=15)
    """The longest pause between two tries to reach a database that is down."""

    arrival: timedelta = timedelta(seconds=10)
    """How long a Secret or a DBOSDatabase may be missing before who names it is stalled: what is applied together
    comes in any order, and Flux gives up at once when something is stalled (fluxcd/kustomize-controller#933)."""

    parallel_writes: int = 32
    """Calls to the Kubernetes API in flight at once."""

    def __post_init__(self) -> None:
        for name in ("tick", "sample", "telemetry", "happenings", "secret_refresh", "max_back_off"):
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"{name}: expected more than 0 s, got {getattr(self, name)}")
        for name in ("coalesce", "arrival"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name}: expected 0 s or more, got {getattr(self, name)}")
        if self.parallel_writes < 1:
            raise ValueError(f"parallel_writes: expected at least 1, got {self.parallel_writes}")
        if any(not namespace.strip() for namespace in self.namespaces):
            raise ValueError("namespaces: expected names, got blank text")

    def watches(self, namespace: str) -> bool:
        """Whether objects of the namespace are seen."""
        return not self.namespaces or namespace in self.namespaces
