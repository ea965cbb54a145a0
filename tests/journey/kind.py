"""`make kind`: the journey on a cluster of its own, made by kind and removed again. docs/e2e.md tells more.

Ends as the journey does, and with 2 when docker or kind is missing.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from journey.images import ROOT
from journey.run import run_journey
from journey.tools import find_kubectl
from support.controlplane.binaries import ToolsUnavailableError
from support.controlplane.cache import Say

CONFIG = ROOT / "kind-config.yaml"
POSTGRES = Path(__file__).with_name("postgres.yaml")
KUBECONFIG = ROOT / "build" / "kind" / "kubeconfig"
DATABASE_URL = "postgresql://postgres:postgres@postgres.postgres.svc:5432/postgres"
STOP_POSTGRES = ["-n", "postgres", "exec", "postgres-0", "--", "sh", "-c", "kill -INT 1"]
"""A fast shutdown; the kubelet starts the container again, on the same data."""

_ANSWER_SECONDS = 60.0

Journey = Callable[[Mapping[str, str]], int]


class KindError(Exception):
    """The cluster cannot be made; the text says what is missing or what a command said."""


@dataclass(frozen=True, slots=True)
class KindCluster:
    """A cluster in containers of this machine, with its kubeconfig in a file of its own."""

    name: str
    kubectl: Path
    environ: Mapping[str, str]

    def create(self) -> None:
        """Make the cluster, or use the one that was kept, and start PostgreSQL in it."""
        KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
        target = ["--name", self.name, "--kubeconfig", str(KUBECONFIG)]
        if self.name in self._run("kind", "get", "clusters").splitlines():
            self._run("kind", "export", "kubeconfig", *target)
        else:
            self._run("kind", "create", "cluster", *target, "--config", str(CONFIG), "--wait", "5m")
        self._kubectl("apply", "--filename", str(POSTGRES))
        self._kubectl("-n", "postgres", "rollout", "status", "statefulset/postgres", "--timeout=5m")

    def delete(self) -> None:
        """Remove the cluster with everything in it."""
        self._run("kind", "delete", "cluster", "--name", self.name, "--kubeconfig", str(KUBECONFIG))

    def settings(self) -> dict[str, str]:
        """What the journey is told of this cluster."""
        kubectl = [str(self.kubectl), "--kubeconfig", str(KUBECONFIG)]
        return {
            "KUBECONFIG": str(KUBECONFIG),
            "E2E_LOAD_IMAGE": shlex.join(["kind", "load", "image-archive", "--name", self.name]),
            "E2E_DATABASE_URL": DATABASE_URL,
            "E2E_DATABASE_RESTART": shlex.join([*kubectl, *STOP_POSTGRES]),
        }

    def _kubectl(self, *arguments: str) -> None:
        self._run(str(self.kubectl), "--kubeconfig", str(KUBECONFIG), *arguments)

    def _run(self, *command: str) -> str:
        """Standard output of a command whose progress the person who waits sees."""
        done = subprocess.run(command, env=dict(self.environ), stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise KindError(f"{shlex.join(command)} ended with status {done.returncode}; what it said is above")
        return done.stdout


def missing_tools(environ: Mapping[str, str]) -> list[str]:
    """What must be installed or started first, one line each."""
    path = environ.get("PATH", os.defpath)
    missing = []
    if shutil.which("docker", path=path) is None:
        missing.append("docker is not on PATH: https://docs.docker.com/engine/install/")
    elif problem := _problem_of_docker(environ):
        missing.append(f"docker is there, and its daemon does not answer: {problem}")
    if shutil.which("kind", path=path) is None:
        missing.append("kind is not on PATH: https://kind.sigs.k8s.io/docs/user/quick-start/#installation")
    return missing


def run_on_kind(environ: Mapping[str, str], say: Say, journey: Journey) -> int:
    """Make the cluster, run the journey, remove the cluster unless E2E_KEEP says otherwise."""
    if missing := missing_tools(environ):
        raise KindError("\n".join(missing))
    name = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["name"]
    cluster = KindCluster(name=name, kubectl=find_kubectl(environ, say), environ=environ)
    kept = environ.get("E2E_KEEP", "") not in {"", "0"}
    say(f"cluster {name}, kubeconfig {KUBECONFIG}")
    try:
        cluster.create()
        return journey({**environ, **cluster.settings()})
    finally:
        if kept:
            say(f"kept: kind delete cluster --name {name} removes the cluster")
        else:
            cluster.delete()


def _problem_of_docker(environ: Mapping[str, str]) -> str:
    """Why `docker info` fails; nothing when it does not."""
    try:
        done = subprocess.run(
            ["docker", "info"], env=dict(environ), capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_ANSWER_SECONDS:g} s"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def main() -> int:
    """Run with the environment of this process."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        return run_on_kind(os.environ, say, run_journey)
    except (KindError, ToolsUnavailableError) as error:
        say(f"make kind cannot go on:\n{error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
