"""What the loop asks of a system database. Every call blocks: the loop makes it in a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from dbos_operator.decide.changes import Applied, Change
from dbos_operator.decide.rows import ObservedRows
from dbos_operator.resources.specs import ConnectionsSpec
from dbos_operator.scaling.demand import QueueDemand


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequest:
    """Which system database, and how it is treated."""

    url: str = field(repr=False)
    """Holds the password: never logged, never shown."""
    schema: str = "dbos"
    application_name: str | None = None
    initialize: bool = True
    """Whether a missing schema is created."""
    connections: ConnectionsSpec = field(default_factory=ConnectionsSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A system database that can be worked with."""

    identity: str
    """Equal for two requests exactly when both reach the same database and schema."""
    schema_version: int
    created: bool = False
    """Whether the schema was created just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDemand:
    """A queue whose rows are to be counted."""

    queue_name: str
    bound: int
    """Where counting stops, per kind of row."""
    version: str | None = None
    """The application version that its target runs, as far as it is known."""
    rate_limited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveRequest:
    """What one look takes in."""

    queue_names: Sequence[str]
    schedule_names: Sequence[str]
    wanted: Sequence[WantedDemand]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look: three statements, whatever the number of resources."""

    rows: ObservedRows
    demand: Mapping[str, QueueDemand]


QueueStatus: TypeAlias = tuple[str, str]
"""A queue (empty: none) and a status of its workflows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Exact numbers for the metrics."""

    depths: Mapping[QueueStatus, int]
    oldest_ms: Mapping[str, int]
    """The oldest ENQUEUED row of each queue."""
    settled: Mapping[QueueStatus, int]
    """Completed since the sample before; these are counted once and for all."""
    recent: Mapping[QueueStatus, int]
    """Completed in the last seconds; the next sample counts them again."""
    since_ms: int
    """What the next sample starts from."""


class Gateway(Protocol):
    """One system database.

    Raises DatabaseUnavailableError (AuthenticationFailedError when the server
    refuses the user) while it does not answer and UnusableDatabaseError when it
    cannot be worked with as it is.
    """

    def prepare(self) -> Prepared:
        """Look at the schema, create what is missing and may be created, refuse what cannot be used."""
        ...

    def observe(self, request: ObserveRequest) -> Observation:
        """Read everything that decisions need."""
        ...

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """Make the changes in one short transaction; what became of each, in their order.

        A change that the database refuses does not keep the others from being made.
        """
        ...

    def sample(self, since_ms: int | None) -> Sample:
        """Count exactly, for the metrics; None: completed workflows count from now on."""
        ...

    def abandon(self) -> None:
        """Break the connections in use: whoever waits for an answer on one fails now. Called from another thread."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
