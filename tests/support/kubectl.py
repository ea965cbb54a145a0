"""kubectl for tests: text in, text out, an exception with what it said when it fails."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class KubectlError(Exception):
    """kubectl ended with another status than 0."""

    def __init__(self, arguments: tuple[str, ...], status: int, stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} ended with status {status}:\n{stderr}")
        self.status = status
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with one kubeconfig, in one namespace where that is given."""

    executable: Path
    kubeconfig: Path
    namespace: str | None = None

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Standard output of `kubectl ARGUMENTS`; `stdin` is what `-f -` reads."""
        done = subprocess.run(
            [self.executable, *self._options(), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlError(arguments, done.returncode, done.stderr)
        return done.stdout

    def start(self, *arguments: str, stdin: bool = False) -> subprocess.Popen[str]:
        """`kubectl ARGUMENTS` in the background, for a watch or a session; what it complains about is dropped."""
        return subprocess.Popen(
            [self.executable, *self._options(), *arguments],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def get(self, *arguments: str) -> Any:
        """What `kubectl get ARGUMENTS` finds, decoded: an object, or a list of them."""
        found = json.loads(self("get", *arguments, "--output", "json"))
        return found["items"] if found["kind"] == "List" else found

    def apply(self, manifest: str) -> None:
        """Apply YAML text as a user does: validated, with unknown fields refused."""
        self("apply", "--filename", "-", stdin=manifest)

    def in_namespace(self, namespace: str) -> Kubectl:
        """The same kubectl in a namespace."""
        return Kubectl(self.executable, self.kubeconfig, namespace)

    def as_user(self, kubeconfig: Path) -> Kubectl:
        """The same kubectl with the rights of someone else."""
        return Kubectl(self.executable, kubeconfig, self.namespace)

    def _options(self) -> list[str]:
        namespace = [] if self.namespace is None else ["--namespace", self.namespace]
        return ["--kubeconfig", str(self.kubeconfig), *namespace]
