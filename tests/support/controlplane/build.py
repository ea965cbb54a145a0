"""Compiles the control plane from its Go modules, with lines of progress."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say
from support.controlplane.golang import Go

VERSION = "1.35.4"
_SOURCES = Path(__file__).parent
_PACKAGES = {
    "go.etcd.io/etcd/server/v3": "etcd",
    "k8s.io/kubernetes/cmd/kube-apiserver": "kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager": "kube-controller-manager",
    "k8s.io/kubernetes/cmd/kubectl": "kubectl",
}
_VERSION_PACKAGE = "k8s.io/component-base/version"
# Without a version the server calls itself v0.0.0, and charts with a kubeVersion refuse to install.
_MAJOR, _MINOR, _ = VERSION.split(".")
_LINKER_FLAGS = " ".join(
    ["-s -w"]
    + [
        f"-X {_VERSION_PACKAGE}.{name}"
        for name in (f"gitVersion=v{VERSION}", f"gitMajor={_MAJOR}", f"gitMinor={_MINOR}")
    ]
)
_SECONDS_BETWEEN_LINES = 15.0


def stamp() -> str:
    """A name that changes with anything that changes what is built."""
    digest = hashlib.sha256(_LINKER_FLAGS.encode())
    for name in ("go.mod", "go.sum", "tools.go"):
        digest.update((_SOURCES / name).read_bytes())
    return f"{VERSION}-{sys.platform}-{platform.machine()}-{digest.hexdigest()[:12]}"


def build(go: Go, into: Path, say: Say) -> None:
    """Compile the four programs into the folder. A warm Go cache makes it seconds."""
    say(f"building the control plane of Kubernetes {VERSION} with Go (usually 5 to 7 minutes on 2 cores, once)")
    say("  fetching Go modules (usually under a minute)")
    listed = _run(go, ["list", "-deps", *_PACKAGES], _Progress("fetching modules", say))
    progress = _Progress("compiling", say, of=len(listed.splitlines()))
    flags = ["-v", "-trimpath", "-ldflags", _LINKER_FLAGS, "-o", f"{into}/"]
    _run(go, ["build", *flags, *_PACKAGES], progress)
    (into / "server").rename(into / "etcd")


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


def _run(go: Go, arguments: list[str], progress: _Progress) -> str:
    """Standard output of a go command, whose standard error feeds the progress."""
    # What is set on this machine for other projects must not change what is built.
    environ = {**go.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    command = [str(go.executable), *arguments]
    with (
        progress,
        subprocess.Popen(
            command, cwd=_SOURCES, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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
