"""examples/kubernetes on a real API server, as a user applies it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.image_build import ROOT
from support.kubectl import Kubectl
from support.waiting import eventually

FOLDER = ROOT / "examples" / "kubernetes"


@pytest.fixture
def restricted(kubectl: Kubectl, namespace: str, crds: Path) -> Kubectl:
    """kubectl in a namespace that takes only pods of the profile `restricted`."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return kubectl


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kubectl.get("pods", "--selector", "app.kubernetes.io/name=orders-worker")
    return found


def test_the_folder_is_applied_as_a_whole_and_its_pod_is_taken_where_only_restricted_ones_are(
    restricted: Kubectl,
) -> None:
    applied = restricted("apply", "--kustomize", str(FOLDER), "--output", "name").split()

    assert sorted(applied) == [
        "dbosdatabase.dbos.dev/default",
        "dbosqueue.dbos.dev/orders",
        "dbosschedule.dbos.dev/sweep-orders",
        "deployment.apps/orders-worker",
    ]
    (pod,) = eventually(lambda: pods(restricted), bool, what="pod of the Deployment")
    assert pod["spec"]["containers"][0]["image"] == "dbos-worker:latest"


def test_applying_it_again_leaves_the_replicas_that_the_operator_wrote(restricted: Kubectl) -> None:
    restricted("apply", "--kustomize", str(FOLDER))
    restricted("scale", "deployment/orders-worker", "--replicas=3")

    restricted("apply", "--kustomize", str(FOLDER))

    assert restricted.get("deployment/orders-worker")["spec"]["replicas"] == 3


def test_an_overlay_names_the_image(restricted: Kubectl, tmp_path: Path) -> None:
    overlay = f"""
resources: [{os.path.relpath(FOLDER, tmp_path)}]
images:
- name: dbos-worker
  newName: registry.example.com/orders
  newTag: "1.4"
"""
    (tmp_path / "kustomization.yaml").write_text(overlay, encoding="utf-8")

    restricted("apply", "--kustomize", str(tmp_path))

    (pod,) = eventually(lambda: pods(restricted), bool, what="pod of the Deployment")
    assert pod["spec"]["containers"][0]["image"] == "registry.example.com/orders:1.4"
