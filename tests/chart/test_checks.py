"""What the pods of `helm test` and of the hook say, on a real API server and beside a real operator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.chart import CHART
from support.controlplane.kinds import wait_for_kinds
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.operator_process import OperatorProcess, an_operator
from support.releases import in_cluster
from support.waiting import eventually

SCRIPT = CHART / "files" / "scripts" / "checks.py"
DATABASE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
"""
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lister}
rules: [{apiGroups: [dbos.dev], resources: [dbosdatabases], verbs: [list]}]
"""
Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(control_plane: ControlPlane, namespace: str, kubectl: Kubectl, tmp_path: Path) -> Check:
    """Runs the script as the pods do, with the rights that an operator has to list DBOSDatabases."""
    kubectl("create", "serviceaccount", "operator")
    kubectl.apply(ROLE)
    kubectl("create", "rolebinding", "lister", "--role=lister", f"--serviceaccount={namespace}:operator")
    variables = in_cluster(control_plane.kubeconfig_for_service_account(namespace, "operator"), tmp_path)

    def run(*arguments: str, seconds: int = 3) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.read_text(), *arguments],
            env={**os.environ, **variables, "DBOS_CHECK_SECONDS": str(seconds)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.strip()

    return run


@pytest.fixture
def kinds(no_kinds: None, kubectl: Kubectl) -> None:
    """The three kinds; they go with the test."""
    kubectl("apply", "--filename", str(CHART / "files" / "crds"))
    wait_for_kinds(kubectl)


@pytest.fixture
def operator(control_plane: ControlPlane, kinds: None, namespace: str) -> Iterator[OperatorProcess]:
    with an_operator("--namespace", namespace, "--tick", "500ms", kubeconfig=control_plane.admin_kubeconfig) as process:
        yield process


def url_of(operator: OperatorProcess) -> str:
    return operator.address("/readyz").removesuffix("/readyz")


def wait_until_ready(operator: OperatorProcess) -> None:
    """Return when the operator follows the cluster, for a check whose patience is for something else."""
    eventually(lambda: operator.fetch("/readyz"), lambda answer: answer[0] == 200, within=60, what="ready operator")


def test_kinds_that_are_not_served_are_said(check: Check) -> None:
    status, text = check("kinds", seconds=0)

    assert status == 1
    assert text.startswith("the cluster does not serve dbos.dev/v1beta1: ")


def test_a_kind_that_is_not_served_is_named(check: Check, no_kinds: None, kubectl: Kubectl) -> None:
    names = ("dbosdatabases", "dbosqueues")
    for name in names:
        kubectl("apply", "--filename", str(CHART / "files" / "crds" / f"{name}.yaml"))
    wait_for_kinds(kubectl, *names)

    assert check("kinds") == (1, "the cluster does not serve dbosschedules")


def test_kinds_that_are_served_end_the_wait(check: Check, kinds: None) -> None:
    assert check("kinds", seconds=30) == (0, "ok: kinds")


def test_an_operator_that_is_not_there_is_said(check: Check) -> None:
    status, text = check("operator", "http://127.0.0.1:1", seconds=0)

    assert status == 1
    assert text.startswith("the operator is not ready at http://127.0.0.1:1/readyz: ")


def test_an_operator_without_a_default_database_is_enough(check: Check, operator: OperatorProcess) -> None:
    assert check("operator", url_of(operator), seconds=30)[0] == 0


def test_a_default_database_that_is_not_there_is_named(check: Check, operator: OperatorProcess, namespace: str) -> None:
    wait_until_ready(operator)

    found = check("operator", url_of(operator), f"{namespace}/other")

    assert found == (1, f"there is no DBOSDatabase {namespace}/other")


def test_a_missing_secret_is_said_in_words(
    check: Check, operator: OperatorProcess, kubectl: Kubectl, namespace: str
) -> None:
    kubectl.apply(DATABASE)
    kubectl("wait", "--for=condition=Ready=False", "dbosdatabase/default", "--timeout=45s")
    wait_until_ready(operator)

    status, text = check("operator", url_of(operator), f"{namespace}/default")

    assert status == 1
    assert f"DBOSDatabase {namespace}/default is not ready: SecretNotFound: Secret {namespace}/db" in text


def test_an_unreachable_database_is_said_in_words(
    check: Check, operator: OperatorProcess, kubectl: Kubectl, namespace: str
) -> None:
    kubectl("create", "secret", "generic", "db", "--from-literal=url=postgresql://nobody@127.0.0.1:1/none")
    kubectl.apply(DATABASE)
    kubectl("wait", "--for=condition=Ready=False", "dbosdatabase/default", "--timeout=45s")
    wait_until_ready(operator)

    status, text = check("operator", url_of(operator), f"{namespace}/default")

    assert status == 1
    assert f"DBOSDatabase {namespace}/default is not ready: DatabaseUnavailable: " in text


def test_a_default_database_that_answers_is_ready(
    check: Check, operator: OperatorProcess, kubectl: Kubectl, namespace: str, database_url: str
) -> None:
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    kubectl.apply(DATABASE)

    assert check("operator", url_of(operator), f"{namespace}/default", seconds=45)[0] == 0
