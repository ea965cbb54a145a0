"""What every loop of the operator works with, handed in once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dbos_operator.cluster.protocol import Cluster
from dbos_operator.loop.access import OpenGateway
from dbos_operator.loop.reporter import Reporter
from dbos_operator.observability.metrics import OperatorMetrics
from dbos_operator.settings import OperatorSettings

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of the machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParts:
    """The collaborators of a loop."""

    cluster: Cluster
    reporter: Reporter
    settings: OperatorSettings
    metrics: OperatorMetrics
    open_gateway: OpenGateway
    clock: Clock = utc_now
