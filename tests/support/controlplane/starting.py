"""A control plane for tests, made of the programs that were found before the first test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.controlplane.binaries import Binaries, ToolsUnavailableError
from support.controlplane.plane import ControlPlane
from support.controlplane.session import available

TOOLS = pytest.StashKey[Binaries | ToolsUnavailableError]()


@contextmanager
def a_control_plane(
    config: pytest.Config, folder: Path, *, users: Sequence[str] = (), audited: bool = False
) -> Iterator[ControlPlane]:
    """A running control plane; without the programs the test skips, and fails where CI is set."""
    plane = ControlPlane(available(config.stash[TOOLS]), folder, users=users, audited=audited)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()
