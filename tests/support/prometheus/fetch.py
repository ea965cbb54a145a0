"""Finds Prometheus and promtool, or fetches them. `python -m support.prometheus.fetch` does only that."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from support.controlplane import published
from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say
from support.controlplane.gobuild import Recipe
from support.controlplane.golang import OLDEST
from support.controlplane.obtain import Tool, fetch_command, obtain

VERSION = "3.15.0"
"""Its Go module calls itself v0.315.0."""
PROGRAMS = ("prometheus", "promtool")
_HELP = (
    "Set PROMETHEUS and PROMTOOL to the two programs, have them on PATH, "
    f"or make Go {OLDEST} or newer available on PATH together with its module proxy."
)
_RECIPE = Recipe(
    what=f"Prometheus {VERSION}",
    version=VERSION,
    sources=Path(__file__).parent,
    packages={f"github.com/prometheus/prometheus/cmd/{name}": name for name in PROGRAMS},
    tags="remove_all_sd",  # finds targets in files and lists only: half of the code
    linker_flags=f"-s -w -X github.com/prometheus/common/version.Version={VERSION}",
    usually="5 to 9 minutes on 2 cores",
)


@dataclass(frozen=True, slots=True)
class PrometheusPrograms:
    """Paths of the server and of its tool."""

    prometheus: Path
    promtool: Path

    def __str__(self) -> str:
        return f"{self.prometheus} and {self.promtool}"


@dataclass(frozen=True, slots=True)
class Release:
    """Where a release is published."""

    version: str = VERSION
    releases: str = "https://github.com/prometheus/prometheus/releases/download"


def find_prometheus(environ: Mapping[str, str], say: Say, release: Release | None = None) -> PrometheusPrograms:
    """The programs that PROMETHEUS and PROMTOOL name, else those on PATH, else fetched ones."""
    prometheus, promtool = (_given(name, environ) for name in PROGRAMS)
    if prometheus is not None and promtool is not None:
        return PrometheusPrograms(prometheus, promtool)
    release = release or Release()
    tool = Tool(
        name="Prometheus",
        folder="prometheus",
        programs=PROGRAMS,
        recipe=_RECIPE,
        published_version=release.version,
        download=partial(_download, release),
        help=_HELP,
    )
    folder = obtain(tool, environ, say)
    return PrometheusPrograms(prometheus or folder / "prometheus", promtool or folder / "promtool")


def _given(name: str, environ: Mapping[str, str]) -> Path | None:
    variable = name.upper()
    if named := environ.get(variable):
        if not os.access(named, os.X_OK):
            raise ToolsUnavailableError(f"{variable} names {named}, which cannot be run. {_HELP}")
        return Path(named)
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    return None if found is None else Path(found)


def _download(release: Release, into: Path, say: Say) -> None:
    """Put the two programs of a release into the folder, checked against the published checksum."""
    name = f"prometheus-{release.version}.linux-{published.linux_machine()}.tar.gz"
    folder = f"{release.releases}/v{release.version}"
    sums = published.read(f"{folder}/sha256sums.txt").decode().splitlines()
    checksum = next((line for line in sums if line.split()[1:] == [name]), "")
    say("downloading the published Prometheus (120 MB, usually half a minute)")
    url = f"{folder}/{name}"
    published.unpack(published.checked(published.read(url), checksum.encode(), "sha256", url), into)


if __name__ == "__main__":
    sys.exit(fetch_command(find_prometheus, "Prometheus"))
