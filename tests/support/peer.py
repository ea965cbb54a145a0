"""The published package in an environment of its own: what ours must share a database with.

DBOS_TEST_PEER_PYTHON names an interpreter that has it already; else an environment is made on first use,
in the cache folder, and found there from then on.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from support.controlplane.cache import cache_folder, locked

PEER_VERSION = "3.4.0"
_REQUIREMENTS = Path(__file__).with_name("peer-requirements.txt")
_KAFKA_REQUIREMENTS = Path(__file__).with_name("peer-kafka-requirements.txt")


@cache
def peer_python() -> Path:
    """The interpreter of an environment with the published package; parallel runs make it once."""
    given = os.environ.get("DBOS_TEST_PEER_PYTHON")
    if given is not None:
        _check(Path(given))
        return Path(given)
    return _environment("", _REQUIREMENTS)


@cache
def peer_python_with_kafka() -> Path:
    """As peer_python, in an environment of its own that has the client library of Kafka too."""
    return _environment("-kafka", _REQUIREMENTS, _KAFKA_REQUIREMENTS)


def _environment(suffix: str, *requirements: Path) -> Path:
    folder = cache_folder(os.environ) / f"peer-{PEER_VERSION}{suffix}-py{platform.python_version()}"
    complete = folder / ".complete"
    wanted = "".join(file.read_text(encoding="utf-8") for file in requirements)
    with locked(folder, _say):
        if complete.exists() and complete.read_text(encoding="utf-8") == wanted:
            return _interpreter(folder)
        _say(f"making an environment with dbos {PEER_VERSION} in {folder} (about 15 s, once)")
        _make(folder, requirements)
        _check(_interpreter(folder))
        complete.write_text(wanted, encoding="utf-8")
    return _interpreter(folder)


def run_peer(
    script: str | Path, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run a script (its text or its path) with the published package to its end; its output is captured.

    Raises AssertionError with everything it said when it fails.
    """
    command, options = _call(script, arguments, env)
    done = subprocess.run(command, check=False, capture_output=True, timeout=timeout, **options)
    assert done.returncode == 0, f"the peer ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def start_peer(script: str | Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a script with the published package; stdin and stdout are pipes, what it logs goes to our stderr.

    The caller ends it: as a context manager, by closing its stdin if the script waits for that, or by a signal.
    """
    command, options = _call(script, arguments, env)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)


def _call(
    script: str | Path, arguments: tuple[str, ...], env: Mapping[str, str] | None
) -> tuple[list[str], dict[str, Any]]:
    path = script if isinstance(script, Path) else _written(script)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DBOS", "PYTHON"))}
    options: dict[str, Any] = {"env": {**inherited, **(env or {})}, "cwd": path.parent, "text": True}
    return [str(peer_python()), "-u", str(path), *arguments], options


def _written(script: str) -> Path:
    """A file with the script: the package reads the source of workflow functions from it."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=_scripts().name))
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    return path


@cache
def _scripts() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dbos-peer-")


def _make(folder: Path, requirements: Sequence[Path]) -> None:
    environment = folder / "venv"
    shutil.rmtree(environment, ignore_errors=True)
    python = str(_interpreter(folder))
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    wanted = [argument for file in requirements for argument in ("-r", str(file))]
    if uv is None:
        _run([sys.executable, "-m", "venv", str(environment)])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    else:
        _run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
        _run([uv, "pip", "install", "--quiet", "--python", python, *wanted])


def _check(python: Path) -> None:
    code = "from importlib.metadata import version; print(version('dbos'))"
    found = _run([str(python), "-I", "-c", code]).strip()
    if found != PEER_VERSION:
        raise RuntimeError(f"{python} has dbos {found}; {PEER_VERSION} is expected")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _interpreter(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


def _say(line: str) -> None:
    print(f"==> peer: {line}", file=sys.stderr, flush=True)
