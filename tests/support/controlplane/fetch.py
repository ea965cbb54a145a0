"""Finds the programs of a control plane, or fetches them. `python -m support.controlplane.fetch` does only that."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from support.controlplane import build, golang, published
from support.controlplane.binaries import Binaries, ToolsUnavailableError
from support.controlplane.cache import Say, cache_folder, locked, placed_atomically

_HELP = (
    "Set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl, "
    "or make Go 1.25 or newer available on PATH together with its module proxy."
)


def find_binaries(environ: Mapping[str, str], say: Say, release: published.Release | None = None) -> Binaries:
    """The programs from KUBEBUILDER_ASSETS, else from the cache, else published ones, else compiled ones.

    Two runs at once fetch once; a run that is interrupted leaves nothing half made.
    """
    if assets := environ.get("KUBEBUILDER_ASSETS"):
        return _complete(Binaries(Path(assets)))
    release = release or published.Release()
    cache = cache_folder(environ)
    folder = cache / "controlplane"
    built = Binaries(folder / build.stamp())
    downloaded = Binaries(folder / f"published-{release.version}")
    with locked(folder, say):
        for binaries in (built, downloaded):
            if not binaries.missing():
                return binaries
        try:
            with placed_atomically(downloaded.folder) as temporary:
                published.download(temporary, release, say)
            return _complete(downloaded)
        except published.DownloadError as error:
            say(f"the published control plane is out of reach ({error})")
        _compile(environ, cache, built, say)
        return _complete(built)


def _compile(environ: Mapping[str, str], cache: Path, built: Binaries, say: Say) -> None:
    began = time.monotonic()
    try:
        go = golang.find_go(environ, cache, say)
        with placed_atomically(built.folder) as temporary:
            build.build(go, temporary, say)
    except ToolsUnavailableError as error:
        raise ToolsUnavailableError(f"There is no control plane to test on: {error}\n{_HELP}") from error
    say(f"built the control plane in {time.monotonic() - began:.0f} s: {built.folder}")


def _complete(binaries: Binaries) -> Binaries:
    if missing := binaries.missing():
        raise ToolsUnavailableError(f"{binaries.folder} has no {', '.join(missing)}. {_HELP}")
    return binaries


def main() -> int:
    """Fetch with progress. Without CI set, a machine that cannot have the tools is told what will be skipped."""

    def say(line: str) -> None:
        print(f"==> {line}", file=sys.stderr, flush=True)

    try:
        binaries = find_binaries(os.environ, say)
    except ToolsUnavailableError as error:
        say(str(error))
        say("The tests that need a Kubernetes API server will be skipped.")
        return 1 if os.environ.get("CI") else 0
    say(f"control plane: {binaries.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
