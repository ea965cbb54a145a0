"""`helm install --wait` of an application's chart: Helm 4 waits for our kinds, and fails with what we say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.chart import CHART, a_chart
from support.controlplane.kinds import wait_for_kinds
from support.controlplane.plane import ControlPlane
from support.helm import Helm, HelmError
from support.kubectl import Kubectl
from support.operator_process import an_operator

DATABASE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
"""
QUEUE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: emails}
spec: {concurrency: 3}
"""
SCHEDULE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSSchedule
metadata: {name: nightly}
spec: {workflowName: nightly_report, schedule: "0 2 * * *", queueName: emails}
"""


@pytest.fixture
def helm(
    get_helm: Any, control_plane: ControlPlane, no_kinds: None, kubectl: Kubectl, namespace: str, database_url: str
) -> Iterator[Helm]:
    """Helm 4, in a namespace where an operator works and the Secret of the database is."""
    kubectl("apply", "--filename", str(CHART / "files" / "crds"))
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    wait_for_kinds(kubectl)
    with an_operator("--namespace", namespace, "--tick", "500ms", kubeconfig=control_plane.admin_kubeconfig):
        yield get_helm(4, control_plane.admin_kubeconfig, namespace)
        # Schedules have a finalizer, which only an operator takes away.
        kubectl("delete", "dbosschedules", "--all", "--timeout=45s")


def test_it_returns_when_the_rows_are_there(helm: Helm, tmp_path: Path, database_url: str) -> None:
    helm("install", "app", str(a_chart(tmp_path, DATABASE, QUEUE, SCHEDULE)), "--wait", "--timeout=100s")

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT name FROM dbos.queues").fetchall() == [("emails",)]
        assert connection.execute("SELECT schedule_name FROM dbos.workflow_schedules").fetchall() == [("nightly",)]


def test_it_fails_with_the_message_of_a_resource_that_needs_help(helm: Helm, tmp_path: Path) -> None:
    chart = a_chart(tmp_path, DATABASE, SCHEDULE.replace("0 2 * * *", "61 2 * * *"))

    with pytest.raises(HelmError, match=r"61 2 \* \* \*"):
        helm("install", "app", str(chart), "--wait", "--timeout=100s")


def test_an_upgrade_waits_for_the_edit(helm: Helm, tmp_path: Path, database_url: str) -> None:
    helm("install", "app", str(a_chart(tmp_path / "one", DATABASE, QUEUE)), "--wait", "--timeout=100s")

    edited = a_chart(tmp_path / "two", DATABASE, QUEUE.replace("concurrency: 3", "concurrency: 4"))
    helm("upgrade", "app", str(edited), "--wait", "--timeout=100s")

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT concurrency FROM dbos.queues").fetchall() == [(4,)]
