"""The operator's measures as tasks: `dbos-operator run` as a process, on a control plane and a database of its own."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property

import psycopg

from benchmarks.suite.cluster import Namespace, a_namespace, connected, create_resources, running_plane, until_ready
from benchmarks.suite.history import fill_history
from benchmarks.suite.operator_catalogue import QUICK, Sizes, few_figures, many_figures, ready_figures, scale_figures
from benchmarks.suite.runner import Task
from benchmarks.suite.sides import Found, Side
from benchmarks.suite.wire import Count, counted
from benchmarks.workload.memory import resident_megabytes
from support.controlplane.plane import ControlPlane
from support.operator_process import OperatorProcess
from support.postgres import PostgresServer

_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: nothing-runs-here}]}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: scaled}
spec: {scaling: {targetRef: {name: worker}, workflowsPerReplica: 1, maxReplicas: 100}}
"""
_WORK = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name) VALUES (%s, 'ENQUEUED', 'work', 'scaled')
"""
_TICK_SECONDS = 5.0
"""The operator's default."""
_FAST_TICK_SECONDS = 0.1
_SETTLE_SECONDS = 1.0
"""The last status may still be on its way when the last object is Ready."""
_WAITING = 100
_LOOK_SECONDS = 0.01
_PATIENCE_SECONDS = 120.0


class OperatorMeasures:
    """Takes the measures of the operator; the control plane starts with the first."""

    def __init__(self, server: PostgresServer, stack: ExitStack, say: Callable[[str], None], *, quick: bool) -> None:
        """What is started ends with the stack."""
        self._server = server
        self._stack = stack
        self._say = say
        self._sizes = QUICK if quick else Sizes()
        self._many_url: str | None = None

    def tasks(self) -> list[Task]:
        """Every measure, in the order of the table."""
        sizes, ours = self._sizes, (Side.OURS,)
        return [
            Task("operator-ready", ready_figures(sizes), self._ready, sides=ours, rounds=3),
            Task("operator-pass", few_figures(sizes), self._few_rows, sides=ours, rounds=3),
            Task("operator-pass-many", many_figures(sizes), self._many_rows, sides=ours, rounds=2),
            Task("operator-scale", scale_figures(), self._scale, sides=ours, rounds=2),
        ]

    @cached_property
    def _plane(self) -> ControlPlane:
        self._say("    starting etcd, kube-apiserver and kube-controller-manager")
        return self._stack.enter_context(running_plane(self._say))

    def _ready(self, _side: Side) -> Found:
        """From the first creation to the last Ready, and what the process holds before and after."""
        with self._server.database() as url, a_namespace(self._plane, url) as namespace, _operating(namespace) as run:
            before = resident_megabytes(run.pid)
            seconds = asyncio.run(_seconds_until_ready(namespace, self._sizes.resources // 2))
            return {"seconds": seconds, "megabytes_before": before, "megabytes": resident_megabytes(run.pid)}

    def _few_rows(self, _side: Side) -> Found:
        """What a pass costs, and what it asks: in two runs, for counting costs time."""
        with self._server.database() as url:
            fill_history(url, ended=self._sizes.few_rows, waiting=_WAITING)
            found = self._steady(url)
            with counted(url) as (through, count):
                return {**self._steady(through, count), **found}

    def _many_rows(self, _side: Side) -> Found:
        if self._many_url is None:
            self._many_url = self._server.create_database()
            fill_history(self._many_url, ended=self._sizes.many_rows, waiting=_WAITING)
        return self._steady(self._many_url)

    def _steady(self, url: str, count: Count | None = None) -> Found:
        """Passes in which nothing differs: their time as the operator's own metric has it, and what they ask."""
        with (
            a_namespace(self._plane, url) as namespace,
            _operating(namespace, "--tick", f"{_FAST_TICK_SECONDS * 1000:.0f}ms") as operator,
        ):
            asyncio.run(_seconds_until_ready(namespace, self._sizes.steady // 2))
            time.sleep(_SETTLE_SECONDS)
            begin = _Moment(operator, count)
            time.sleep(self._sizes.steady_seconds)
            end = _Moment(operator, count)
        passes = end.passes - begin.passes
        found = {"pass": (end.seconds - begin.seconds) / passes * 1000}
        if count is not None:
            found["statements"] = round((end.statements - begin.statements) / passes, 1)
            found["round_trips"] = round((end.round_trips - begin.round_trips) / passes, 1)
        return found

    def _scale(self, _side: Side) -> Found:
        """From a committed row to more replicas in the Deployment, at random moments of the tick."""
        with self._server.database() as url, a_namespace(self._plane, url) as namespace:
            namespace.kubectl.apply(_DEPLOYMENT)
            with _operating(namespace), psycopg.connect(url, autocommit=True) as connection:
                namespace.kubectl("wait", "--for=condition=Ready", "dbosqueue/scaled", "--timeout=30s")
                samples = asyncio.run(_milliseconds_to_scale(namespace, connection, self._sizes.scalings))
        return {"milliseconds": samples}


class _Moment:
    """What the operator's metrics and the relay say now."""

    def __init__(self, operator: OperatorProcess, count: Count | None) -> None:
        _, text = operator.fetch("/metrics")
        self.seconds = _metric(text, "dbos_operator_reconcile_seconds_sum")
        self.passes = _metric(text, "dbos_operator_reconcile_seconds_count")
        self.statements = 0 if count is None else count.statements
        self.round_trips = 0 if count is None else count.round_trips


def _metric(text: str, name: str) -> float:
    (value,) = re.findall(rf"^{name}{{.*}} (\S+)$", text, re.MULTILINE)
    return float(value)


@contextmanager
def _operating(namespace: Namespace, *arguments: str) -> Iterator[OperatorProcess]:
    """An operator that has reached the database of a namespace."""
    operator = OperatorProcess("--namespace", namespace.name, *arguments, kubeconfig=namespace.kubeconfig)
    try:
        operator.wait_until_started()
        namespace.await_database()
        yield operator
    finally:
        operator.stop()


async def _seconds_until_ready(namespace: Namespace, half: int) -> float:
    async with connected(namespace.kubeconfig, namespace.name) as cluster:
        began = time.monotonic()
        # Names of the namespace: another one may have used the database before.
        newest = await create_resources(cluster, namespace.name, namespace.name, queues=half, schedules=half)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await until_ready(cluster, newest)
        return time.monotonic() - began


async def _milliseconds_to_scale(
    namespace: Namespace, connection: psycopg.Connection[tuple[object, ...]], samples: int
) -> list[float]:
    path = f"/apis/apps/v1/namespaces/{namespace.name}/deployments/worker/scale"
    pauses = random.Random(1)
    found = []
    async with connected(namespace.kubeconfig, namespace.name) as cluster:
        for number in range(samples):
            await asyncio.sleep(pauses.uniform(0, _TICK_SECONDS))
            await asyncio.to_thread(connection.execute, _WORK, (f"work-{number}",))
            began = time.monotonic()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while (await cluster.api.get(path))["spec"].get("replicas", 0) <= number:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
            found.append((time.monotonic() - began) * 1000)
    return found
