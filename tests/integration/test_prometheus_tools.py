"""Prometheus and promtool are found in the promised order, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlplane.binaries import ToolsUnavailableError
from support.prometheus.fetch import PROGRAMS, PrometheusPrograms, Release, find_prometheus
from support.website import NOWHERE, served

OUT_OF_REACH = Release(releases=NOWHERE)
ARCHIVE = "prometheus-9.9.9.linux-amd64.tar.gz"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site" / "v9.9.9"
    folder.mkdir(parents=True)
    with tarfile.open(folder / ARCHIVE, "w:gz") as files:
        for name in (*PROGRAMS, "LICENSE"):
            content = f"#!/bin/sh\necho {name}\n".encode()
            member = tarfile.TarInfo(f"prometheus-9.9.9.linux-amd64/{name}")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256((folder / ARCHIVE).read_bytes()).hexdigest()
    (folder / "sha256sums.txt").write_text(f"{'0' * 64}  prometheus-9.9.9.linux-arm64.tar.gz\n{digest}  {ARCHIVE}\n")
    return folder


@pytest.fixture
def release(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Release]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    with served(site.parent) as url:
        yield Release(version="9.9.9", releases=url)


@pytest.fixture(autouse=True)
def no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """That Go is found or installed is tried with the control plane."""

    def find_go(*_: object) -> None:
        raise ToolsUnavailableError("no Go here")

    monkeypatch.setattr("support.controlplane.golang.find_go", find_go)


def bare(tmp_path: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing is named or found."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/nonexistent", **more}


def a_program(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o755)
    return file


def _ignore(line: str) -> None:
    pass


def test_variables_win_over_the_path(tmp_path: Path) -> None:
    named = PrometheusPrograms(a_program(tmp_path / "a" / "server"), a_program(tmp_path / "a" / "tool"))
    for name in PROGRAMS:
        a_program(tmp_path / "bin" / name)
    environ = bare(tmp_path, PROMETHEUS=str(named.prometheus), PROMTOOL=str(named.promtool))

    assert find_prometheus({**environ, "PATH": str(tmp_path / "bin")}, _ignore, OUT_OF_REACH) == named


def test_programs_on_the_path_are_used_as_they_are(tmp_path: Path) -> None:
    found = PrometheusPrograms(*(a_program(tmp_path / "bin" / name) for name in PROGRAMS))

    assert find_prometheus({**bare(tmp_path), "PATH": str(tmp_path / "bin")}, _ignore, OUT_OF_REACH) == found


def test_a_variable_that_names_nothing_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ToolsUnavailableError, match=r"PROMTOOL names .*/none, which cannot be run"):
        find_prometheus(bare(tmp_path, PROMTOOL=str(tmp_path / "none")), _ignore, OUT_OF_REACH)


def test_published_programs_are_downloaded_once_and_fill_the_gap(tmp_path: Path, release: Release) -> None:
    said: list[str] = []
    own = a_program(tmp_path / "bin" / "promtool")

    first = find_prometheus(bare(tmp_path), said.append, release)
    second = find_prometheus({**bare(tmp_path), "PATH": str(own.parent)}, said.append, release)

    assert first.promtool.parent == first.prometheus.parent == second.prometheus.parent
    assert second.promtool == own
    assert sum("downloading" in line for line in said) == 1


def test_a_download_that_was_changed_on_the_way_is_not_kept(tmp_path: Path, site: Path, release: Release) -> None:
    (site / ARCHIVE).write_bytes(b"something else")
    said: list[str] = []

    with pytest.raises(ToolsUnavailableError):
        find_prometheus(bare(tmp_path), said.append, release)

    assert any("its sha256 is not the published one" in line for line in said)
    assert [path.name for path in (tmp_path / "cache/dbos-operator/prometheus").iterdir()] == [".lock"]


def test_without_network_and_go_the_person_is_told_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ToolsUnavailableError, match="no Go here\nSet PROMETHEUS and PROMTOOL"):
        find_prometheus(bare(tmp_path), _ignore, OUT_OF_REACH)
