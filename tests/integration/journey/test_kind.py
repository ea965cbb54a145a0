"""`make kind` without docker and kind: programs of these names write down what they were asked."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml

from journey.kind import CONFIG, DATABASE_URL, KUBECONFIG, POSTGRES, KindError, missing_tools, run_on_kind

PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
case "$(basename "$0") $*" in
  "kind get clusters") cat {clusters} 2>/dev/null ;;
  {failing}) echo "refused" >&2; exit 1 ;;
esac
exit 0
"""

_TEXT = {"type": "string"}
_PATCHES = {
    "kubeadmConfigPatches": {"type": "array", "items": _TEXT},
    "kubeadmConfigPatchesJSON6902": {"type": "array"},
}
SCHEMA = {
    # https://kind.sigs.k8s.io/docs/user/configuration/
    "type": "object",
    "required": ["kind", "apiVersion"],
    "additionalProperties": False,
    "properties": {
        "kind": {"const": "Cluster"},
        "apiVersion": {"const": "kind.x-k8s.io/v1alpha4"},
        "name": {"type": "string", "pattern": "^[a-z0-9.-]+$"},
        "networking": {"type": "object"},
        "featureGates": {"type": "object"},
        "runtimeConfig": {"type": "object"},
        "containerdConfigPatches": {"type": "array", "items": _TEXT},
        "containerdConfigPatchesJSON6902": {"type": "array", "items": _TEXT},
        **_PATCHES,
        "nodes": {
            "type": "array",
            "contains": {"properties": {"role": {"const": "control-plane"}}, "required": ["role"]},
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "role": {"enum": ["control-plane", "worker"]},
                    "image": _TEXT,
                    "labels": {"type": "object", "additionalProperties": _TEXT},
                    "extraMounts": {"type": "array"},
                    "extraPortMappings": {"type": "array"},
                    **_PATCHES,
                },
            },
        },
    },
}


class Machine:
    """A PATH with docker, kind and kubectl on it, as far as these go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.clusters = folder / "clusters"
        self.environ = {"PATH": f"{folder}:/usr/bin:/bin", "KUBECTL": str(folder / "kubectl")}

    def install(self, *names: str, failing: str = "nothing") -> None:
        """Put programs there; `failing` is a pattern of the shell for the call that ends with 1."""
        text = PROGRAM.format(log=self.log, clusters=self.clusters, failing=failing)
        for name in names:
            program = self.folder / name
            program.write_text(text)
            program.chmod(0o755)

    def asked(self) -> list[str]:
        """What the programs were asked, in order."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def run(machine: Machine, told: list[Mapping[str, str]], *, status: int = 0, **environ: str) -> int:
    def journey(given: Mapping[str, str]) -> int:
        told.append(given)
        machine.log.write_text(machine.log.read_text() + "the journey\n")
        return status

    return run_on_kind(machine.environ | environ, lambda _line: None, journey)


def test_the_configuration_of_the_cluster_is_one_that_kind_documents() -> None:
    jsonschema.validate(yaml.safe_load(CONFIG.read_text(encoding="utf-8")), SCHEMA)


def test_a_cluster_is_made_with_postgres_in_it_and_removed_after_the_journey(machine: Machine) -> None:
    machine.install("docker", "kind", "kubectl")
    told: list[Mapping[str, str]] = []
    assert run(machine, told, status=1) == 1
    target = f"--name dbos-e2e --kubeconfig {KUBECONFIG}"
    assert machine.asked() == [
        "docker info",
        "kind get clusters",
        f"kind create cluster {target} --config {CONFIG} --wait 5m",
        f"kubectl --kubeconfig {KUBECONFIG} apply --filename {POSTGRES}",
        f"kubectl --kubeconfig {KUBECONFIG} -n postgres rollout status statefulset/postgres --timeout=5m",
        "the journey",
        f"kind delete cluster {target}",
    ]
    (given,) = told
    assert given["KUBECONFIG"] == str(KUBECONFIG)
    assert given["E2E_DATABASE_URL"] == DATABASE_URL
    assert given["E2E_LOAD_IMAGE"] == "kind load image-archive --name dbos-e2e"


def test_the_command_that_restarts_postgres_ends_its_first_process(machine: Machine) -> None:
    machine.install("docker", "kind", "kubectl")
    told: list[Mapping[str, str]] = []
    run(machine, told)
    os.spawnve(os.P_WAIT, "/bin/sh", ["sh", "-c", told[0]["E2E_DATABASE_RESTART"]], machine.environ)
    expected = ["-n", "postgres", "exec", "postgres-0", "--", "sh", "-c", "kill", "-INT", "1"]
    assert shlex.split(machine.asked()[-1])[-len(expected) :] == expected


def test_a_cluster_that_was_kept_is_used_again_and_kept_again(machine: Machine) -> None:
    machine.install("docker", "kind", "kubectl")
    machine.clusters.write_text("another\ndbos-e2e\n")
    run(machine, [], E2E_KEEP="1")
    asked = [line for line in machine.asked() if line.startswith("kind")]
    assert asked == ["kind get clusters", f"kind export kubeconfig --name dbos-e2e --kubeconfig {KUBECONFIG}"]


def test_a_cluster_that_could_not_be_made_is_removed(machine: Machine) -> None:
    machine.install("docker", "kind", "kubectl", failing='"kind create"*')
    told: list[Mapping[str, str]] = []
    with pytest.raises(KindError, match="kind create cluster"):
        run(machine, told)
    assert not told
    assert machine.asked()[-1].startswith("kind delete cluster")


def test_what_is_not_installed_is_named(machine: Machine) -> None:
    machine.environ["PATH"] = str(machine.folder)
    docker, kind = missing_tools(machine.environ)
    assert docker.startswith("docker is not on PATH: https://")
    assert kind.startswith("kind is not on PATH: https://")


def test_a_docker_whose_daemon_is_away_is_told_with_its_words(machine: Machine) -> None:
    machine.install("docker", "kind", failing='"docker info"')
    assert missing_tools(machine.environ) == ["docker is there, and its daemon does not answer: refused"]
    with pytest.raises(KindError, match="refused"):
        run(machine, [])
    assert "kind" not in " ".join(machine.asked())
