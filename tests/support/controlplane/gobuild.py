"""Compiles programs from their Go modules, with lines of progress."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say
from support.controlplane.golang import Go

_SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is compiled, and from what."""

    what: str
    """As messages call it, with its version."""
    version: str
    sources: Path
    """The folder with go.mod, go.sum and tools.go, which pin everything."""
    packages: Mapping[str, str]
    """Go packages, with the name that the program shall have."""
    linker_flags: str = "-s -w"
    tags: str = ""
    """Build tags, such as those that leave parts out."""
    usually: str
    """How long it takes, for the person who waits."""

    def stamp(self) -> str:
        """A name that changes with anything that changes what is built."""
        digest = hashlib.sha256((self.linker_flags + self.tags).encode())
        for name in ("go.mod", "go.sum", "tools.go"):
            digest.update((self.sources / name).read_bytes())
        return f"{self.version}-{sys.platform}-{platform.machine()}-{digest.hexdigest()[:12]}"


def build(recipe: Recipe, go: Go, into: Path, say: Say) -> None:
    """Compile the programs into the folder. A warm Go cache makes it seconds."""
    say(f"building {recipe.what} with Go (usually {recipe.usually}, once)")
    say("  fetching Go modules (usually under a minute)")
    listed = _run(
        go, recipe, ["list", "-deps", "-tags", recipe.tags, *recipe.packages], _Progress("fetching modules", say)
    )
    progress = _Progress("compiling", say, of=len(listed.splitlines()))
    flags = ["-v", "-trimpath", "-tags", recipe.tags, "-ldflags", recipe.linker_flags, "-o", f"{into}/"]
    _run(go, recipe, ["build", *flags, *recipe.packages], progress)
    for package, name in recipe.packages.items():
        made = into / _name_of(package)
        made.rename(into / name)


def _name_of(package: str) -> str:
    """What Go calls the program of a package: its last part that is no major version."""
    return next(part for part in reversed(package.split("/")) if not (part[0] == "v" and part[1:].isdigit()))


class _Progress:
    """Counts lines of a command that runs, and shows where it is every few seconds."""

    def __init__(self, what: str, say: Say, of: int | None = None) -> None:
        self.tail: deque[str] = deque(maxlen=20)
        self._what = what
        self._say = say
        self._of = of
        self._lines = 0
        self._began = time.monotonic()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> _Progress:
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._ticker.join()

    def line(self, text: str) -> None:
        """Take in one line of the command's output."""
        self._lines += 1
        self.tail.append(text.rstrip())

    def _tick(self) -> None:
        while not self._done.wait(_SECONDS_BETWEEN_LINES):
            count = f"{self._lines}" if self._of is None else f"{self._lines} of at most {self._of} packages"
            self._say(f"  {self._what}: {count} ({time.monotonic() - self._began:.0f} s)")


def _run(go: Go, recipe: Recipe, arguments: list[str], progress: _Progress) -> str:
    """Standard output of a go command, whose standard error feeds the progress."""
    # What is set on this machine for other projects must not change what is built.
    environ = {**go.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    command = [str(go.executable), *arguments]
    with (
        progress,
        subprocess.Popen(
            command, cwd=recipe.sources, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        output: list[str] = []
        reader = threading.Thread(target=lambda out: output.append(out.read()), args=(process.stdout,))
        reader.start()
        for line in process.stderr:
            progress.line(line)
        reader.join()
    if process.returncode != 0:
        last = "\n".join(progress.tail)
        raise ToolsUnavailableError(f"{' '.join(command[:2])} failed with status {process.returncode}:\n{last}")
    return "".join(output)
