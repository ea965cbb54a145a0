"""A release from its installation to its return, with Helm 4 and Helm 3 on a real API server and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.chart import a_chart, a_newer_chart
from support.controlplane.plane import ControlPlane
from support.releases import RELEASE, Scene, a_scene
from support.waiting import eventually

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("no_kinds")]

WITH_DATABASE = ("--set=defaultDatabase.secretRef.name=db",)
GRACE = "--set=defaultDatabase.spec.recovery.gracePeriod"
QUEUE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: emails}
spec: {concurrency: 3}
"""


both_versions = pytest.mark.parametrize("major", [4, 3], ids=["helm4", "helm3"])


@pytest.fixture
def major() -> int:
    """The version of Helm where a test does not name others."""
    return 4


@pytest.fixture
def scene(major: int, get_helm: Any, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    helm = get_helm(major, control_plane.admin_kubeconfig, namespace)
    with a_scene(helm, control_plane, namespace, tmp_path) as scene:
        yield scene


@pytest.fixture
def secret(scene: Scene, database_url: str) -> str:
    scene.kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    return database_url


def database(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = scene.kubectl.get("dbosdatabase", "default")
    return found


def grace_period(scene: Scene) -> str:
    return str(database(scene)["spec"]["recovery"]["gracePeriod"])


def wait_until_ready(scene: Scene, what: str) -> None:
    scene.kubectl("wait", "--for=condition=Ready", what, "--timeout=90s", timeout=100)


@both_versions
def test_a_release_comes_changes_goes_and_returns(scene: Scene, secret: str, tmp_path: Path) -> None:
    scene.install("--wait", *WITH_DATABASE)
    wait_until_ready(scene, "dbosdatabase/default")
    first = database(scene)
    assert "\nkind: DBOSDatabase\n" not in scene.helm("get", "manifest", RELEASE)
    app = a_chart(tmp_path, QUEUE)
    scene.helm("install", "app", str(app), "--wait")

    # What the hook has made becomes a resource of the release, and stays the same object.
    scene.upgrade("--wait", *WITH_DATABASE, "--set=logging.level=debug")
    assert database(scene)["metadata"]["uid"] == first["metadata"]["uid"]
    assert "\nkind: DBOSDatabase\n" in scene.helm("get", "manifest", RELEASE)
    for grace in ("7s", "8s"):
        scene.upgrade("--wait", *WITH_DATABASE, f"{GRACE}={grace}")
        assert grace_period(scene) == grace

    scene.helm("rollback", RELEASE, "3", "--wait")
    assert grace_period(scene) == "7s"
    scene.helm("rollback", RELEASE, "1", "--wait")
    assert grace_period(scene) == "60s"
    wait_until_ready(scene, "dbosdatabase/default")
    wait_until_ready(scene, "dbosqueue/emails")

    scene.uninstall()
    assert scene.kubectl.get("deployments") == []
    assert len(scene.kubectl.get("crds")) == 3
    assert database(scene)["spec"]["secretRef"] == {"name": "db", "key": "url"}
    with psycopg.connect(secret) as connection:
        assert connection.execute("SELECT name, concurrency FROM dbos.queues").fetchall() == [("emails", 3)]

    kept = database(scene)["metadata"]["uid"]
    scene.install("--wait", *WITH_DATABASE)
    assert database(scene)["metadata"]["uid"] == kept
    wait_until_ready(scene, "dbosqueue/emails")
    scene.uninstall()
    scene.install("--wait", *WITH_DATABASE, f"{GRACE}=9s")
    assert grace_period(scene) == "9s"
    wait_until_ready(scene, "dbosqueue/emails")


@both_versions
def test_the_first_upgrade_may_change_the_database(scene: Scene, secret: str) -> None:
    scene.install(*WITH_DATABASE)

    for grace in ("7s", "8s"):
        scene.upgrade("--wait", *WITH_DATABASE, f"{GRACE}={grace}")
        assert grace_period(scene) == grace


def test_an_installation_that_does_not_wait_gets_its_database_too(scene: Scene) -> None:
    scene.install(*WITH_DATABASE)

    assert database(scene)["spec"]["secretRef"]["name"] == "db"


def test_an_upgrade_brings_new_fields_of_the_kinds(scene: Scene, tmp_path: Path) -> None:
    scene.install("--wait")

    scene.upgrade("--wait", chart=a_newer_chart(tmp_path))

    found = scene.kubectl.get("crd", "dbosqueues.dbos.dev")
    assert found["spec"]["names"]["shortNames"] == ["newer"]
    assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_kinds_that_are_not_to_stay_go_with_the_release(scene: Scene) -> None:
    scene.install("--wait", "--set=crds.keep=false")

    scene.uninstall()

    eventually(lambda: scene.kubectl.get("crds"), lambda kinds: not kinds, what="the end of the kinds")


def test_notes_say_what_is_missing(scene: Scene) -> None:
    missing = scene.install(*WITH_DATABASE)
    assert "MISSING: there is no Secret db in" in missing

    scene.kubectl("create", "secret", "generic", "db", "--from-literal=other=x")
    assert "MISSING: the Secret db has no key url" in scene.upgrade(*WITH_DATABASE)

    scene.kubectl("delete", "secret", "db")
    scene.kubectl("create", "secret", "generic", "db", "--from-literal=url=x")
    assert "MISSING" not in scene.upgrade(*WITH_DATABASE)
    assert "There is no default database" in scene.upgrade()
