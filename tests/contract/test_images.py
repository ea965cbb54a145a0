"""What goes into the images: the Dockerfile, what the builder is sent, and the locked dependencies."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.image_build import ROOT, Ignore, Stage, read_stages, repository_files

STAGES = read_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
IGNORE = Ignore((ROOT / ".dockerignore").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
APPLICATION = "examples/kubernetes"
IMAGES = ["operator", "worker"]
LOCKED = {
    "runtime": PROJECT["project"]["dependencies"],
    "operator": PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["operator"],
    "build": PROJECT["build-system"]["requires"],
}


def copied() -> list[str]:
    """What the Dockerfile copies from the checkout."""
    found = []
    for stage in STAGES.values():
        for copy in stage.all("COPY"):
            if "from" not in copy.flags:
                found += [source.rstrip("/").replace("${APPLICATION}", APPLICATION) for source in copy.words[:-1]]
    return found


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


# -- the context -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", copied())
def test_what_the_dockerfile_copies_is_there_and_is_sent_to_the_builder(source: str) -> None:
    path = ROOT / source
    files = [source] if path.is_file() else [file for file in repository_files([source]) if "__pycache__" not in file]
    if source == APPLICATION:  # its manifests are for the cluster
        files = [file for file in files if file.endswith(".py")]

    assert files
    assert [file for file in files if not IGNORE.sends(file) and "/." not in file] == []


def test_nothing_is_sent_that_the_dockerfile_does_not_copy() -> None:
    # Any folder of examples can be the application of a worker; a lock of development is small.
    wanted = (*copied(), "examples", "requirements")
    sent = [file for file in repository_files() if IGNORE.sends(file)]

    assert [file for file in sent if not file.startswith(wanted)] == []


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        ".venv/bin/python",
        "tests/conftest.py",
        "charts/dbos-operator/values.yaml",
        "runtime/dbos/__pycache__/error.cpython-313.pyc",
        "examples/quickstart/.dbos/databases.json",
        "examples/kubernetes/.env",
        "examples/kubernetes/worker.yaml",
        "examples/kubernetes/README.md",
        "kubeconfig",
    ],
)
def test_state_secrets_and_manifests_of_a_checkout_are_not_sent(path: str) -> None:
    assert not IGNORE.sends(path)


def test_the_wheel_is_built_from_everything_that_it_holds() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    needed = [*wheel["packages"], *wheel["force-include"], project["readme"], *project["license-files"]]

    assert [path for path in needed if not any(path == has or path.startswith(f"{has}/") for has in copied())] == []


# -- the images ------------------------------------------------------------------------------------------------------


def test_the_base_image_has_a_full_name_and_a_patch_version_that_the_project_supports() -> None:
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    # podman and buildah ask about names without a registry.
    version = re.fullmatch(r"docker\.io/library/python:(\d+\.\d+)\.\d+-slim-\w+", found[1])
    assert version is not None

    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["project"]["classifiers"]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_with_a_number_and_gets_signals(image: str) -> None:
    stage, base = STAGES[image], STAGES[STAGES[image].base]
    started = [*stage.all("ENTRYPOINT"), *stage.all("CMD")]

    assert [user.text for user in [*base.all("USER"), *stage.all("USER")]] == ["65532:65532"]
    assert all(json.loads(command.text) for command in started), "a shell would keep SIGTERM to itself"


def test_the_operator_runs_by_itself_and_a_worker_is_what_the_deployment_says() -> None:
    assert [found.text for found in STAGES["operator"].all("ENTRYPOINT")] == ['["dbos-operator"]']
    assert [found.text for found in STAGES["operator"].all("CMD")] == ['["run"]']
    assert STAGES["worker"].all("ENTRYPOINT") == []
    assert [found.text for found in STAGES["worker"].all("CMD")] == ['["dbos", "worker", "app.py"]']


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_made_of_folders_that_other_stages_built(image: str) -> None:
    copies = [copy for copy in STAGES[image].all("COPY") if "from" in copy.flags]

    assert STAGES[image].all("RUN") == []
    assert [copy.flags["from"] for copy in copies] == [f"{image}-dependencies", "project"]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is(image: str) -> None:
    (labels,) = STAGES[image].all("LABEL")

    names = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels.text))
    assert names == {"title", "description", "licenses", "version", "revision"}
    assert f'title="dbos-{image}"' in labels.text


@pytest.mark.parametrize("stage", [stage for stage in STAGES.values() if stage.base == "tools"], ids=lambda it: it.name)
def test_packages_come_as_wheels_with_hashes_and_the_index_stays_a_secret(stage: Stage) -> None:
    runs = [run.text for run in (*STAGES["tools"].all("RUN"), *stage.all("RUN"))]
    for run in runs:
        for install in re.findall(r"pip\S* (?:--python \S+ )?install (.*?)(?=&&|$)", run):
            assert "--no-index" in install or "--only-binary=:all: --require-hashes" in install
            assert "--no-index" in install or "--mount=type=secret,id=pip,target=/etc/pip.conf" in run


# -- the locks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_holds_every_direct_dependency_in_a_version_that_is_allowed(name: str) -> None:
    versions = pinned(name)

    for line in LOCKED[name]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), f"{line}: run: make lock"


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_holds_no_direct_dependency_that_is_gone(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    direct = {canonicalize_name(entry.split("==")[0]) for entry in entries if "(pyproject.toml" in entry}

    assert direct == {canonicalize_name(Requirement(line).name) for line in LOCKED[name]}, "run: make lock"


@pytest.mark.parametrize("name", ["runtime", "operator"])
def test_images_hold_the_versions_that_are_tested(name: str) -> None:
    tested = pinned("dev")

    assert {package: version for package, version in pinned(name).items() if tested.get(package) != version} == {}


def test_the_build_backend_is_locked_as_it_is_declared() -> None:
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_every_lock_has_hashes() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        entries = re.split(r"^(?=[\w.-]+==)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries), file.name
