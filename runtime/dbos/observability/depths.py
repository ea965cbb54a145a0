"""What waits and runs on the queues of an application, as one of its processes tells Prometheus.

scraped --> read lately? --yes--> the same again
                | no
            hold the duty? --no--> nothing: another process tells it
                | yes
            count, up to bounds
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dbos.core.dispatch import Undispatchable
from dbos.observability.labels import OTHER
from dbos.store.depths import QueueDepth

logger = logging.getLogger("dbos")

FRESH_SECONDS = 5.0
"""Scrapes within this time share one reading."""
PAUSE_FACTOR = 20
"""A reading that takes long is made less often: it takes at most this part of the time."""
FIRST_LEASE_SECONDS = 150.0
LEASE_SECONDS = (15.0, 900.0)
"""How long the duty is held without another scrape: at least, and at most."""
MISSED_SCRAPES = 2.5
"""The duty lasts that many times as long as two scrapes lay apart,"""
REMEMBERED_SCRAPES = 4
"""at most, of the last ones: a second Prometheus, or a person, comes in between."""
MOST_UNREGISTERED = 100
"""How many queues that nobody registered are told by name."""


class QueueDepths(Collector):
    """The gauges of all queues, told by the one process of an application that holds the duty.

    A process holds it as long as it is scraped. The others tell nothing of queues, so that a sum over
    processes counts nothing twice.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[QueueDepth]],
        hold: Callable[[float], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` counts; `hold` takes the duty for that many seconds and tells whether it is this process's.

        What they raise is logged, and nothing is told then.
        """
        self._read = read
        self._hold = hold
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: Sequence[QueueDepth] = ()
        self._fresh_until = float("-inf")
        self._scraped_at: float | None = None
        self._intervals: deque[float] = deque(maxlen=REMEMBERED_SCRAPES)

    def describe(self) -> Iterator[Metric]:
        """The names, without a look at the database."""
        yield from _families()

    def collect(self) -> Iterator[Metric]:
        """The gauges; without samples where another process tells them, or the database does not answer."""
        depth, oldest, stuck = _families()
        for queue in _bounded(self._look()):
            for status, count in (("ENQUEUED", queue.enqueued), ("PENDING", queue.pending)):
                depth.add_metric([queue.name, status], count)
            if queue.delayed:
                depth.add_metric([queue.name, "DELAYED"], queue.delayed)
            if queue.oldest_ms is not None:
                oldest.add_metric([queue.name], queue.oldest_ms / 1000)
            for cause, count in _obstacles(queue):
                stuck.add_metric([queue.name, cause], count)
        yield from (depth, oldest, stuck)

    def _look(self) -> Sequence[QueueDepth]:
        with self._lock:
            now = self._clock()
            if now < self._fresh_until:
                return self._rows
            try:
                self._rows = self._read() if self._hold(self._lease(now)) else ()
            except Exception as error:  # noqa: BLE001 -- a scrape without depths tells more than none
                logger.warning("The depths of the queues could not be read for the metrics: %s", error)
                self._rows = ()
            self._fresh_until = self._clock() + max(FRESH_SECONDS, (self._clock() - now) * PAUSE_FACTOR)
            return self._rows

    def _lease(self, now: float) -> float:
        if self._scraped_at is not None:
            self._intervals.append(now - self._scraped_at)
        self._scraped_at = now
        if not self._intervals:
            return FIRST_LEASE_SECONDS
        least, most = LEASE_SECONDS
        return min(max(max(self._intervals) * MISSED_SCRAPES, least), most)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "dbos_queue_depth",
            "Workflows of a queue that are not finished, by status; one process of an application tells it",
            labels=("queue", "status"),
        ),
        GaugeMetricFamily(
            "dbos_queue_oldest_enqueued_timestamp_seconds",
            "When the oldest workflow that waits was enqueued; one process of an application tells it",
            labels=("queue",),
        ),
        GaugeMetricFamily(
            "dbos_undispatchable_workflows",
            "Workflows that wait and that nobody can take, by cause; one process of an application tells it",
            labels=("queue", "cause"),
        ),
    )


def _obstacles(queue: QueueDepth) -> list[tuple[str, int]]:
    if not queue.registered:
        return [(Undispatchable.UNREGISTERED_QUEUE.value, queue.enqueued + queue.delayed)]
    counts = ((Undispatchable.NO_PARTITION_KEY, queue.keyless), (Undispatchable.UNKNOWN_FUNCTION, queue.refused))
    return [(cause.value, count) for cause, count in counts if count]


def _bounded(queues: Sequence[QueueDepth]) -> list[QueueDepth]:
    """The queues, with all but some of those that nobody registered taken together: their names are no settings."""
    strange = [queue for queue in queues if not queue.registered]
    if len(strange) <= MOST_UNREGISTERED:
        return list(queues)
    rest = strange[MOST_UNREGISTERED:]
    oldest = [queue.oldest_ms for queue in rest if queue.oldest_ms is not None]
    together = QueueDepth(
        name=OTHER,
        registered=False,
        enqueued=sum(queue.enqueued for queue in rest),
        pending=sum(queue.pending for queue in rest),
        delayed=sum(queue.delayed for queue in rest),
        oldest_ms=min(oldest, default=None),
    )
    return [queue for queue in queues if queue.registered] + strange[:MOST_UNREGISTERED] + [together]
