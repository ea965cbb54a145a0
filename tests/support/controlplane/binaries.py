"""The four programs of a control plane, wherever they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


class ToolsUnavailableError(Exception):
    """The programs are not here and could not be fetched; the text says what was tried and what to set."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Paths of the programs, all of one folder."""

    folder: Path

    @property
    def etcd(self) -> Path:
        """The store of the API server."""
        return self.folder / "etcd"

    @property
    def apiserver(self) -> Path:
        """The API server."""
        return self.folder / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        """What makes Deployments into Pods, and collects garbage."""
        return self.folder / "kube-controller-manager"

    @property
    def kubectl(self) -> Path:
        """The command line client, of the same version as the server where it was built here."""
        return self.folder / "kubectl"

    def __str__(self) -> str:
        return str(self.folder)

    def missing(self) -> list[str]:
        """The names of the programs that are not in the folder."""
        return missing(self.folder, PROGRAMS)


def missing(folder: Path, programs: Iterable[str]) -> list[str]:
    """The names of the programs that are not in a folder."""
    return [name for name in programs if not os.access(folder / name, os.X_OK)]
