"""Releases of the chart whose pods run: as local processes, with the rights that the chart gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from support.chart import CHART
from support.controlplane.plane import ControlPlane
from support.helm import Helm
from support.kubectl import Kubectl
from support.ports import free_port
from support.process_node import ProcessNode
from support.waiting import eventually

ACCOUNT = "operator"
"""A ServiceAccount that is there before the release: the node must know its token when the first pod starts."""
RELEASE = "op"


@dataclass(frozen=True, slots=True)
class Scene:
    """A namespace with a node, and Helm to put a release there."""

    helm: Helm
    kubectl: Kubectl
    node: ProcessNode
    settings: tuple[str, ...]

    def install(self, *arguments: str) -> str:
        """Install the chart as a user does."""
        return self.helm("install", RELEASE, str(CHART), *self.settings, *arguments)

    def upgrade(self, *arguments: str, chart: Path = CHART) -> str:
        """Upgrade it with other values or another chart."""
        return self.helm("upgrade", RELEASE, str(chart), *self.settings, *arguments)

    def uninstall(self) -> None:
        """Remove it and wait until its pods are gone.

        Helm 4.1's own wait now and then misses that something is gone: https://github.com/helm/helm/issues/31766
        """
        self.helm("uninstall", RELEASE)
        eventually(lambda: self.kubectl.get("pods"), lambda pods: not pods, what="the end of the release's pods")


@contextmanager
def a_scene(helm: Helm, plane: ControlPlane, namespace: str, folder: Path) -> Iterator[Scene]:
    """A scene; the pods find the API server and their token in variables, as nothing is mounted for a process."""
    kubectl = plane.kubectl.in_namespace(namespace)
    kubectl("create", "serviceaccount", ACCOUNT)
    kubeconfig = plane.kubeconfig_for_service_account(namespace, ACCOUNT)
    surroundings = {"DBOS_OPERATOR_KUBECONFIG": str(kubeconfig), **in_cluster(kubeconfig, folder)}
    node = ProcessNode(
        plane.admin_kubeconfig, namespace=namespace, working_directory=folder, image_environment=surroundings
    )
    metrics = free_port(2)
    health = metrics + 1
    settings = {
        "serviceAccount.create": "false",
        "serviceAccount.name": ACCOUNT,
        "ports.metrics": metrics,
        "ports.health": health,
        "watch.namespaces[0]": namespace,
        "tick": "500ms",
    }
    node.start()
    try:
        yield Scene(helm, kubectl, node, tuple(f"--set={name}={value}" for name, value in settings.items()))
    finally:
        node.stop()


def in_cluster(kubeconfig: Path, folder: Path) -> dict[str, str]:
    """What a kubelet puts into a pod, as variables: the API server, and a folder with token and certificate."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    server = urlsplit(cluster["server"])
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(user["token"])
    (account / "ca.crt").write_bytes(Path(cluster["certificate-authority"]).read_bytes())
    return {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "DBOS_CHECK_ACCOUNT": str(account),
    }
