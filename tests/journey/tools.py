"""kubectl, wherever it comes from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from support.controlplane.cache import Say
from support.controlplane.fetch import find_binaries


def find_kubectl(environ: Mapping[str, str], say: Say) -> Path:
    """The kubectl of KUBECTL or PATH, else the one that is fetched or built with the tests' control plane."""
    if given := environ.get("KUBECTL"):
        return Path(given)
    on_path = shutil.which("kubectl", path=environ.get("PATH"))
    return Path(on_path) if on_path is not None else find_binaries(environ, say).kubectl
