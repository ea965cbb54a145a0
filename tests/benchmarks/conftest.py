"""One benchmark runs on a real API server; `control_plane`, `namespace`, `kubectl` and `crds` come from the plugin."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures once, whichever folder asks first, so that the session has one control plane."""
    config.pluginmanager.import_plugin("support.controlplane.fixtures")
