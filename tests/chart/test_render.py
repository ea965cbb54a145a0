"""What the chart renders, looked at without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from support.chart import CHART, Manifest, of_kind, the
from support.helm import Helm, HelmError

OLDEST, NEWEST = 31, 36
ALL_ON = {
    "imagePullSecrets": [{"name": "registry"}],
    "image": {"repository": "registry.example.com/team/dbos-operator", "digest": "sha256:" + "a" * 64},
    "watch": {"namespaces": ["orders", "123"]},
    "tick": "1s",
    "logging": {"format": "text", "level": "debug"},
    "defaultDatabase": {
        "secretRef": {"name": "db", "key": "dsn"},
        "spec": {"schema": "shop", "recovery": {"gracePeriod": "2m"}},
        "annotations": {"a": "b"},
    },
    "serviceAccount": {"name": "robot", "annotations": {"cloud": "role"}},
    "ports": {"metrics": 19464, "health": 18080},
    "service": {"annotations": {"a": "b"}},
    "podLabels": {"team": "orders"},
    "podAnnotations": {"sidecar": "false"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "high",
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "grafana": {"dashboards": {"enabled": True, "annotations": {"grafana_folder": "DBOS"}}},
}
"""Every part of the templates that a default leaves out."""
WITH_DATABASE = {"defaultDatabase": {"secretRef": {"name": "db"}}}
KINDS_KNOWN = ("--api-versions", "dbos.dev/v1beta1/DBOSDatabase")


def with_statement_timeout(timeout: str) -> dict[str, Any]:
    spec = {"connections": {"statementTimeout": timeout}}
    return {"defaultDatabase": {"secretRef": {"name": "db"}, "spec": spec}}


class Render:
    """Renders the chart as the release `op` in the namespace `orders`."""

    def __init__(self, helm: Helm, folder: Path) -> None:
        self._helm, self._folder = helm, folder

    def __call__(self, values: Any = None, *arguments: str, release: str = "op") -> list[Manifest]:
        file = self._folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        return self._helm.template(release, CHART, "--namespace", "orders", "--values", str(file), *arguments)


@pytest.fixture
def render(helm: Helm, tmp_path: Path) -> Render:
    return Render(helm, tmp_path)


def pod_of(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = the(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def rights_of(role: Manifest) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_chart_is_clean(helm: Helm) -> None:
    text = helm("lint", "--strict", str(CHART))

    assert "0 chart(s) failed" in text
    assert "[WARNING]" not in text


def test_it_renders_without_any_value(render: Render) -> None:
    manifests = render()

    assert {manifest["kind"] for manifest in manifests} == {
        *("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Deployment", "Pod", "Service"),
        "ServiceAccount",
    }
    assert pod_of(manifests)["containers"][0]["image"] == "dbos-operator:0.1.0"


@pytest.mark.parametrize("minor", range(OLDEST, NEWEST + 1))
@pytest.mark.parametrize("values", [{}, WITH_DATABASE, ALL_ON], ids=["defaults", "database", "everything"])
def test_every_kubernetes_version_takes_it(render: Render, values: Any, minor: int) -> None:
    known = ("CustomResourceDefinition", "DBOSDatabase", "ServiceMonitor", "PrometheusRule")
    for manifest in render(values, "--kube-version", f"1.{minor}.0"):
        if manifest["kind"] not in known:
            kubernetes_validate.validate(manifest, f"1.{minor}", strict=True)


def test_an_old_kubernetes_is_refused(render: Render) -> None:
    with pytest.raises(HelmError, match=r"requires kubeVersion: >=1\.31\.0-0.* v?1\.30\.9"):
        render(None, "--kube-version", "1.30.9")


def test_a_version_with_the_suffix_of_a_cloud_is_taken(render: Render) -> None:
    assert render(None, "--kube-version", "v1.31.0-gke.100")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tick": "5"}, "/tick"),
        ({"logging": {"level": "loud"}}, "/logging/level"),
        ({"watch": {"namespaces": ["A_b"]}}, "/watch/namespaces/0"),
        ({"imag": {"tag": "x"}}, "'imag'"),
        ({"image": {"tga": "x"}}, "'tga'"),
        ({"defaultDatabase": {"existing": "orders"}}, "/defaultDatabase/existing"),
        ({"defaultDatabase": {"existing": "a/b", "secretRef": {"name": "c"}}}, "defaultDatabase.existing and"),
        ({"defaultDatabase": {"existing": "a/b"}, "watch": {"namespaces": ["c"]}}, r"watch.namespaces \(c\), got a/b"),
        ({"defaultDatabase": {"secretRef": {"name": "d"}}, "watch": {"namespaces": ["c"]}}, "got orders/default"),
        ({"tick": "0s"}, "/tick"),
        (with_statement_timeout("0s"), "/defaultDatabase/spec/connections/statementTimeout"),
        (with_statement_timeout("2h"), "spec.connections.statementTimeout: expected at most 1h, got 2h"),
        (with_statement_timeout("1h1ms"), "spec.connections.statementTimeout: expected at most 1h, got 1h1ms"),
        (with_statement_timeout("59m61s"), "spec.connections.statementTimeout: expected at most 1h, got 59m61s"),
        (with_statement_timeout("3600001ms"), "spec.connections.statementTimeout: expected at most 1h, got 3600001ms"),
        ({"extraEnv": [{"name": "WORKERS", "value": 5}]}, "/extraEnv/0/value"),
        ({"podLabels": {"app.kubernetes.io/name": "a"}}, "podLabels: expected names .*, got app.kubernetes.io/name"),
        ({"podLabels": {"helm.sh/chart": "a"}}, "podLabels: expected names besides the chart's own, got helm.sh/chart"),
        ({"serviceMonitor": {"labels": {"app.kubernetes.io/name": "a"}}}, "serviceMonitor.labels: expected names"),
        ({"prometheusRule": {"labels": {"app.kubernetes.io/name": "a"}}}, "prometheusRule.labels: expected names"),
        ({"grafana": {"dashboards": {"labels": {"helm.sh/chart": "a"}}}}, "grafana.dashboards.labels: expected names"),
        ({"podAnnotations": {"kubectl.kubernetes.io/default-container": "a"}}, "podAnnotations: expected names"),
        ({"defaultDatabase": {"annotations": {"helm.sh/hook": "a"}}}, "defaultDatabase.annotations: expected names"),
        ({"ports": {"metrics": 9000, "health": 9000}}, "ports.metrics and ports.health: expected two ports, got 9000"),
    ],
)
def test_a_wrong_value_fails_by_its_name(render: Render, values: Any, words: str) -> None:
    with pytest.raises(HelmError, match=words):
        render(values)


@pytest.mark.parametrize("timeout", ["1h", "0h60m", "3600s", "0059m60s", "3600000ms", "59m59s1000ms", "08s", "1ms"])
def test_a_statement_may_take_an_hour_however_it_is_written(render: Render, timeout: str) -> None:
    spec = the(render(with_statement_timeout(timeout)), "DBOSDatabase")["spec"]

    assert spec["connections"]["statementTimeout"] == timeout


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tick": "0s"}, r"tick: Does not match pattern"),
        (with_statement_timeout("0s"), r"defaultDatabase\.spec\.connections\.statementTimeout: Does not match pattern"),
        (with_statement_timeout("2h"), r"defaultDatabase\.spec\.connections\.statementTimeout: expected at most 1h"),
        ({"extraEnv": [{"name": "WORKERS", "value": 5}]}, r"extraEnv\.0\.value: Invalid type\. Expected: .string"),
        ({"podLabels": {"app.kubernetes.io/name": "a"}}, "podLabels: expected names besides the chart's own"),
    ],
)
def test_helm_3_names_what_cannot_work(get_helm: Any, tmp_path: Path, values: Any, words: str) -> None:
    with pytest.raises(HelmError, match=words):
        Render(get_helm(3), tmp_path)(values)


def test_a_number_for_a_variable_is_refused_on_the_command_line_too(helm: Helm) -> None:
    with pytest.raises(HelmError, match="/extraEnv/0/value"):
        helm.template("op", CHART, "--set", "extraEnv[0].name=A", "--set", "extraEnv[0].value=5")
    assert helm.template("op", CHART, "--set", "extraEnv[0].name=A", "--set-string", "extraEnv[0].value=5")


def test_helm_3_names_it_too(get_helm: Any, tmp_path: Path) -> None:
    with pytest.raises(HelmError, match=r"logging\.level: logging\.level must be one of"):
        Render(get_helm(3), tmp_path)({"logging": {"level": "loud"}})


def test_the_package_renders_as_the_folder_does(helm: Helm, render: Render, tmp_path: Path) -> None:
    helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("dbos-operator-*.tgz")

    assert helm.template("op", package, "--namespace", "orders") == render()


def test_one_operator_at_a_time(render: Render) -> None:
    spec = the(render(), "Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("kind", ["Deployment", "Job", "Pod"])
def test_every_pod_is_restricted(render: Render, kind: str) -> None:
    manifest = the(render(WITH_DATABASE), kind)
    pod = manifest["spec"] if kind == "Pod" else manifest["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]
    assert container["resources"]["limits"]["memory"]


def test_probes_ask_the_health_port(render: Render) -> None:
    (container,) = pod_of(render())["containers"]

    assert container["ports"] == [{"name": "metrics", "containerPort": 9464}, {"name": "health", "containerPort": 8080}]
    for probe, path in {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}.items():
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}


def test_values_reach_the_options(render: Render) -> None:
    (container,) = pod_of(render(ALL_ON))["containers"]

    assert container["command"] == ["dbos-operator", "run"]
    assert container["args"] == [
        *("--namespace=orders", "--namespace=123", "--metrics-address=:19464", "--health-address=:18080"),
        *("--tick=1s", "--log-format=text", "--log-level=debug", "--default-database=orders/default"),
    ]


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize(("port", "number"), [("metrics", 8081), ("health", 19464)])
def test_a_port_can_be_given_on_the_command_line(get_helm: Any, major: int, port: str, number: int) -> None:
    manifests = get_helm(major).template("op", CHART, "--set", f"ports.{port}={number}")

    ports = {each["name"]: each["containerPort"] for each in pod_of(manifests)["containers"][0]["ports"]}
    assert ports == {"metrics": 9464, "health": 8080, port: number}
    assert f"--{port}-address=:{number}" in pod_of(manifests)["containers"][0]["args"]


@pytest.mark.parametrize(("port", "number"), [("metrics", 8080), ("health", 9464)])
def test_a_port_of_the_command_line_that_is_taken_is_refused(helm: Helm, port: str, number: int) -> None:
    with pytest.raises(HelmError, match=f"ports.metrics and ports.health: expected two ports, got {number} twice"):
        helm.template("op", CHART, "--set", f"ports.{port}={number}")


def test_values_reach_the_pod(render: Render) -> None:
    manifests = render(ALL_ON)
    pod = pod_of(manifests)
    metadata = the(manifests, "Deployment")["spec"]["template"]["metadata"]
    (container,) = pod["containers"]

    for key in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert pod[key] == ALL_ON[key]
    assert container["image"] == "registry.example.com/team/dbos-operator@sha256:" + "a" * 64
    assert (container["env"], container["volumeMounts"]) == (ALL_ON["extraEnv"], ALL_ON["extraVolumeMounts"])
    assert pod["volumes"] == ALL_ON["extraVolumes"]
    assert metadata["labels"]["team"] == "orders"
    assert metadata["annotations"]["sidecar"] == "false"
    assert pod["serviceAccountName"] == the(manifests, "ServiceAccount")["metadata"]["name"] == "robot"


def test_the_service_leads_to_the_operator_and_to_no_other_pod(render: Render) -> None:
    manifests = render({**WITH_DATABASE, "podLabels": {"team": "orders"}})
    selector = the(manifests, "Service")["spec"]["selector"].items()

    assert selector <= the(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= the(manifests, "Pod")["metadata"]["labels"].items()
    assert not selector <= the(manifests, "Job")["spec"]["template"]["metadata"]["labels"].items()


def test_cluster_scope_is_one_clusterrole(render: Render) -> None:
    manifests = render()

    assert not of_kind(manifests, "Role")
    names = {each["metadata"]["name"] for each in of_kind(manifests, "ClusterRole")}
    own = "orders:op-dbos-operator"
    assert names == {own, f"{own}:view", f"{own}:edit"}
    assert the(manifests, "ClusterRoleBinding")["roleRef"]["name"] == own
    assert "--all-namespaces" in pod_of(manifests)["containers"][0]["args"]


def test_namespaced_scope_is_a_role_in_each_and_one_look_at_kube_system(render: Render) -> None:
    everywhere = {each["metadata"]["name"]: each for each in of_kind(render(), "ClusterRole")}
    manifests = render({"watch": {"namespaces": ["orders", "reports"]}, "rbac": {"aggregate": False}})
    roles = of_kind(manifests, "Role")

    assert [role["metadata"]["namespace"] for role in roles] == ["orders", "reports"]
    for role in roles:
        assert rights_of(role) == rights_of(everywhere["orders:op-dbos-operator"])
    assert the(manifests, "ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
    ]
    for binding in of_kind(manifests, "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "op-dbos-operator", "namespace": "orders"}]


def test_view_reads_and_edit_writes_the_kinds(render: Render) -> None:
    roles = {each["metadata"]["name"].rpartition(":")[2]: each for each in of_kind(render(), "ClusterRole")}
    to = "rbac.authorization.k8s.io/aggregate-to-"

    aggregated = {
        name: {label.removeprefix(to) for label in roles[name]["metadata"]["labels"] if label.startswith(to)}
        for name in ("view", "edit")
    }
    assert aggregated == {"view": {"view", "edit", "admin"}, "edit": {"edit", "admin"}}
    assert {verb for _, _, verb in rights_of(roles["view"])} == {"get", "list", "watch"}
    assert {verb for _, _, verb in rights_of(roles["edit"])} == {
        *("create", "delete", "deletecollection", "patch", "update")
    }
    for name in ("view", "edit"):
        assert {resource for _, resource, _ in rights_of(roles[name])} == {
            *("dbosdatabases", "dbosqueues", "dbosschedules")
        }


def test_rights_can_be_left_to_others(render: Render) -> None:
    manifests = render({"rbac": {"create": False, "aggregate": False}, "serviceAccount": {"create": False}})

    assert {each["kind"] for each in manifests} == {"CustomResourceDefinition", "Deployment", "Pod", "Service"}
    assert pod_of(manifests)["serviceAccountName"] == "default"


@pytest.mark.parametrize("keep", [True, False])
def test_kinds_come_with_the_release_and_stay_unless_told_otherwise(render: Render, *, keep: bool) -> None:
    found = of_kind(render({"crds": {"keep": keep}}), "CustomResourceDefinition")

    for manifest in found:
        source = yaml.safe_load((CHART / "files" / "crds" / f"{manifest['spec']['names']['plural']}.yaml").read_text())
        assert manifest["spec"] == source["spec"]
        annotations = manifest["metadata"].get("annotations", {})
        assert annotations.get("helm.sh/resource-policy") == ("keep" if keep else None)
    assert len(found) == 3
    assert not of_kind(render({"crds": {"install": False}}), "CustomResourceDefinition")


def test_the_default_database_is_a_hook_until_its_kind_is_known(render: Render) -> None:
    values = {"defaultDatabase": {"secretRef": {"name": "db"}, "annotations": {"a": "b"}}}
    first, later = render(values), render(values, *KINDS_KNOWN)
    by_choice = render({"defaultDatabase": {**values["defaultDatabase"], "hook": False}})

    assert the(first, "DBOSDatabase")["spec"] == the(later, "DBOSDatabase")["spec"]
    assert the(later, "DBOSDatabase") == the(by_choice, "DBOSDatabase")
    hook, plain = (the(each, "DBOSDatabase")["metadata"]["annotations"] for each in (first, later))
    assert plain == {
        "a": "b",
        "helm.sh/resource-policy": "keep",
        "dbos.dev/spec-of-chart": hook["dbos.dev/spec-of-chart"],
    }
    assert hook == {
        **plain,
        "helm.sh/hook": "post-install,post-upgrade,post-rollback",
        "meta.helm.sh/release-name": "op",
        "meta.helm.sh/release-namespace": "orders",
    }
    assert int(the(first, "Job")["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0
    assert not of_kind(later, "Job")
    assert not of_kind(by_choice, "Job")


def test_nobody_gets_a_database_who_asked_for_none(render: Render) -> None:
    manifests = render({"defaultDatabase": {"existing": "orders/main"}})

    assert not of_kind(manifests, "DBOSDatabase")
    assert "--default-database=orders/main" in pod_of(manifests)["containers"][0]["args"]
    assert the(manifests, "Pod")["spec"]["containers"][0]["args"][-1] == "orders/main"


def test_a_service_monitor_finds_the_service_and_keeps_the_labels_of_the_operator(render: Render) -> None:
    manifests = render(ALL_ON)
    monitor, service = the(manifests, "ServiceMonitor"), the(manifests, "Service")
    (endpoint,) = monitor["spec"]["endpoints"]

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert (endpoint["honorLabels"], endpoint["interval"]) == (True, "15s")


def test_alerts_and_dashboards_arrive_as_they_are(render: Render) -> None:
    manifests = render(ALL_ON)
    alerts = sorted((CHART / "files" / "alerts").glob("*.yaml"))
    boards = sorted((CHART / "files" / "dashboards").glob("*.json"))

    assert [rule["spec"] for rule in of_kind(manifests, "PrometheusRule")] == [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in alerts
    ]
    found = {name: text for each in of_kind(manifests, "ConfigMap") for name, text in each["data"].items()}
    assert {name: text.strip() for name, text in found.items()} == {
        path.name: path.read_text(encoding="utf-8").strip() for path in boards
    }
    for each in of_kind(manifests, "ConfigMap"):
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "DBOS"}


def test_alerts_and_dashboards_link_to_where_the_runbooks_are_served(render: Render) -> None:
    served = "https://git.example.com/ops/runbooks"
    manifests = render({**ALL_ON, "prometheusRule": {"enabled": True, "runbookBaseUrl": f"{served}/"}})
    groups = [group for rule in of_kind(manifests, "PrometheusRule") for group in rule["spec"]["groups"]]
    alerts = [alert for group in groups for alert in group["rules"]]

    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{served}/{alert['alert']}.md"
        assert "runbook" not in alert["annotations"]
    for each in of_kind(manifests, "ConfigMap"):
        (text,) = each["data"].values()
        assert json.loads(text)
        assert all(f"{served}/{alert['alert']}.md" in text for alert in alerts)


@pytest.mark.parametrize("release", ["y", "123", "a" * 53, "dbos-operator"])
def test_any_name_of_a_release_gives_valid_names(render: Render, release: str) -> None:
    for manifest in render(WITH_DATABASE, release=release):
        name = manifest["metadata"]["name"]
        assert isinstance(name, str)
        assert len(name) <= 63 or manifest["kind"].startswith("ClusterRole")
        for value in manifest["metadata"].get("labels", {}).values():
            assert isinstance(value, str)
            assert len(value) <= 63
    names = {manifest["metadata"]["name"] for manifest in of_kind(render(release=release), "Deployment")}
    assert names == {"dbos-operator" if release == "dbos-operator" else f"{release}-dbos-operator"[:52]}
