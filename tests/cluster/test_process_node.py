"""Pods that the process node runs behave like pods of a cluster, as far as workers and operators see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.controlplane.fixtures import StartNode
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.process_node import ProcessNode
from support.waiting import eventually

Pod = dict[str, Any]

_SERVICE = """
import os, signal, sys, time

def stop(number, frame):
    print("stops gracefully", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
print("runs as", os.environ["DBOS__VMID"], "with", os.environ["TOKEN"], "in", os.getcwd(), flush=True)
while True:
    time.sleep(3600)
"""


@pytest.fixture
def node(start_node: StartNode, tmp_path: Path) -> ProcessNode:
    (tmp_path / "service.py").write_text(_SERVICE)
    return start_node(tmp_path)


def _deployment(replicas: int) -> str:
    container = {
        "name": "worker",
        "image": "none",
        "command": ["python", "service.py"],
        "env": [
            {"name": "DBOS__VMID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "worker", "key": "token"}}},
        ],
    }
    labels = {"app": "worker"}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker"}, "spec": spec})


def _pod(name: str, *command: str, **spec: object) -> str:
    container = {"name": "main", "image": "none", "command": list(command)}
    body = {"containers": [container], **spec}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body})


def _phase(kubectl: Kubectl, name: str) -> Callable[[], str]:
    return lambda: str(kubectl.get("pod", name)["status"]["phase"])


def _pods(kubectl: Kubectl) -> list[Pod]:
    return list(kubectl.get("pods"))


def _ready(kubectl: Kubectl, count: int, node: ProcessNode) -> list[Pod]:
    def all_ready(pods: list[Pod]) -> bool:
        conditions = [
            condition["status"]
            for pod in pods
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "Ready"
        ]
        return conditions == ["True"] * count and len(pods) == count

    return eventually(lambda: _pods(kubectl), all_ready, within=60, what=f"{count} ready pods", explain=node.tail)


def _names(pods: list[Pod]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def test_a_deployment_becomes_running_processes_and_goes_back_to_none(
    kubectl: Kubectl, node: ProcessNode, tmp_path: Path
) -> None:
    kubectl("create", "secret", "generic", "worker", "--from-literal=token=abc")
    kubectl.apply(_deployment(2))

    names = _names(_ready(kubectl, 2, node))
    kubectl("wait", "--for=condition=Available", "deployment/worker", "--timeout=30s")
    expected = [[f"runs as {name} with abc in {tmp_path}"] for name in names]
    eventually(lambda: [node.output_of(name) for name in names], lambda lines: lines == expected, explain=node.tail)

    kubectl("scale", "deployment/worker", "--replicas=0")

    eventually(lambda: _pods(kubectl), lambda pods: pods == [], what="empty namespace", explain=node.tail)
    assert all(node.output_of(name)[-1] == "stops gracefully" for name in names)
    assert node.pids() == {}


def test_a_pod_that_is_deleted_by_force_is_killed_and_replaced(kubectl: Kubectl, node: ProcessNode) -> None:
    kubectl("create", "secret", "generic", "worker", "--from-literal=token=abc")
    kubectl.apply(_deployment(1))
    [first] = _names(_ready(kubectl, 1, node))

    kubectl("delete", "pod", first, "--grace-period=0", "--force")

    eventually(lambda: first in node.pids(), lambda runs: not runs, what="killed process", explain=node.tail)
    assert "stops gracefully" not in node.output_of(first)
    [second] = _names(_ready(kubectl, 1, node))
    assert second != first


def test_a_pod_waits_for_its_secret(kubectl: Kubectl, node: ProcessNode) -> None:
    kubectl.apply(_deployment(1))

    def waiting() -> list[str]:
        statuses = [status for pod in _pods(kubectl) for status in pod["status"].get("containerStatuses", [])]
        return [status["state"].get("waiting", {}).get("reason", "") for status in statuses]

    eventually(waiting, lambda reasons: reasons == ["CreateContainerConfigError"], explain=node.tail)
    kubectl("create", "secret", "generic", "worker", "--from-literal=token=late")

    [pod] = _names(_ready(kubectl, 1, node))
    assert eventually(lambda: node.output_of(pod), bool)[0].split(" in ")[0] == f"runs as {pod} with late"


def test_a_container_that_fails_is_started_again_in_its_pod(kubectl: Kubectl, node: ProcessNode) -> None:
    kubectl.apply(_pod("crashing", "sh", "-c", "echo attempt; exit 3"))

    def restarts() -> int:
        statuses = kubectl.get("pod", "crashing")["status"].get("containerStatuses", [])
        return sum(status["restartCount"] for status in statuses)

    eventually(restarts, lambda count: count >= 1, what="restart", explain=node.tail)
    assert _phase(kubectl, "crashing")() == "Running"
    # The node tells of a process as soon as it has begun, before it has said anything.
    eventually(lambda: node.output_of("crashing").count("attempt"), lambda count: count >= 2, explain=node.tail)


@pytest.mark.parametrize(("status", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_a_pod_that_never_restarts_ends_with_the_status_of_its_command(
    kubectl: Kubectl, node: ProcessNode, status: int, phase: str
) -> None:
    kubectl.apply(_pod("once", "sh", "-c", f"exit {status}", restartPolicy="Never"))

    eventually(_phase(kubectl, "once"), lambda found: found == phase, what=phase, explain=node.tail)

    [container] = kubectl.get("pod", "once")["status"]["containerStatuses"]
    assert container["state"]["terminated"]["exitCode"] == status
    kubectl("delete", "pod", "once", "--timeout=45s")


def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace_period(kubectl: Kubectl, node: ProcessNode) -> None:
    kubectl.apply(_pod("stubborn", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"))
    eventually(lambda: node.output_of("stubborn"), bool, explain=node.tail)

    kubectl("delete", "pod", "stubborn", "--grace-period=1", "--timeout=45s")

    assert node.pids() == {}


def test_pods_outlive_a_restart_of_the_api_server(
    control_plane: ControlPlane, kubectl: Kubectl, node: ProcessNode
) -> None:
    kubectl("create", "secret", "generic", "worker", "--from-literal=token=abc")
    kubectl.apply(_deployment(1))
    names = _names(_ready(kubectl, 1, node))
    before = node.pids()

    control_plane.restart_apiserver()
    kubectl("scale", "deployment/worker", "--replicas=2")

    assert set(names) < set(_names(_ready(kubectl, 2, node)))
    assert before.items() <= node.pids().items()


def test_no_process_outlives_the_node(kubectl: Kubectl, node: ProcessNode) -> None:
    kubectl.apply(_pod("left", "sleep", "3600"))
    eventually(node.pids, bool, explain=node.tail)

    node.stop()

    assert node.pids() == {}
    assert _pods(kubectl) == []
