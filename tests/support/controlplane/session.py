"""Fetched tools in a pytest session: had before the first test, and what happens to tests without them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

import pytest

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say

Found = TypeVar("Found")
Find = Callable[[Mapping[str, str], Say], Found]


def fetch_for(session: pytest.Session, fixture: str, find: Find[Found]) -> Found | ToolsUnavailableError | None:
    """What was found, when a collected test asks for the fixture.

    For `pytest_collection_finish`: no test's timeout counts the time, and the progress is seen.
    """
    wanted = any(fixture in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return None
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            return find(os.environ, _say)
        except ToolsUnavailableError as error:
            return error


def available(found: Found | ToolsUnavailableError) -> Found:
    """What was found; without it the test is skipped with the reason, or fails where CI is set."""
    if isinstance(found, ToolsUnavailableError):
        if os.environ.get("CI"):
            pytest.fail(str(found))
        pytest.skip(str(found))
    return found


def _say(line: str) -> None:
    print(f"==> {line}", flush=True)
