"""The whole product on a real API server and a real PostgreSQL: what a user sees who applies the quickstart."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from support.controlplane.fixtures import StartNode
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.operator_process import OperatorProcess, an_operator
from support.process_node import ProcessNode
from support.waiting import eventually

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
MANIFEST = str(QUICKSTART / "quickstart.yaml")
FILES = 12
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Moment:
    """What was there at one moment. The pods were read before the workflows."""

    replicas: int
    pods: int
    workflows: tuple[tuple[str, str], ...]
    """Name and status of each, in the order of their creation."""

    def with_name(self, name: str) -> list[str]:
        """The status of each workflow of that name."""
        return [status for each, status in self.workflows if each.endswith(name)]

    @property
    def done(self) -> bool:
        """Whether every file has its workflow, all have succeeded and nobody works any more."""
        statuses = {status for _, status in self.workflows}
        return (
            len(self.with_name("process_file")) == FILES and statuses == {"SUCCESS"} and self.replicas == self.pods == 0
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """A namespace with the quickstart, an operator and a node at work."""

    kubectl: Kubectl
    database_url: str
    operator: OperatorProcess
    node: ProcessNode

    def look(self) -> Moment:
        """Everything that the story is about, now."""
        replicas = self.kubectl.get("deployment", "quickstart-worker")["spec"]["replicas"]
        pods = len(self.kubectl.get("pods"))
        return Moment(replicas, pods, tuple(self._workflows()))

    def watch(self, *, within: float) -> list[Moment]:
        """What was seen from now until everything is done."""
        deadline = time.monotonic() + within
        seen = [self.look()]
        while not seen[-1].done:
            assert time.monotonic() < deadline, f"not done within {within:g} s, but {seen[-1]}\n{self.report()}"
            time.sleep(_PAUSE_SECONDS)
            seen.append(self.look())
        return seen

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """The answer of the system database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def report(self) -> str:
        """What a person would look at first when the story goes another way."""
        conditions = "\n".join(
            f"{each['kind']} {each['metadata']['name']}: {json.dumps(each.get('status', {}))}"
            for each in self.kubectl.get("dbos")
        )
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp")
        log = "\n".join(self.operator.log().splitlines()[-40:])
        return f"--- status\n{conditions}\n--- events\n{events}\n--- operator\n{log}\n--- pods\n{self.node.tail()}"

    def _workflows(self) -> list[tuple[str, str]]:
        if self.rows("SELECT to_regclass('dbos.workflow_status')") == [(None,)]:
            return []  # the operator has not made the schema yet
        rows = self.rows("SELECT name, status FROM dbos.workflow_status ORDER BY created_at")
        return [(str(name), str(status)) for name, status in rows]


@pytest.fixture
def scene(
    control_plane: ControlPlane,
    crds: Path,
    kubectl: Kubectl,
    start_node: StartNode,
    empty_database_url: str,
    tmp_path: Path,
) -> Iterator[Scene]:
    for number in range(FILES):
        (tmp_path / f"{number}.md").write_text(f"# File {number}\n\nwith a few words\n")
    kubectl("create", "secret", "generic", "quickstart-db", f"--from-literal=url={empty_database_url}")
    kubectl("apply", "--filename", MANIFEST)
    node = start_node(QUICKSTART, {"FOLDER": str(tmp_path)})
    namespace = kubectl.namespace
    assert namespace is not None
    with an_operator("--namespace", namespace, "--tick", "1s", kubeconfig=control_plane.admin_kubeconfig) as operator:
        yield Scene(kubectl, empty_database_url, operator, node)


@pytest.mark.timeout(480)
def test_the_quickstart_runs_from_zero_to_zero_and_leaves_what_it_promises(scene: Scene) -> None:
    seen = scene.watch(within=240)

    assert all(moment.workflows for moment in seen if moment.pods or moment.replicas), "a pod was there before work"
    first = next(moment for moment in seen if moment.workflows)
    assert first.with_name("scan_files"), "the schedule was not what began"
    assert max(moment.replicas for moment in seen) > 1, "one worker did it all"
    assert max(moment.pods for moment in seen) > 1

    _everything_is_ready(scene)
    _deletion_leaves_what_it_promises(scene)


@pytest.mark.timeout(480)
def test_what_a_pod_deleted_by_force_was_running_is_finished_by_another(scene: Scene) -> None:
    running = (
        "SELECT executor_id, workflow_uuid FROM dbos.workflow_status WHERE status = 'PENDING'"
        " AND name LIKE '%process_file' ORDER BY started_at_epoch_ms DESC"  # the one with most still to do
    )
    eventually(scene.look, lambda seen: seen.with_name("process_file"), within=60, what="work", explain=scene.report)

    def caught() -> tuple[object, object] | None:
        """A pod and what it is running; it gets no further, however long the deletion takes."""
        for pod, workflow in scene.rows(running):
            process = scene.node.pids().get(str(pod))
            if process is None:
                continue
            os.kill(process, signal.SIGSTOP)
            if (pod, workflow) in scene.rows(running):
                return pod, workflow
            os.kill(process, signal.SIGCONT)
        return None

    found = eventually(caught, bool, what="running workflow", explain=scene.report)
    assert found is not None
    pod, workflow = found

    scene.kubectl("delete", "pod", str(pod), "--grace-period=0", "--force")
    scene.watch(within=240)

    # By the operator, or before it by a worker that survived.
    finished = (
        f"SELECT status, executor_id = '{pod}', recovery_attempts FROM dbos.workflow_status"
        f" WHERE workflow_uuid = '{workflow}'"
    )
    assert scene.rows(finished) == [("SUCCESS", False, 2)], scene.report()


def _everything_is_ready(scene: Scene) -> None:
    for each in scene.kubectl.get("dbos"):
        conditions = {each["type"]: each["status"] for each in each["status"]["conditions"]}
        assert conditions["Ready"] == "True", scene.report()


def _deletion_leaves_what_it_promises(scene: Scene) -> None:
    succeeded = scene.rows("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'")

    # Returns when the objects are gone, so the finalizers have been let go.
    scene.kubectl("delete", "--filename", MANIFEST, "--timeout=60s", timeout=90)

    assert scene.kubectl.get("dbos") == []
    assert scene.rows("SELECT name FROM dbos.queues WHERE name = 'files'") == [("files",)], scene.report()
    assert scene.rows("SELECT schedule_name, status FROM dbos.workflow_schedules") == [("scan-files", "PAUSED")]
    assert scene.rows("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'") >= succeeded
    kinds = [each["metadata"]["name"] for each in scene.kubectl.get("crds")]
    assert {"dbosdatabases.dbos.dev", "dbosqueues.dbos.dev", "dbosschedules.dbos.dev"} <= set(kinds)
