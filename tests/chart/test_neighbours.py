"""Releases beside others, other ways to apply them, and what people may do with the kinds; no pod has to run."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.chart import CHART, a_newer_chart
from support.controlplane.kinds import DEFINITIONS, wait_for_kinds
from support.controlplane.plane import ControlPlane
from support.helm import Helm, HelmError
from support.kubectl import Kubectl
from support.waiting import eventually

May = Callable[[str, str, str], bool]
"""Role, verb and kind."""
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("no_kinds")]

HELM_PAGE = CHART.parents[1] / "docs" / "helm.md"


@pytest.fixture
def helm(get_helm: Any, control_plane: ControlPlane, namespace: str) -> Helm:
    """Helm 4 in the namespace of the test."""
    found: Helm = get_helm(4, control_plane.admin_kubeconfig, namespace)
    return found


@pytest.fixture
def other(get_helm: Any, control_plane: ControlPlane) -> Iterator[Helm]:
    """Helm 4 in another namespace."""
    name = f"other-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield get_helm(4, control_plane.admin_kubeconfig, name)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def may(control_plane: ControlPlane, namespace: str) -> May:
    """Whether somebody with a role of the cluster may do something with a kind in the namespace."""
    kubectl = control_plane.kubectl.in_namespace(namespace)
    for role in ("view", "edit", "admin"):
        kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user=somebody-who-may-{role}")

    def ask(role: str, verb: str, kind: str) -> bool:
        answer = kubectl(
            *("create", "--filename", "-", "--output=jsonpath={.status.allowed}"),
            stdin=f"""
            apiVersion: authorization.k8s.io/v1
            kind: LocalSubjectAccessReview
            metadata: {{namespace: {namespace}}}
            spec:
              user: somebody-who-may-{role}
              resourceAttributes: {{namespace: {namespace}, group: dbos.dev, resource: {kind}, verb: {verb}}}
            """,
        )
        return answer == "true"

    return ask


def test_two_releases_each_have_their_namespace(helm: Helm, other: Helm) -> None:
    for each, more in ((helm, ()), (other, ("--set=crds.install=false",))):
        each("install", "op", str(CHART), f"--set=watch.namespaces[0]={each.namespace}", *more)

    other("uninstall", "op")
    assert helm.status("op")["info"]["status"] == "deployed"
    helm("uninstall", "op")


def test_kinds_of_another_release_are_left_alone_until_they_are_handed_over(
    helm: Helm, other: Helm, kubectl: Kubectl
) -> None:
    helm("install", "op", str(CHART))
    helm("uninstall", "op")

    with pytest.raises(HelmError, match=r"dbosdatabases\.dbos\.dev.*cannot be imported into the current release"):
        other("install", "mine", str(CHART))

    owner = ("meta.helm.sh/release-name=mine", f"meta.helm.sh/release-namespace={other.namespace}")
    kubectl("annotate", "--overwrite", "crd", *DEFINITIONS, *owner)
    other("install", "mine", str(CHART))
    other("uninstall", "mine")


def test_a_rollback_brings_back_the_kinds_of_its_revision(helm: Helm, kubectl: Kubectl, tmp_path: Path) -> None:
    def short_names() -> list[str]:
        return list(kubectl.get("crd", "dbosqueues.dbos.dev")["spec"]["names"]["shortNames"])

    helm("install", "op", str(CHART))
    before = short_names()
    helm("upgrade", "op", str(a_newer_chart(tmp_path)))
    assert short_names() == ["newer"]

    helm("rollback", "op", "1")

    assert short_names() == before
    helm("uninstall", "op")


def test_what_is_rendered_can_be_applied_as_the_page_says(helm: Helm, kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "--filename", str(CHART / "files" / "crds"))
    wait_for_kinds(kubectl)
    page = " ".join(HELM_PAGE.read_text(encoding="utf-8").replace("\\\n", " ").split())
    found = re.search(r"helm template dbos-operator charts/dbos-operator --namespace dbos-system (.*?) \|", page)
    assert found is not None

    rendered = helm("template", "dbos-operator", str(CHART), *found[1].split())
    kubectl("apply", "--server-side", "--filename", "-", stdin=rendered)

    assert kubectl.get("dbosdatabase", "default")["spec"]["secretRef"]["name"] == "dbos-db"
    assert "helm.sh/hook" not in rendered
    kubectl("delete", "--filename", "-", stdin=rendered)


def test_view_edit_and_admin_cover_the_kinds(
    helm: Helm, kubectl: Kubectl, may: Callable[[str, str, str], bool]
) -> None:
    helm("install", "op", str(CHART))

    def must(role: str, verb: str, kind: str) -> None:
        # The controller gathers the rules of the aggregated roles, of each when it comes to it.
        eventually(lambda: may(role, verb, kind), bool, what=f"right to {verb} {kind} for {role}")

    for kind in ("dbosdatabases", "dbosqueues", "dbosschedules"):
        must("view", "list", kind)
        assert not may("view", "patch", kind)
        for role in ("edit", "admin"):
            must(role, "create", kind)
            must(role, "get", kind)
    helm("uninstall", "op")
