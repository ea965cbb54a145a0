"""Fixtures for tests on a real API server. A conftest.py loads this module as a plugin, so that all share one."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from support.controlplane.fetch import find_binaries
from support.controlplane.kinds import wait_for_kinds
from support.controlplane.plane import ControlPlane
from support.controlplane.session import fetch_for
from support.controlplane.starting import TOOLS, a_control_plane
from support.kubectl import Kubectl
from support.process_node import ProcessNode

RESTRICTED_USER = "restricted"
"""A user of the session's control plane who may do nothing until a test binds a Role."""
_CRDS = Path(__file__).parents[3] / "crds"


class StartNode(Protocol):
    """What the fixture `start_node` gives."""

    def __call__(self, working_directory: Path, image_environment: Mapping[str, str] | None = None) -> ProcessNode:
        """A node that runs until the end of the test."""
        ...


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the programs before the first test."""
    found = fetch_for(session, "control_plane", find_binaries)
    if found is not None:
        session.config.stash[TOOLS] = found


@pytest.fixture(scope="session")
def control_plane(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane, one for the whole session. A folder may have one of its own under the same name."""
    with a_control_plane(pytestconfig, tmp_path_factory.mktemp("control-plane"), users=[RESTRICTED_USER]) as plane:
        yield plane


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> Path:
    """The folder of the three kinds, which the API server serves when this returns."""
    control_plane.kubectl("apply", "--filename", str(_CRDS))
    wait_for_kinds(control_plane.kubectl)
    return _CRDS


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace in which pods can be created; removed in the background afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl = control_plane.kubectl
    kubectl("create", "namespace", name)
    # Admission refuses pods until the controller has made the account they run as.
    kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=30s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """kubectl as the administrator, in the namespace of this test."""
    return control_plane.kubectl.in_namespace(namespace)


@pytest.fixture
def start_node(control_plane: ControlPlane, namespace: str) -> Iterator[StartNode]:
    """Starts a node for the pods of this test's namespace: `start_node(working_directory, image_environment)`."""
    with contextlib.ExitStack() as running:

        def start(working_directory: Path, image_environment: Mapping[str, str] | None = None) -> ProcessNode:
            node = ProcessNode(
                control_plane.admin_kubeconfig,
                namespace=namespace,
                working_directory=working_directory,
                image_environment=image_environment,
            )
            node.start()
            running.callback(node.stop)
            return node

        yield start
