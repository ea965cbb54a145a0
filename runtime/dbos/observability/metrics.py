"""Prometheus metrics of one process: what it ran, and what waits on its queues."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dbos.engine.engine import Engine
from dbos.store.operation import Row
from dbos.store.queues import load_depths
from dbos.telemetry import (
    Event,
    ScheduleFired,
    StepEnded,
    WorkflowEnded,
    WorkflowsRecovered,
    WorkflowStarted,
    WorkflowUndispatchable,
)

logger = logging.getLogger("dbos")

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
DEPTH_TTL_SECONDS = 5.0
"""Scrapes within this time share one reading of the queues."""


class RuntimeMetrics:
    """The metrics of a process, on a registry of their own. `observe` takes the engine's events."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        labels = ("workflow", "queue")
        own = self.registry
        self._started = Counter("dbos_workflows_started", "Executions begun here", labels, registry=own)
        self._completed = Counter(
            "dbos_workflows_completed", "Executions ended here, by status", (*labels, "status"), registry=own
        )
        self._failures = Counter(
            "dbos_workflow_failures", "Executions that failed here, by class of error", (*labels, "error"), registry=own
        )
        self._duration = Histogram(
            "dbos_workflow_duration_seconds",
            "From the first line to the outcome",
            labels,
            buckets=SECONDS,
            registry=own,
        )
        self._waited = Histogram(
            "dbos_queue_wait_seconds", "From runnable to claimed", ("queue",), buckets=SECONDS, registry=own
        )
        self._steps = Counter("dbos_steps", "Steps ended here, by outcome", ("step", "outcome"), registry=own)
        self._step_duration = Histogram(
            "dbos_step_duration_seconds", "A step with all its attempts", ("step",), buckets=SECONDS, registry=own
        )
        self._retries = Counter("dbos_step_retries", "Attempts after the first", ("step",), registry=own)
        self._recoveries = Counter("dbos_recoveries", "Workflows made runnable again at launch", registry=own)
        self._undispatchable = Counter(
            "dbos_undispatchable",
            "Claimed, and could not begin here",
            ("workflow", "queue", "cause"),
            registry=own,
        )
        self._lateness = Histogram(
            "dbos_schedule_lateness_seconds",
            "From the moment that a run was due to its row",
            ("schedule",),
            buckets=(0.001, 0.0025, *SECONDS),
            registry=own,
        )
        claimant = engine.services.claimant
        Gauge("dbos_executor_info", "This process", ("executor", "application", "version"), registry=own).labels(
            claimant.executor_id, claimant.application, claimant.version
        ).set(1)
        self.registry.register(_QueueCollector(engine))

    def observe(self, event: Event) -> None:
        """Count an event of the engine."""
        match event:
            case WorkflowStarted(workflow, queue, waited):
                self._started.labels(workflow, queue).inc()
                if waited is not None:
                    self._waited.labels(queue).observe(waited)
            case WorkflowEnded(workflow, queue, status, seconds, error):
                self._completed.labels(workflow, queue, status).inc()
                self._duration.labels(workflow, queue).observe(seconds)
                if error is not None:
                    self._failures.labels(workflow, queue, error).inc()
            case StepEnded(step, outcome, seconds, retries):
                self._steps.labels(step, outcome).inc()
                self._step_duration.labels(step).observe(seconds)
                if retries:
                    self._retries.labels(step).inc(retries)
            case WorkflowsRecovered(count):
                self._recoveries.inc(count)
            case WorkflowUndispatchable(workflow, queue, cause):
                self._undispatchable.labels(workflow, queue, cause).inc()
            case ScheduleFired(schedule, late_seconds):
                self._lateness.labels(schedule).observe(late_seconds)


class _QueueCollector(Collector):
    """Reads the depth of the queues when scraped. Counts stop at a bound, so a scrape stays cheap."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._rows: list[Row] = []
        self._read_at = float("-inf")

    def describe(self) -> Iterator[Metric]:
        """The names, without a look at the database."""
        yield from self._families()

    def collect(self) -> Iterator[Metric]:
        """The depths, at most some seconds old; none while the database does not answer."""
        depth, oldest, running = self._families()
        for row in self._depths():
            if row["status"] is not None:
                depth.add_metric([row["name"], row["status"]], row["depth"])
            if row["oldest_ms"] is not None:
                oldest.add_metric([row["name"]], row["oldest_ms"] / 1000)
        for queue, count in self._engine.queues.running.items():
            running.add_metric([queue], count)
        yield from (depth, oldest, running)

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "dbos_queue_depth",
                "Workflows of a queue by status (all processes see the same; take the maximum)",
                labels=("queue", "status"),
            ),
            GaugeMetricFamily(
                "dbos_queue_oldest_enqueued_timestamp_seconds",
                "When the oldest workflow that waits was enqueued",
                labels=("queue",),
            ),
            GaugeMetricFamily("dbos_workflows_running", "Claimed workflows held here", labels=("queue",)),
        )

    def _depths(self) -> list[Row]:
        services = self._engine.services
        with self._lock:
            if time.monotonic() - self._read_at > DEPTH_TTL_SECONDS:
                try:
                    self._rows = services.database.attempt(lambda: load_depths(services.claimant.application))
                except Exception as error:  # noqa: BLE001 -- a scrape without depths tells more than none
                    logger.warning("The depths of the queues could not be read for the metrics: %s", error)
                    self._rows = []
                self._read_at = time.monotonic()
            return self._rows
