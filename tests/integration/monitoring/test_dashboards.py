"""A real Prometheus scrapes a real run, and every query of every dashboard has an answer."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbos import DBOSClient
from support.dashboards import ALERTS, DASHBOARDS, Query, list_queries, load_dashboard, selectors_of
from support.local_process import LocalProcess
from support.postgres import PostgresServer
from support.prometheus.fetch import PrometheusPrograms
from support.prometheus.server import Prometheus, PrometheusError, running_prometheus
from support.waiting import eventually

QUERIES = [query for file in DASHBOARDS for query in list_queries(load_dashboard(file))]
VARIABLES = {
    "namespace": "(default)",
    "database": "(default/default)",
    "queue": "(orders)",
    "__rate_interval": "10s",
    "__range": "30s",
}
"""What Grafana puts in when one value of each variable is chosen."""
NOTHING = re.compile(r" or vector\(0\)")
"""Shows zero where there is nothing, also where a name is wrong."""
APP = """
import time
from dbos import DBOS

DBOS(config={"name": "orders"})

@DBOS.workflow()
def ship(order):
    if order.startswith("bad"):
        raise ValueError("cannot be shipped")
    return pack(order)

@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=0.01)
def pack(order):
    if order.startswith("broken"):
        raise RuntimeError("cannot be packed")
    if order.startswith("slow"):
        print("slow has begun", flush=True)
        time.sleep(4)
    return order

@DBOS.workflow()
def look(scheduled_at, context):
    return context
"""
MANIFESTS = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}, recovery: {gracePeriod: 1s}}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: orders}
spec:
  workerConcurrency: 2
  scaling: {targetRef: {name: worker}, maxReplicas: 1, workflowsPerReplica: 4, idleAfter: 2s}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSSchedule
metadata: {name: look}
spec: {workflowName: look, schedule: "*/5 * * * * *", queueName: orders, context: {}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
      - {name: worker, command: [dbos, worker, app.py]}
"""


@dataclass(slots=True)
class Run:
    """A run that goes on, and the Prometheus that watches it."""

    process: LocalProcess
    folder: Path
    url: str
    operator: str
    """The address of the operator's metrics."""
    prometheus: Prometheus
    began: float

    def pods(self) -> dict[str, str]:
        """The addresses of the workers' metrics, by pod; Prometheus is told of them."""
        found = {}
        for file in (self.folder / ".dbos" / "pods").iterdir():
            try:
                found[file.name] = f"127.0.0.1:{json.loads(file.read_text(encoding='utf-8'))['metricsPort']}"
            except FileNotFoundError:
                continue  # gone since it was listed
        tell(self.folder, found)
        return found

    def unanswered(self, queries: list[Query]) -> list[str]:
        """The queries, and the metrics in them, for which this run has shown nothing so far."""
        self.pods()
        asked = [(query.panel, NOTHING.sub("", query.filled(VARIABLES))) for query in queries]
        parts = [(panel, selector) for panel, expression in asked for selector in selectors_of(expression)]
        answered = {expression: self._has(expression) for _, expression in {*asked, *parts}}
        return sorted({f"{panel}: {expression}" for panel, expression in (*asked, *parts) if not answered[expression]})

    def _has(self, expression: str) -> bool:
        found = self.prometheus.query_range(expression, self.began, time.time())
        return any(not math.isnan(float(value)) for series in found for _, value in series["values"])


def tell(folder: Path, pods: dict[str, str]) -> None:
    """Write the file by which Prometheus finds the workers, whole or not at all."""
    targets = [
        {"targets": [address], "labels": {"namespace": "default", "pod": name}} for name, address in pods.items()
    ]
    (folder / "workers.part").write_text(json.dumps(targets), encoding="utf-8")
    (folder / "workers.part").rename(folder / "workers.json")


def configuration(folder: Path, operator: str) -> dict[str, Any]:
    """What the chart's ServiceMonitor and the example's PodMonitor come to."""
    return {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in ALERTS],
        "scrape_configs": [
            {
                "job_name": "operator",
                "honor_labels": True,
                "static_configs": [{"targets": [operator], "labels": {"namespace": "dbos-system"}}],
            },
            {
                "job_name": "workers",
                "file_sd_configs": [{"files": [str(folder / "workers.json")], "refresh_interval": "1s"}],
            },
        ],
    }


