"""Fetches published binaries, where the internet is reachable: half a minute instead of minutes of compiling."""

from __future__ import annotations

import hashlib
import http.client
import io
import platform
import sys
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support.controlplane.cache import Say

_GIVE_UP_SECONDS = 5
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Release:
    """Which published files make a control plane. Only Linux has all of them."""

    version: str = "1.35.0"
    archives: str = "https://github.com/kubernetes-sigs/controller-tools/releases/download"
    """envtest: etcd, kube-apiserver and kubectl in one archive."""
    binaries: str = "https://dl.k8s.io"
    """kube-controller-manager, which envtest leaves out."""


class DownloadError(Exception):
    """A published file could not be had, or is not what its checksum says."""


def download(release: Release, into: Path, say: Say) -> None:
    """Put the four programs of a release into the folder, each checked against its published checksum."""
    machine = linux_machine()
    name = f"envtest-v{release.version}"
    archive_url = f"{release.archives}/{name}/{name}-linux-{machine}.tar.gz"
    manager_url = f"{release.binaries}/v{release.version}/bin/linux/{machine}/kube-controller-manager"
    archive_sum, manager_sum = read(f"{archive_url}.sha512"), read(f"{manager_url}.sha256")
    say("downloading the published control plane (130 MB, usually half a minute)")
    archive = checked(read(archive_url), archive_sum, "sha512", archive_url)
    unpack(archive, into)
    manager = into / "kube-controller-manager"
    manager.write_bytes(checked(read(manager_url), manager_sum, "sha256", manager_url))
    manager.chmod(0o755)


def linux_machine() -> str:
    """What releases call this machine; a DownloadError where only other machines are served."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        raise DownloadError(f"nothing complete is published for {sys.platform} on {platform.machine()}")
    return machine


def read(url: str) -> bytes:
    """What is published at a URL; a DownloadError when nothing is sent for a few seconds."""
    try:
        with urllib.request.urlopen(url, timeout=_GIVE_UP_SECONDS) as response:
            content: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: {error}") from error
    return content


def checked(content: bytes, checksum: bytes, algorithm: str, url: str) -> bytes:
    """The content, when it has the checksum that the file of checksums begins with."""
    expected = checksum.split()[0].decode() if checksum.split() else ""
    if hashlib.new(algorithm, content).hexdigest() != expected:
        raise DownloadError(f"{url}: its {algorithm} is not the published one")
    return content


def unpack(archive: bytes, into: Path) -> None:
    """Put every file of the archive into the folder, as a program and without its path."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member in files.getmembers():
            source = files.extractfile(member)
            if source is not None:
                program = into / Path(member.name).name
                program.write_bytes(source.read())
                program.chmod(0o755)
