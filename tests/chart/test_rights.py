"""The rights of the chart are those that the operator uses: with one fewer it is refused something, and none is spare.

The operator runs as the release's ServiceAccount and does everything it can do, while the API server writes down
what it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from support.chart import CHART
from support.controlplane.audit import Request
from support.controlplane.kinds import wait_for_kinds
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.operator_process import an_operator
from support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

ACCOUNT = "op-dbos-operator"
WORKERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: "worker:1"}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: reporter}
spec:
  replicas: 0
  serviceName: reporter
  selector: {matchLabels: {app: reporter}}
  template:
    metadata: {labels: {app: reporter}}
    spec: {containers: [{name: worker, image: "worker:1"}]}
"""
RESOURCES = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: emails}
spec:
  concurrency: 3
  deletionPolicy: Delete
  scaling: {targetRef: {name: worker}, maxReplicas: 2, workflowsPerReplica: 1, idleAfter: 1s}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: reports}
spec:
  scaling: {targetRef: {kind: StatefulSet, name: reporter}, maxReplicas: 2, workflowsPerReplica: 1, idleAfter: 1s}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSSchedule
metadata: {name: nightly}
spec: {workflowName: nightly_report, schedule: "0 2 * * *", queueName: reports}
"""
_ENQUEUE = """
INSERT INTO dbos.workflow_status (workflow_uuid, name, status, queue_name, priority, created_at, updated_at, inputs)
SELECT queue || number, 'work', 'ENQUEUED', queue, 0, 1, 1, NULL
  FROM generate_series(1, 2) AS number, unnest(ARRAY['emails', 'reports']) AS queue
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A namespace with workers, an operator that acts as the release's account, and its system database."""

    plane: ControlPlane
    kubectl: Kubectl
    namespace: str
    url: str

    def sql(self, statement: str) -> None:
        """Change the rows behind the back of the operator."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def requests(self) -> list[Request]:
        """What the operator has asked of the API server."""
        return self.plane.requests_of(f"system:serviceaccount:{self.namespace}:{ACCOUNT}")

    def wait_for_request(self, group: str, resource: str, verb: str) -> None:
        """Return once the operator has asked for that, in the namespace."""
        wanted = (group, resource, verb, self.namespace)

        def asked() -> bool:
            return any((each.group, each.resource, each.verb, each.namespace) == wanted for each in self.requests())

        eventually(asked, bool, within=45, what=f"{verb} {resource}")

    def wait_for_replicas(self, what: str, count: int) -> None:
        """Return once a workload is asked to have that many."""
        eventually(lambda: self.kubectl.get(what)["spec"]["replicas"], lambda found: found == count, within=45)


@pytest.fixture(params=["cluster", "namespace"])
def narrow(
    request: pytest.FixtureRequest, get_helm: Any, control_plane: ControlPlane, no_kinds: None, namespace: str
) -> Iterator[bool]:
    """A release that works everywhere, or in its own namespace; whether it is the latter."""
    helm = get_helm(4, control_plane.admin_kubeconfig, namespace)
    narrow = request.param == "namespace"
    helm("install", "op", str(CHART), *((f"--set=watch.namespaces[0]={namespace}",) if narrow else ()))
    yield narrow
    helm("uninstall", "op")


@pytest.fixture
def scene(
    *, narrow: bool, control_plane: ControlPlane, kubectl: Kubectl, namespace: str, database_url: str
) -> Iterator[Scene]:
    wait_for_kinds(kubectl)
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={database_url}")
    kubectl.apply(WORKERS)
    arguments = ("--namespace", namespace) if narrow else ()
    account = control_plane.kubeconfig_for_service_account(namespace, ACCOUNT)
    with an_operator("--tick", "500ms", *arguments, kubeconfig=account) as operator:
        yield Scene(control_plane, kubectl, namespace, database_url)
        # While the database is there: that is what finalizers wait for.
        kubectl("delete", "dbosqueues,dbosschedules", "--all", "--timeout=45s")
        assert "forbidden" not in operator.log().lower()


def granted(scene: Scene) -> set[tuple[str, str, str, str]]:
    """What the release's roles allow: group, resource, verb and where; kube-system and the namespace, or nowhere."""
    narrow = scene.kubectl.get("roles")
    wide = scene.plane.kubectl.get("clusterrole", f"{scene.namespace}:{ACCOUNT}")
    found = set()
    for role, where in [*((role, scene.namespace) for role in narrow), (wide, "kube-system" if narrow else "")]:
        for rule in role["rules"]:
            places = rule.get("resourceNames", [where])
            found |= {
                (group, resource, verb, place)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for place in places
            }
    return found


def do_everything(scene: Scene) -> None:
    """Let the operator see every occasion on which it asks for something."""
    kubectl = scene.kubectl
    kubectl.apply(RESOURCES)
    for what in ("dbosdatabase/default", "dbosqueue/emails", "dbosqueue/reports", "dbosschedule/nightly"):
        kubectl("wait", "--for=condition=Ready", what, "--timeout=45s")
    scene.wait_for_request("", "events", "create")

    # Replicas come; then one pod works and the other may go, so each gets its deletion cost.
    scene.sql(_ENQUEUE)
    scene.wait_for_replicas("deployment/worker", 2)
    scene.wait_for_replicas("statefulset/reporter", 2)
    pods = eventually(lambda: kubectl.get("pods", "--selector=app=worker"), lambda found: len(found) == 2)
    name = pods[0]["metadata"]["name"]
    scene.sql(
        f"UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = '{name}' WHERE workflow_uuid = 'emails1'"
    )
    scene.sql("UPDATE dbos.workflow_status SET status = 'SUCCESS' WHERE workflow_uuid <> 'emails1'")
    scene.wait_for_replicas("deployment/worker", 1)
    scene.wait_for_request("", "pods", "patch")
    scene.sql("UPDATE dbos.workflow_status SET status = 'SUCCESS'")

    # The same drift twice is one Event that is counted.
    for _ in range(2):
        scene.sql("UPDATE dbos.queues SET concurrency = 9 WHERE name = 'emails'")
        eventually(lambda: concurrency(scene), lambda found: found == 3)
    scene.wait_for_request("", "events", "patch")

    # While the database is away, a finalizer asks whether the namespace is on its way out.
    name = scene.url.rpartition("/")[2]
    maintenance = psycopg.connect(scene.url.replace(name, "postgres"), autocommit=True)
    with maintenance:
        maintenance.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        maintenance.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        kubectl("delete", "dbosqueue", "emails", "--wait=false")
        scene.wait_for_request("", "namespaces", "get")
        maintenance.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


def concurrency(scene: Scene) -> object:
    with psycopg.connect(scene.url) as connection:
        found = connection.execute("SELECT concurrency FROM dbos.queues WHERE name = 'emails'").fetchone()
    assert found is not None
    return found[0]


def test_what_is_granted_is_what_is_used(scene: Scene) -> None:
    do_everything(scene)

    requests, rights = scene.requests(), granted(scene)
    everywhere = all(place == "" for *_, place in rights)
    used = {(each.group, each.resource, each.verb, "" if everywhere else each.namespace) for each in requests}
    assert used == rights
    assert not [each for each in requests if each.forbidden]
