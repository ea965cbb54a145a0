"""Fixtures for tests with a real Prometheus. A conftest.py loads this module as a plugin, so that all share one."""

from __future__ import annotations

import pytest

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.session import available, fetch_for
from support.prometheus.fetch import PrometheusPrograms, find_prometheus

_TOOLS = pytest.StashKey[PrometheusPrograms | ToolsUnavailableError]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the programs before the first test."""
    found = fetch_for(session, "prometheus_programs", find_prometheus)
    if found is not None:
        session.config.stash[_TOOLS] = found


@pytest.fixture(scope="session")
def prometheus_programs(pytestconfig: pytest.Config) -> PrometheusPrograms:
    """The paths of prometheus and promtool. A server: `with running_prometheus(programs, folder, configuration)`."""
    return available(pytestconfig.stash[_TOOLS])
