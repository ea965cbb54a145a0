"""The control plane of the harness behaves like a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.controlplane.fixtures import RESTRICTED_USER
from support.controlplane.kinds import served_kinds
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl, KubectlError
from support.waiting import eventually


def config_maps(kubectl: Kubectl) -> list[str]:
    """Their names; none for who may not list them."""
    try:
        return [each["metadata"]["name"] for each in kubectl.get("configmaps")]
    except KubectlError:
        return []


def test_it_says_which_kubernetes_it_is(control_plane: ControlPlane) -> None:
    assert "Server Version: v1." in control_plane.kubectl("version")


def test_a_user_may_do_nothing_until_a_role_is_bound(
    control_plane: ControlPlane, namespace: str, kubectl: Kubectl
) -> None:
    restricted = kubectl.as_user(control_plane.kubeconfig_for(RESTRICTED_USER))
    with pytest.raises(KubectlError, match="Forbidden"):
        restricted("get", "configmaps")

    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--user={RESTRICTED_USER}")

    kubectl("wait", "--for=create", "configmap/kube-root-ca.crt", "--timeout=30s")
    # The API server judges by the roles that its own watch has told it of.
    eventually(lambda: config_maps(restricted), lambda found: found == ["kube-root-ca.crt"], what="right to list")
    with pytest.raises(KubectlError, match="Forbidden"):
        restricted("get", "secrets")


def test_a_service_account_has_a_token_of_its_own(
    control_plane: ControlPlane, namespace: str, kubectl: Kubectl
) -> None:
    account = kubectl.as_user(control_plane.kubeconfig_for_service_account(namespace, "default"))

    assert f"system:serviceaccount:{namespace}:default" in account("auth", "whoami")


def test_a_restarted_api_server_keeps_what_it_was_told(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "kept", "--from-literal=a=b")

    control_plane.restart_apiserver()

    assert kubectl.get("configmap", "kept")["data"] == {"a": "b"}


def test_a_paused_api_server_answers_nobody_and_comes_back(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    with control_plane.paused("kube-apiserver"), pytest.raises(KubectlError, match=r"[Tt]imeout|deadline"):
        kubectl("get", "configmaps", "--request-timeout=1s")

    # A controller makes the first one, and may have been held up.
    eventually(lambda: config_maps(kubectl), bool, what="ConfigMap of the namespace")


def test_the_kinds_of_the_operator_are_served(crds: Path, kubectl: Kubectl) -> None:
    names = {"dbosdatabases.dbos.dev", "dbosqueues.dbos.dev", "dbosschedules.dbos.dev"}

    eventually(lambda: served_kinds(kubectl), lambda served: served == names, what="three kinds")
    assert kubectl("get", "dbos") == ""
