"""examples/kubernetes: what users copy is valid, agrees with itself, and is what docs/workers.md explains."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import Any

import kubernetes_validate
import pytest
import yaml

from dbos_operator.local.manifests import load_manifests
from dbos_operator.local.schemas import load_schemas
from support.image_build import ROOT

FOLDER = ROOT / "examples" / "kubernetes"
OBJECTS = {
    manifest["kind"]: manifest
    for file in sorted(FOLDER.glob("*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))
}
DEPLOYMENT = OBJECTS["Deployment"]
TEMPLATE = DEPLOYMENT["spec"]["template"]
(CONTAINER,) = TEMPLATE["spec"]["containers"]
VARIABLES = {variable["name"]: variable for variable in CONTAINER["env"]}


def spec_of(kind: str) -> dict[str, Any]:
    spec: dict[str, Any] = OBJECTS[kind]["spec"]
    return spec


def workflows_of_the_application() -> set[str]:
    tree = ast.parse((FOLDER / "app.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        found.name for found in functions if "DBOS.workflow" in [ast.unparse(it)[:13] for it in found.decorator_list]
    }


def test_the_kinds_are_valid_and_only_foreign_ones_mean_nothing_without_a_cluster() -> None:
    loaded = load_manifests([FOLDER], load_schemas())

    assert {str(found) for found in loaded.objects} == {
        "DBOSDatabase default/default",
        "DBOSQueue default/orders",
        "DBOSSchedule default/sweep-orders",
        "Deployment default/orders-worker",
    }
    assert [re.search(r"Kustomization|PodMonitor", line) is not None for line in loaded.ignored] == [True, True]


@pytest.mark.parametrize("minor", range(31, 37))
def test_every_kubernetes_version_takes_the_deployment(minor: int) -> None:
    kubernetes_validate.validate(DEPLOYMENT, f"1.{minor}", strict=True)


def test_every_file_is_applied_but_for_the_one_that_needs_the_prometheus_operator() -> None:
    applied = OBJECTS["Kustomization"]["resources"]

    assert {file.name for file in FOLDER.glob("*.yaml")} == {*applied, "kustomization.yaml", "podmonitor.yaml"}


def test_no_manifest_names_a_namespace() -> None:
    assert [kind for kind, found in OBJECTS.items() if "namespace" in found.get("metadata", {})] == []


def test_the_image_is_the_one_that_kustomize_replaces() -> None:
    (image,) = OBJECTS["Kustomization"]["images"]

    assert CONTAINER["image"] == f"{image['name']}:latest"


def test_names_agree_over_the_files() -> None:
    secret = spec_of("DBOSDatabase")["secretRef"]
    labels = TEMPLATE["metadata"]["labels"]

    assert VARIABLES["DBOS_SYSTEM_DATABASE_URL"]["valueFrom"]["secretKeyRef"] == secret
    assert spec_of("DBOSQueue")["scaling"]["targetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert spec_of("DBOSSchedule")["queueName"] == OBJECTS["DBOSQueue"]["metadata"]["name"]
    assert spec_of("DBOSSchedule")["workflowName"] in workflows_of_the_application()
    for selector in (
        DEPLOYMENT["spec"]["selector"],
        spec_of("PodMonitor")["selector"],
        *(spread["labelSelector"] for spread in TEMPLATE["spec"]["topologySpreadConstraints"]),
    ):
        assert selector["matchLabels"].items() <= labels.items()


def test_the_operator_and_an_apply_do_not_fight_over_replicas() -> None:
    assert "replicas" not in DEPLOYMENT["spec"]


def test_the_executor_id_is_the_name_of_the_pod() -> None:
    assert VARIABLES["DBOS__VMID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_kubelet_waits_longer_than_the_worker_drains() -> None:
    grace = float(VARIABLES["DBOS_SHUTDOWN_GRACE_SEC"]["value"])

    assert grace < TEMPLATE["spec"]["terminationGracePeriodSeconds"]


def test_probes_and_the_monitor_go_to_the_port_of_the_metrics() -> None:
    (port,) = CONTAINER["ports"]
    probes = {name: CONTAINER[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}

    assert str(port["containerPort"]) == VARIABLES["DBOS_METRICS_PORT"]["value"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert [probe["path"] for probe in probes.values()] == ["/readyz", "/readyz", "/healthz"]
    assert [endpoint["port"] for endpoint in spec_of("PodMonitor")["podMetricsEndpoints"]] == [port["name"]]


def test_the_page_about_workers_shows_the_deployment_as_it_is() -> None:
    page = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
    shown = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]

    assert DEPLOYMENT in shown


def test_the_yaml_of_the_examples_is_clean() -> None:
    files = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "examples").glob("*/*.yaml"))

    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
