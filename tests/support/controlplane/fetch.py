"""Finds the programs of a control plane, or fetches them. `python -m support.controlplane.fetch` does only that."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from support.controlplane import build, published
from support.controlplane.binaries import PROGRAMS, Binaries
from support.controlplane.cache import Say
from support.controlplane.golang import OLDEST
from support.controlplane.obtain import Tool, fetch_command, obtain

_HELP = (
    "Set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl, "
    f"or make Go {OLDEST} or newer available on PATH together with its module proxy."
)


def find_binaries(environ: Mapping[str, str], say: Say, release: published.Release | None = None) -> Binaries:
    """The programs from KUBEBUILDER_ASSETS, else from the cache, else published ones, else compiled ones."""
    release = release or published.Release()
    tool = Tool(
        name="the control plane",
        folder="controlplane",
        programs=PROGRAMS,
        recipe=build.RECIPE,
        published_version=release.version,
        download=partial(published.download, release),
        help=_HELP,
    )
    if assets := environ.get("KUBEBUILDER_ASSETS"):
        return Binaries(tool.complete(Path(assets)))
    return Binaries(obtain(tool, environ, say))


if __name__ == "__main__":
    sys.exit(fetch_command(find_binaries, "a Kubernetes API server"))
