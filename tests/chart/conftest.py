"""Tests of the chart: the real Helm, and a control plane of their own, as the kinds belong to a release here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.kinds import remove_kinds
from support.controlplane.plane import ControlPlane
from support.controlplane.session import available, fetch_for
from support.controlplane.starting import a_control_plane
from support.helm import Helm, HelmPrograms, find_both

GetHelm = Callable[..., Helm]
_HELM = pytest.StashKey[HelmPrograms | ToolsUnavailableError]()


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures once, whichever folder asks first."""
    config.pluginmanager.import_plugin("support.controlplane.fixtures")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch Helm before the first test."""
    found = fetch_for(session, "get_helm", find_both)
    if found is not None:
        session.config.stash[_HELM] = found


@pytest.fixture(scope="session")
def control_plane(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that writes down who asked for what, and knows no kind of ours at the start."""
    with a_control_plane(pytestconfig, tmp_path_factory.mktemp("control-plane-of-charts"), audited=True) as plane:
        yield plane


@pytest.fixture(scope="session")
def get_helm(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> GetHelm:
    """Gives Helm 4 or 3: `get_helm(4, kubeconfig, namespace)`."""
    home = tmp_path_factory.mktemp("home-of-helm")

    def get(major: int = 4, kubeconfig: Path | None = None, namespace: str | None = None) -> Helm:
        programs = available(pytestconfig.stash[_HELM])
        return Helm(programs.of(major), kubeconfig, namespace, home)

    return get


@pytest.fixture(scope="session")
def helm(get_helm: GetHelm) -> Helm:
    """Helm 4 without a cluster."""
    return get_helm(4)


@pytest.fixture
def no_kinds(control_plane: ControlPlane) -> Iterator[None]:
    """A cluster that knows no kind of ours, before and after."""
    yield
    remove_kinds(control_plane.kubectl)
