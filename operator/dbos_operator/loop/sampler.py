"""Exact numbers for the metrics, taken beside the ticks."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from dbos_operator.errors import OperatorError
from dbos_operator.gateway.protocol import QueueStatus
from dbos_operator.loop.access import DatabaseAccess
from dbos_operator.observability.metrics import OperatorMetrics

logger = logging.getLogger(__name__)

OTHER = "_other"
"""Queues that no resource names, as one: the number of series stays bounded."""


class Sampler:
    """Depths and completed workflows of one database."""

    def __init__(self, database: str, access: DatabaseAccess, metrics: OperatorMetrics, interval: timedelta) -> None:
        self._database = database
        self._access = access
        self._metrics = metrics
        self._interval = interval
        self._since_ms: int | None = None
        self._taken_at: datetime | None = None
        self.depths: Mapping[QueueStatus, int] = {}
        """By queue and status, as of the last sample."""

    def is_due(self, now: datetime) -> bool:
        """Whether it is time for the next one."""
        return self._taken_at is None or now - self._taken_at >= self._interval

    async def take(self, queues: Collection[str], now: datetime) -> None:
        """Count once. A failure is logged and costs nothing but this sample."""
        self._taken_at = now
        try:
            sample = await self._access.sample(self._since_ms)
        except OperatorError as error:
            logger.warning("metrics not sampled", extra={"database": self._database, "error": str(error)})
            return
        self._since_ms = sample.since_ms
        self.depths = sample.depths
        depths = _fold(sample.depths, queues)
        oldest = {queue: moment / 1000 for queue, moment in sample.oldest_ms.items() if queue in queues}
        self._metrics.set_depths(self._database, depths, oldest)
        self._metrics.expect_completed(self._database, {*queues, "", OTHER})
        self._metrics.add_completed(self._database, _fold(sample.settled, queues), _fold(sample.recent, queues))


def _fold(counts: Mapping[QueueStatus, int], queues: Collection[str]) -> dict[QueueStatus, int]:
    """The counts of known queues, and of all others together."""
    folded: dict[QueueStatus, int] = defaultdict(int)
    for (queue, status), count in counts.items():
        folded[(queue if not queue or queue in queues else OTHER, status)] += count
    return folded
