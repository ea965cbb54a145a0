"""The operator's own metrics. Workers export `dbos_…`, the operator `dbos_operator_…`: nothing is counted twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_PREFIX = "dbos_operator"
_FAILED = frozenset({"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
_EXPECTED = ("SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""What alerts look at: these statuses are shown before anything has ended in them."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

QueueStatus = tuple[str, str]
Target = tuple[str, str, str]
"""Namespace, kind and name."""


class OperatorMetrics:
    """Every metric of the operator, on a registry of its own.

    Series of an object that is gone are removed with it, so a dashboard never
    shows what no longer exists.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry(auto_describe=True)
        queue, target = ("database", "queue"), ("namespace", "kind", "name")
        self._depth = self._gauge("queue_depth", "Workflows that are not finished.", *queue, "status")
        self._oldest = self._gauge(
            "queue_oldest_enqueued_timestamp_seconds", "When the oldest workflow that waits was enqueued.", *queue
        )
        self._next_run = self._gauge(
            "schedule_next_run_timestamp_seconds", "When a schedule is due next.", "database", "schedule"
        )
        self._fired = self._counter("schedule_fired", "Runs that the operator started.", "database", "schedule")
        self._missed = self._counter(
            "schedule_missed", "Runs that were due and that nobody started in time.", "database", "schedule"
        )
        self._desired = self._gauge("workers_desired", "Replicas that the work asks for.", *target)
        self._current = self._gauge("workers_current", "Replicas that are ready.", *target)
        self._recovered = self._counter(
            "recovered_workflows", "Workflows of vanished pods that were made runnable again.", "database"
        )
        self._reconcile = Histogram(
            f"{_PREFIX}_reconcile_seconds",
            "Time of one pass.",
            ("database",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rows_written = self._counter("rows_written", "Rows that passes changed.", "database")
        self._up = self._gauge("database_up", "Whether the system database answers.", "database")
        build = self._gauge("build_info", "The version of the operator.", "version")
        build.labels(_version()).set(1)
        self._completed = CompletedWorkflows()
        self.registry.register(self._completed)
        self._depths: dict[str, set[QueueStatus]] = {}
        self._oldest_queues: dict[str, set[str]] = {}
        self._schedules: dict[str, set[str]] = {}
        self._targets: dict[str, set[Target]] = {}

    @property
    def failed_total(self) -> int:
        """Workflows that failed since the operator started, in every database."""
        return self._completed.failed_total

    def set_database_up(self, database: str, *, up: bool) -> None:
        """Whether the database answered last."""
        self._up.labels(database).set(1 if up else 0)
        for counter in (self._recovered, self._rows_written):
            counter.labels(database)  # from zero on: what begins with its first count shows no increase

    def observe_reconcile(self, database: str, seconds: float) -> None:
        """The time of one pass."""
        self._reconcile.labels(database).observe(seconds)

    def add_rows_written(self, database: str, rows: int) -> None:
        """Rows that a pass changed."""
        self._rows_written.labels(database).inc(rows)

    def add_fired(self, database: str, schedule: str, runs: int) -> None:
        """Runs of a schedule that the operator started."""
        self._fired.labels(database, schedule).inc(runs)

    def add_missed(self, database: str, schedule: str, runs: int) -> None:
        """Runs of a schedule that were due and that nobody started in time."""
        self._missed.labels(database, schedule).inc(runs)

    def add_recovered(self, database: str, workflows: int) -> None:
        """Workflows that were made runnable again."""
        self._recovered.labels(database).inc(workflows)

    def set_schedules(self, database: str, next_runs: Mapping[str, float | None]) -> None:
        """Every schedule of a database with the time when it is due next (None: it is paused); other series go."""
        for name, moment in next_runs.items():
            self._fired.labels(database, name)
            self._missed.labels(database, name)
            if moment is None:
                self._next_run.remove(database, name)
            else:
                self._next_run.labels(database, name).set(moment)
        for name in self._schedules.get(database, set()) - set(next_runs):
            self._next_run.remove(database, name)
            self._fired.remove(database, name)
            self._missed.remove(database, name)
        self._schedules[database] = set(next_runs)

    def set_workers(self, database: str, workers: Mapping[Target, tuple[int, int]]) -> None:
        """Every target of a database with the replicas that it should have and those that are ready; others go."""
        for target, (desired, current) in workers.items():
            self._desired.labels(*target).set(desired)
            self._current.labels(*target).set(current)
        for target in self._targets.get(database, set()) - set(workers):
            self._desired.remove(*target)
            self._current.remove(*target)
        self._targets[database] = set(workers)

    def set_depths(self, database: str, depths: Mapping[QueueStatus, int], oldest: Mapping[str, float]) -> None:
        """Exact depths by queue and status, and the oldest waiting workflow of each queue; other series go."""
        for (queue, status), count in depths.items():
            self._depth.labels(database, queue, status).set(count)
        for queue, status in self._depths.get(database, set()) - set(depths):
            self._depth.remove(database, queue, status)
        self._depths[database] = set(depths)
        for queue, moment in oldest.items():
            self._oldest.labels(database, queue).set(moment)
        for queue in self._oldest_queues.get(database, set()) - set(oldest):
            self._oldest.remove(database, queue)
        self._oldest_queues[database] = set(oldest)

    def expect_completed(self, database: str, queues: Collection[str]) -> None:
        """Every queue of a database; series of other queues go.

        Where nothing has ended yet zero is shown, so that the first failure is an increase.
        """
        self._completed.expect(database, queues)

    def add_completed(
        self, database: str, settled: Mapping[QueueStatus, int], recent: Mapping[QueueStatus, int]
    ) -> None:
        """Workflows completed since the last call; `recent` ones come again with the next call."""
        self._completed.add(database, settled, recent)

    def drop_database(self, database: str) -> None:
        """Forget a database that is gone."""
        self.set_schedules(database, {})
        self.set_workers(database, {})
        self.set_depths(database, {}, {})
        self._completed.drop(database)
        for metric in (
            self._recovered,
            self._reconcile,
            self._rows_written,
            self._up,
            self._fired,
            self._missed,
        ):
            metric.remove_by_labels({"database": database})

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)


class CompletedWorkflows(Collector):
    """Completed workflows, counted from the rows: failures stay visible while no worker runs.

    A row that ended in the last seconds is counted at once and again with the
    next sample; what was shown never falls.
    """

    def __init__(self) -> None:
        self._settled: dict[tuple[str, str, str], int] = {}
        self._shown: dict[tuple[str, str, str], int] = {}
        self._failed_before = 0
        """Failures of queues whose series are gone."""

    @property
    def failed_total(self) -> int:
        """Failures, those of queues whose series are gone included."""
        return self._failed_before + sum(count for (_, _, status), count in self._shown.items() if status in _FAILED)

    def expect(self, database: str, queues: Collection[str]) -> None:
        """Show these queues of a database and no others; zero where nothing was counted yet."""
        for key in [key for key in self._shown if key[0] == database and key[1] not in queues]:
            del self._shown[key]
            settled = self._settled.pop(key, 0)
            if key[2] in _FAILED:
                # What is not settled comes with the next sample, among the queues that nobody names.
                self._failed_before += settled
        for queue in queues:
            for status in _EXPECTED:
                self._shown.setdefault((database, queue, status), 0)

    def add(self, database: str, settled: Mapping[QueueStatus, int], recent: Mapping[QueueStatus, int]) -> None:
        """Take in a sample."""
        for queue, status in {*settled, *recent}:
            key = (database, queue, status)
            self._settled[key] = self._settled.get(key, 0) + settled.get((queue, status), 0)
            total = self._settled[key] + recent.get((queue, status), 0)
            self._shown[key] = max(self._shown.get(key, 0), total)

    def drop(self, database: str) -> None:
        """Forget a database."""
        for counts in (self._settled, self._shown):
            for key in [key for key in counts if key[0] == database]:
                del counts[key]

    def describe(self) -> Iterator[CounterMetricFamily]:
        """The family without samples, as the registry asks for it."""
        yield self._family()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The family as it stands."""
        family = self._family()
        for key, count in sorted(self._shown.items()):
            family.add_metric(key, count)
        yield family

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(
            f"{_PREFIX}_workflows_completed", "Workflows that ended.", labels=("database", "queue", "status")
        )


def _version() -> str:
    try:
        return version("dbos-operator")
    except PackageNotFoundError:
        return "unknown"
