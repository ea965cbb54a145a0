"""`make image`, with builders that only write down what they are asked to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.image_build import ROOT

TOOLS = ("bash", "cat", "dirname", "env", "git", "mkdir", "mktemp", "rm", "sed")
RECORDER = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$RECORD"
for argument in "$@"; do
  case $argument in id=*,src=*) echo "${argument%%,*}: $(tr '\\n' ';' < "${argument#*src=}")" >> "$RECORD" ;; esac
done
"""


class Machine:
    """A PATH with the tools that the command itself uses, and the builders of a test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self.record = folder / "record"
        self.record.touch()
        for tool in (*TOOLS, "basename", "tr"):
            found = shutil.which(tool)
            assert found is not None
            (self.path / tool).symlink_to(found)

    def install(self, builder: str, script: str = RECORDER) -> None:
        """Put a builder on the PATH."""
        file = self.path / builder
        file.write_text(script, encoding="utf-8")
        file.chmod(0o755)

    def build(self, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run what `make image` runs."""
        variables = {"PATH": str(self.path), "HOME": os.environ.get("HOME", "/"), "RECORD": str(self.record)}
        return subprocess.run(
            [ROOT / ".ci" / "image"],
            env={**variables, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        """What the builders were asked to do, in order."""
        return self.record.read_text(encoding="utf-8").splitlines()

    def builds(self) -> list[str]:
        """The calls that build an image."""
        return [call for call in self.calls if call.split()[1] == "build"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_builder_it_says_what_is_missing(machine: Machine) -> None:
    done = machine.build()

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "make image: nothing here can build images:",
        "  docker is not installed",
        "  podman is not installed",
        "  buildah is not installed",
        "Install one of docker, podman and buildah, or name one that is there with BUILDER=…",
    ]


def test_a_docker_without_its_daemon_or_its_plugin_is_told_and_passed_over(machine: Machine) -> None:
    machine.install("docker", "#!/usr/bin/env bash\n[ $1 != info ]\n")
    told = machine.build({"BUILDER": "docker"}).stderr
    assert "docker is installed, but its daemon does not answer" in told

    machine.install("docker", "#!/usr/bin/env bash\n[ $1 != buildx ]\n")
    assert "docker is installed without its plugin buildx" in machine.build({"BUILDER": "docker"}).stderr

    machine.install("podman")
    done = machine.build()
    assert done.returncode == 0, done.stderr
    assert all(call.startswith("podman build ") for call in machine.builds())


def test_a_builder_that_is_not_known_is_refused(machine: Machine) -> None:
    done = machine.build({"BUILDER": "kaniko"})

    assert done.returncode == 1
    assert "  kaniko is not one of docker, podman and buildah" in done.stderr


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_both_images_are_built_with_the_version_and_as_latest(machine: Machine, builder: str) -> None:
    machine.install(builder)

    done = machine.build()

    assert done.returncode == 0, done.stderr
    operator, worker = machine.builds()
    assert "--target operator --tag dbos-operator:0.1.0 --tag dbos-operator:latest ." in operator
    assert "--target worker --tag dbos-worker:0.1.0 --tag dbos-worker:latest" in worker
    assert "--build-arg VERSION=0.1.0 --build-arg REVISION=" in operator
    assert "--build-arg APPLICATION=examples/kubernetes" in worker
    assert "PYTHON_IMAGE" not in operator


def test_tag_base_application_and_flags_can_be_chosen(machine: Machine) -> None:
    machine.install("buildah")

    machine.build(
        {
            "IMAGE_TAG": "e2e",
            "PYTHON_IMAGE": "localhost/python:3.11",
            "APPLICATION": "examples/quickstart",
            "BUILD_FLAGS": "--isolation chroot",
            "IMAGE_TARGETS": "worker",
        }
    )

    (worker,) = machine.builds()
    assert "--build-arg PYTHON_IMAGE=localhost/python:3.11 --layers --isolation chroot --target worker" in worker
    assert worker.endswith("--tag dbos-worker:e2e --build-arg APPLICATION=examples/quickstart .")


@pytest.mark.parametrize("application", ["runtime", "examples/none", "examples/", "/etc"])
def test_an_application_that_the_builder_would_not_be_sent_is_refused(machine: Machine, application: str) -> None:
    machine.install("docker")

    done = machine.build({"APPLICATION": application})

    assert done.returncode == 2
    assert f"APPLICATION={application}: expected a folder below examples/" in done.stderr
    assert machine.calls == []


def test_what_pip_is_told_reaches_the_build_as_secrets_and_nothing_else(machine: Machine, tmp_path: Path) -> None:
    machine.install("docker")
    certificates = tmp_path / "ca.pem"
    certificates.write_text("certificates", encoding="utf-8")

    machine.build({"PIP_INDEX_URL": "https://me:password@pypi.example.com/simple", "PIP_CERT": str(certificates)})

    assert not [call for call in machine.builds() if "password" in call]
    secrets = [call for call in machine.calls if call.startswith("id=")]
    index = "index-url = https://me:password@pypi.example.com/simple"
    assert secrets == 2 * [f"id=pip: [global];timeout = 60;{index};cert = /run/secrets/ca;", "id=ca: certificates"]


def test_a_pip_configuration_file_is_handed_over_as_it_is(machine: Machine, tmp_path: Path) -> None:
    machine.install("podman")
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://pypi.example.com\n", encoding="utf-8")

    machine.build({"PIP_CONFIG_FILE": str(file), "IMAGE_TARGETS": "operator"})

    secrets = [call for call in machine.calls if call.startswith("id=")]
    assert secrets == ["id=pip: [global];index-url = https://pypi.example.com;"]


def test_a_proxy_is_named_to_the_builder_but_not_written_down(machine: Machine) -> None:
    machine.install("docker")

    machine.build({"HTTPS_PROXY": "http://me:password@proxy.example.com", "IMAGE_TARGETS": "operator"})

    (operator,) = machine.builds()
    assert "--build-arg HTTPS_PROXY " in operator
    assert "password" not in operator


@pytest.mark.parametrize(
    ("builder", "saved"),
    [
        ("docker", ["docker save --output {file} dbos-worker:e2e"]),
        (
            "podman",
            [
                "podman tag dbos-worker:e2e docker.io/library/dbos-worker:e2e",
                "podman save --quiet --format oci-archive --output {file} docker.io/library/dbos-worker:e2e",
                "podman untag dbos-worker:e2e docker.io/library/dbos-worker:e2e",
            ],
        ),
        ("buildah", ["buildah push --quiet dbos-worker:e2e oci-archive:{file}:docker.io/library/dbos-worker:e2e"]),
    ],
)
def test_an_archive_carries_the_name_that_kubernetes_looks_for(
    machine: Machine, tmp_path: Path, builder: str, saved: list[str]
) -> None:
    machine.install(builder)

    machine.build({"IMAGE_TAG": "e2e", "IMAGE_TARGETS": "worker", "IMAGE_ARCHIVES": str(tmp_path)})

    file = tmp_path / "dbos-worker.tar"
    assert [call for call in saved if call.format(file=file) not in machine.calls] == []


def test_a_build_that_fails_ends_it(machine: Machine) -> None:
    machine.install("buildah", "#!/usr/bin/env bash\n[ $1 != build ] || { echo no space >&2; exit 125; }\n")

    done = machine.build()

    assert (done.returncode, done.stderr) == (125, "no space\n")
    assert "Built" not in done.stdout
