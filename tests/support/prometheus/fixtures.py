"""Fixtures for tests with a real Prometheus. A conftest.py loads this module as a plugin, so that all share one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.session import available, fetch_for
from support.prometheus.fetch import PrometheusPrograms, find_prometheus
from support.prometheus.server import Prometheus

_TOOLS = pytest.StashKey[PrometheusPrograms | ToolsUnavailableError]()


class StartPrometheus(Protocol):
    """What the fixture `start_prometheus` gives."""

    def __call__(self, configuration: Mapping[str, Any]) -> Prometheus:
        """A server with this configuration that answers, until the end of the test."""
        ...


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch the programs before the first test."""
    found = fetch_for(session, "prometheus_programs", find_prometheus)
    if found is not None:
        session.config.stash[_TOOLS] = found


@pytest.fixture(scope="session")
def prometheus_programs(pytestconfig: pytest.Config) -> PrometheusPrograms:
    """The paths of prometheus and promtool."""
    return available(pytestconfig.stash[_TOOLS])


@pytest.fixture
def start_prometheus(prometheus_programs: PrometheusPrograms, tmp_path: Path) -> Iterator[StartPrometheus]:
    """Starts a Prometheus: `start_prometheus(configuration)`."""
    with contextlib.ExitStack() as running:

        def start(configuration: Mapping[str, Any]) -> Prometheus:
            server = Prometheus(prometheus_programs, tmp_path / "prometheus")
            running.callback(server.stop)
            server.start(configuration)
            return server

        yield start
