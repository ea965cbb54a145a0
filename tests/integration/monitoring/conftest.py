"""Tests here use a real Prometheus; `prometheus_programs` comes from the plugin."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures once, whichever folder asks first, so that the session fetches Prometheus once."""
    config.pluginmanager.import_plugin("support.prometheus.fixtures")
