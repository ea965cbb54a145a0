"""A run's own namespaces and databases: made before the first act, gone after the last one, whatever happened."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from journey import example
from journey.client import ClientError, ConnectionLostError, PodClient
from journey.databases import drop_databases, url_of
from journey.settings import Settings, SettingsError
from journey.show import Show
from journey.stage import RELEASE, Stage
from journey.watches import Watch
from support.controlplane.kinds import DEFINITIONS, remove_kinds
from support.helm import Helm
from support.kubectl import Kubectl, KubectlError

PREFIX = "dbos-e2e-"
_LABELS = {
    "app.kubernetes.io/managed-by": "dbos-e2e",
    "pod-security.kubernetes.io/enforce": "restricted",
}


@contextmanager
def opened_stage(settings: Settings, show: Show, kubectl: Path, helm: Path) -> Iterator[Stage]:
    """The stage of one run; what it made is removed afterwards, unless it is to be kept."""
    cluster = Kubectl(kubectl, settings.kubeconfig)
    earlier = remove_leftovers(cluster, show)
    run = secrets.token_hex(3)
    name = f"{PREFIX}{run}"
    example_kubectl, operator = cluster.in_namespace(name), cluster.in_namespace(f"{name}-operator")
    home = Path(tempfile.mkdtemp(prefix="dbos-e2e-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        for namespace in (name, f"{name}-operator"):
            labels = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": _LABELS}}
            cluster.apply(json.dumps(labels))
        show.tell(f"namespaces {name} and {name}-operator")
        client = PodClient(example_kubectl, url_of(settings.database_url, run))
        if not settings.keep:
            stack.callback(_remove, cluster, client, settings, show, run)
        watched = [Watch(example_kubectl, "pods"), Watch(example_kubectl, "deployments"), Watch(operator, "pods")]
        for each in watched:
            stack.callback(each.close)
        stack.callback(client.close)
        loader = PodClient(example_kubectl, client.database_url)
        stack.callback(loader.close)
        yield Stage(
            settings=settings,
            show=show,
            values=_image_values(settings.operator_image),
            manifests=example.manifests(settings.worker_image),
            cluster=cluster,
            helm=Helm(helm, settings.kubeconfig, operator.namespace, home),
            kubectl=example_kubectl,
            operator=operator,
            client=client,
            loader=loader,
            database_url=client.database_url,
            default_database_url=url_of(settings.database_url, run, "_default"),
            earlier_runs=earlier,
            pods=watched[0],
            deployments=watched[1],
            operator_pods=watched[2],
        )


def remove_leftovers(cluster: Kubectl, show: Show) -> set[str]:
    """Remove what earlier runs kept or could not remove; their names, for the databases that they may have left.

    A cluster where the kinds belong to others is refused.
    """
    runs = set()
    names = cluster.get("namespaces", "--selector", "app.kubernetes.io/managed-by=dbos-e2e")
    for namespace in (each["metadata"]["name"] for each in names):
        show.tell(f"removing namespace {namespace} of an earlier run")
        _let_go(cluster.in_namespace(namespace))
        cluster("delete", "namespace", namespace, "--timeout=180s", timeout=200)
        runs.add(namespace.removeprefix(PREFIX).removesuffix("-operator"))
    for crd in cluster.get("crds"):
        if crd["metadata"]["name"] not in DEFINITIONS:
            continue
        owner = crd["metadata"].get("annotations", {}).get("meta.helm.sh/release-namespace", "nobody")
        if not owner.startswith(PREFIX):
            raise SettingsError(
                f"KUBECONFIG: this cluster has the kinds of dbos.dev already (release namespace: {owner}). "
                "Use one without them: the journey installs, upgrades and removes them"
            )
        _remove_cluster_objects(cluster)
        break
    return runs


def _remove(cluster: Kubectl, client: PodClient, settings: Settings, show: Show, run: str) -> None:
    """Leave the cluster and the server as they were."""
    show.tell("removing what this run made (E2E_KEEP=1 keeps it)")
    name = f"{PREFIX}{run}"
    example_kubectl = cluster.in_namespace(name)
    try:
        example_kubectl("delete", "deployments", "--all", "--timeout=90s", timeout=100)
        drop_databases(client, settings.database_url, [run])
    except (KubectlError, ClientError, ConnectionLostError) as error:
        show.tell(f"the databases of this run stay: {error}")
    client.close()
    for namespace in (name, f"{name}-operator"):
        _let_go(cluster.in_namespace(namespace))
        cluster("delete", "namespace", namespace, "--wait=false")
    _remove_cluster_objects(cluster)
    for namespace in (name, f"{name}-operator"):
        cluster("wait", f"namespace/{namespace}", "--for=delete", "--timeout=180s", timeout=200)


def _let_go(kubectl: Kubectl) -> None:
    """Take the finalizers off: nobody is left who would."""
    for kind in DEFINITIONS:
        try:
            found = kubectl.get(kind)
        except KubectlError:
            continue  # the kind is not there
        for each in found:
            name = each["metadata"]["name"]
            kubectl("patch", kind, name, "--type=merge", '--patch={"metadata": {"finalizers": null}}')


def _remove_cluster_objects(cluster: Kubectl) -> None:
    """Remove the kinds, and what else of the release belongs to no namespace."""
    remove_kinds(cluster)
    selector = f"app.kubernetes.io/instance={RELEASE}"
    cluster("delete", "clusterroles,clusterrolebindings", "--selector", selector)


def _image_values(image: str) -> list[str]:
    repository, _, tag = image.rpartition(":")
    return ["--set-string", f"image.repository={repository},image.tag={tag}"]
