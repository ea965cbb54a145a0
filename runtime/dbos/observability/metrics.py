"""Prometheus metrics of one process: what it ran, and what waits on its queues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dbos.engine.engine import Engine
from dbos.observability.depths import QueueDepths
from dbos.observability.labels import BoundedLabel
from dbos.store.depths import QueueDepth, load_depths
from dbos.telemetry import (
    Event,
    ScheduleFired,
    StepEnded,
    WorkflowEnded,
    WorkflowLeft,
    WorkflowsDeleted,
    WorkflowsRecovered,
    WorkflowStarted,
    WorkflowUndispatchable,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
DEPTHS_DUTY = "depths"
MOST_NAMES = 1000
"""How many workflows, steps, queues and schedules are told apart, each; the others are counted together."""
MOST_ERRORS = 200


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
        self._recoveries = Counter(
            "dbos_recoveries", "Workflows of lost processes that this one made runnable again", registry=own
        )
        self._deleted = Counter(
            "dbos_retention_deleted_workflows", "Workflows that ended and were deleted by this process", registry=own
        )
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
        self._workflow, self._step, self._queue, self._schedule = (BoundedLabel(MOST_NAMES) for _ in range(4))
        self._error = BoundedLabel(MOST_ERRORS)
        self._direct = 0
        self._direct_lock = threading.Lock()
        own.register(_Running(engine, lambda: self._direct))
        own.register(_depths_of(engine))

    def observe(self, event: Event) -> None:
        """Count an event of the engine."""
        match event:
            case WorkflowStarted(workflow, queue, waited):
                self._started.labels(self._workflow(workflow), self._queue(queue)).inc()
                if waited is None:
                    self._count_direct(1)
                else:
                    self._waited.labels(self._queue(queue)).observe(waited)
            case WorkflowLeft():
                self._count_direct(-1)
            case WorkflowEnded(workflow, queue, status, seconds, error):
                names = self._workflow(workflow), self._queue(queue)
                self._completed.labels(*names, status).inc()
                self._duration.labels(*names).observe(seconds)
                if error is not None:
                    self._failures.labels(*names, self._error(error)).inc()
            case StepEnded(step, outcome, seconds, retries):
                name = self._step(step)
                self._steps.labels(name, outcome).inc()
                self._step_duration.labels(name).observe(seconds)
                if retries:
                    self._retries.labels(name).inc(retries)
            case WorkflowsRecovered(count):
                self._recoveries.inc(count)
            case WorkflowsDeleted(count):
                self._deleted.inc(count)
            case WorkflowUndispatchable(workflow, queue, cause):
                self._undispatchable.labels(self._workflow(workflow), self._queue(queue), cause).inc()
            case ScheduleFired(schedule, late_seconds):
                self._lateness.labels(self._schedule(schedule)).observe(late_seconds)

    def _count_direct(self, change: int) -> None:
        with self._direct_lock:
            self._direct += change


def _depths_of(engine: Engine) -> QueueDepths:
    services = engine.services

    def read() -> list[QueueDepth]:
        database = services.database
        return database.attempt(
            partial(
                load_depths,
                services.claimant.application,
                system_schema=database.schema,
                refusals=database.has_runtime_tables,
                served=engine.queues.unstored,
            )
        )

    return QueueDepths(read, lambda seconds: engine.duties.hold(DEPTHS_DUTY, seconds=seconds, patient=False))


class _Running(Collector):
    """What this process holds at the moment."""

    def __init__(self, engine: Engine, direct: Callable[[], int]) -> None:
        self._engine = engine
        self._direct = direct

    def describe(self) -> Iterator[Metric]:
        """The name alone."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """A sample for each queue of which something runs here; one without a queue's name for what is on none."""
        family = self._family()
        for queue, count in self._engine.queues.running.items():
            family.add_metric([queue], count)
        if direct := self._direct():
            family.add_metric([""], direct)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily("dbos_workflows_running", "Workflows that this process runs", labels=("queue",))