def enqueue(url: str, *orders: str) -> None:
    with DBOSClient(system_database_url=url) as client:
        for order in orders:
            name = "unheard_of" if order == "strange" else "ship"
            client.enqueue({"workflow_name": name, "queue_name": "orders", "workflow_id": order}, order)


@pytest.fixture(scope="module")
def run(
    prometheus_programs: PrometheusPrograms, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """Orders that succeed, fail, break and are not known; a worker that goes by force, and one that comes and stays.

    One at a time: what a second one counts before it is scaled down may be seen by no scrape.
    """
    folder = tmp_path_factory.mktemp("run")
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "app.yaml").write_text(MANIFESTS, encoding="utf-8")
    with postgres_server.database() as url:
        process = LocalProcess(folder, "--database", url, "--tick", "200ms", "--metrics-address", "127.0.0.1:0")
        try:
            operator = process.wait_for(lambda line: "metrics on http://" in line).split("http://")[1].split("/")[0]
            tell(folder, {})
            settings = configuration(folder, operator)
            with running_prometheus(prometheus_programs, folder / "prometheus", settings) as prometheus:
                story = Run(process, folder, url, operator, prometheus, began=time.time())
                play(story)
                yield story
        finally:
            process.end()


def play(run: Run) -> None:
    """Have happen what the dashboards show."""
    counted = 'dbos_operator_workflows_completed_total{queue="orders"}'  # an increase needs the zero before it
    eventually(lambda: run.prometheus.query_range(counted, run.began, time.time()), bool, what="a first scrape")
    enqueue(run.url, *(f"slow-{number}" for number in range(4)), "strange")
    run.process.wait_for(lambda line: "slow has begun" in line)
    (victim, *_) = run.pods()
    (run.folder / ".dbos" / "pods" / victim).unlink()  # kubectl delete pod --force
    # What a pod counts between its last scrape and its end nobody sees, so the others come after.
    enqueue(run.url, *(f"{kind}-{number}" for number in range(4) for kind in ("good", "bad", "broken")))


@pytest.mark.timeout(480)
def test_every_query_of_every_dashboard_has_an_answer(run: Run) -> None:
    eventually(
        lambda: run.unanswered(QUERIES), lambda missing: not missing, within=240, explain=lambda: run.process.text
    )


def test_the_table_of_failures_counts_each_one_although_its_series_began_with_it(run: Run) -> None:
    (query,) = (query for query in QUERIES if query.panel == "Failures by workflow and error")
    expression = query.filled({**VARIABLES, "__range": "10m"})

    def failures() -> dict[str, float]:
        found = run.prometheus.query_range(expression, time.time(), time.time())
        return {series["metric"]["error"]: float(series["values"][-1][1]) for series in found}

    eventually(failures, lambda found: sorted(found.values()) == [4, 4], within=60, explain=lambda: run.process.text)
    assert "ValueError" in failures()


def test_a_healthy_run_alerts_of_nothing_but_its_failures(run: Run) -> None:
    def alerts() -> set[str]:
        found = run.prometheus.query_range('ALERTS{alertname=~"DBOS.+"}', time.time(), time.time())
        return {series["metric"]["alertname"] for series in found}

    eventually(alerts, lambda found: found == {"DBOSWorkflowsFailing"}, within=60, explain=lambda: run.process.text)


def test_a_metric_that_is_misspelt_would_be_noticed(run: Run) -> None:
    wrong = [Query(query.panel, re.sub(r"(dbos_\w+?)_(\w)", r"\1_x\2", query.expression)) for query in QUERIES]
    misspelt = [query for query in wrong if selectors_of(query.expression)]

    noticed = {line.split(": ")[0] for line in run.unanswered(misspelt)}

    assert noticed == {query.panel for query in misspelt}


def test_an_expression_that_is_none_would_be_noticed(run: Run) -> None:
    with pytest.raises(PrometheusError, match="parse error"):
        run.unanswered([Query("broken", "sum(dbos_operator_queue_depth")])


def test_prometheus_finds_nothing_odd_in_what_operator_and_workers_say(
    run: Run, prometheus_programs: PrometheusPrograms
) -> None:
    pods = eventually(run.pods, lambda found: found, what="a worker", explain=lambda: run.process.text)
    for address in (run.operator, *pods.values()):
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        done = subprocess.run(
            [prometheus_programs.promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
