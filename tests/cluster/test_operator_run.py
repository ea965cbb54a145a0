"""`dbos-operator run` on a real API server and a real PostgreSQL: what a user applies is what happens."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.controlplane.fixtures import RESTRICTED_USER
from support.controlplane.plane import ControlPlane
from support.kubectl import Kubectl
from support.operator_process import OperatorProcess, an_operator
from support.waiting import eventually

DATABASE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}, recovery: {gracePeriod: 1s}}
"""
QUEUE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: emails}
spec: {concurrency: 3}
"""
SCHEDULE = """
apiVersion: dbos.dev/v1beta1
kind: DBOSSchedule
metadata: {name: nightly}
spec: {workflowName: nightly_report, schedule: "0 2 * * *", queueName: emails}
"""
WORKER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: "worker:1"}]}
"""
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: dbos-operator}
rules:
- {apiGroups: [dbos.dev], resources: [dbosdatabases, dbosqueues, dbosschedules], verbs: [list, watch]}
- {apiGroups: [dbos.dev], resources: [dbosqueues, dbosschedules], verbs: [patch]}
- apiGroups: [dbos.dev]
  resources: [dbosdatabases/status, dbosqueues/status, dbosschedules/status]
  verbs: [patch]
- {apiGroups: [apps], resources: [deployments, statefulsets], verbs: [list, watch]}
- {apiGroups: [apps], resources: [deployments/scale, statefulsets/scale], verbs: [get, patch]}
- {apiGroups: [""], resources: [secrets, namespaces], verbs: [get]}
- {apiGroups: [""], resources: [pods], verbs: [list, patch]}
- {apiGroups: [""], resources: [events], verbs: [create, patch]}
"""


@pytest.fixture
def secret(kubectl: Kubectl, database_url: str) -> None:
    create_secret(kubectl, database_url)


@pytest.fixture
def operator(control_plane: ControlPlane, crds: Path, namespace: str, secret: None) -> Iterator[OperatorProcess]:
    """An operator that watches the namespace of the test."""
    with an_operator("--namespace", namespace, "--tick", "500ms", kubeconfig=control_plane.admin_kubeconfig) as process:
        yield process


def create_secret(kubectl: Kubectl, url: str) -> None:
    kubectl("create", "secret", "generic", "db", f"--from-literal=url={url}")


def wait_for_condition(kubectl: Kubectl, what: str, condition: str = "Ready") -> dict[str, str]:
    """Wait until a condition holds (`Ready`, `Ready=False`, …) and return its reason and message."""
    kubectl("wait", f"--for=condition={condition}", what, "--timeout=45s")
    name = condition.partition("=")[0]
    return next(each for each in kubectl.get(what)["status"]["conditions"] if each["type"] == name)


def wait_for_json(kubectl: Kubectl, what: str, path: str, value: object) -> None:
    kubectl("wait", f"--for=jsonpath={{{path}}}={value}", what, "--timeout=45s")


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload]


def metadata_of(kubectl: Kubectl, what: str) -> list[dict[str, str]]:
    return [each["metadata"] for each in kubectl.get(what)]


def wait_for_reason(kubectl: Kubectl, what: str, condition: str, reason: str) -> str:
    """Wait until a condition holds for a reason and return its message.

    Each kind has a watch of its own: a resource that is seen before its database is told that first.
    """
    name, _, truth = condition.partition("=")

    def read() -> dict[str, str]:
        conditions = kubectl.get(what)["status"].get("conditions", ())
        return next((each for each in conditions if each["type"] == name), {})

    def holds(each: dict[str, str]) -> bool:
        return (each.get("status"), each.get("reason")) == (truth or "True", reason)

    return eventually(read, holds, within=45, what=f"{condition} of {what} for {reason}")["message"]


def wait_for_event(kubectl: Kubectl, name: str, reason: str) -> None:
    """Return once an Event tells it: nothing waits for Events, conditions least of all."""

    def reasons() -> set[str]:
        return {event["reason"] for event in kubectl.get("events") if event["involvedObject"]["name"] == name}

    eventually(reasons, lambda found: reason in found, what=f"Event {reason} of {name}")


def test_resources_become_rows_and_say_so(operator: OperatorProcess, kubectl: Kubectl, database_url: str) -> None:
    kubectl.apply("---".join([DATABASE, QUEUE, SCHEDULE]))

    for what in ("dbosdatabase/default", "dbosqueue/emails", "dbosschedule/nightly"):
        wait_for_condition(kubectl, what)
        found = kubectl.get(what)
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 1
    assert rows(database_url, "SELECT name, concurrency FROM dbos.queues") == [("emails", 3)]
    assert rows(database_url, "SELECT schedule_name, workflow_name, schedule, status FROM dbos.workflow_schedules") == [
        ("nightly", "nightly_report", "0 2 * * *", "ACTIVE")
    ]
    wait_for_event(kubectl, "emails", "Created")
    wait_for_event(kubectl, "nightly", "Created")


def test_an_edit_reaches_the_row(operator: OperatorProcess, kubectl: Kubectl, database_url: str) -> None:
    kubectl.apply("---".join([DATABASE, QUEUE]))
    wait_for_condition(kubectl, "dbosqueue/emails")

    kubectl.apply(QUEUE.replace("concurrency: 3", "concurrency: 4"))
    wait_for_json(kubectl, "dbosqueue/emails", ".status.observedGeneration", 2)

    assert rows(database_url, "SELECT concurrency FROM dbos.queues") == [(4,)]


def test_a_bad_resource_is_told_why_and_holds_up_no_other(operator: OperatorProcess, kubectl: Kubectl) -> None:
    bad_zone = SCHEDULE.replace("nightly}", "mars}").replace("queueName", "timeZone: Mars/Base, queueName")
    bad_cron = SCHEDULE.replace("nightly}", "never}").replace("0 2 * * *", "61 2 * * *")
    elsewhere = QUEUE.replace("emails}", "lost}").replace("{concurrency", "{databaseRef: {name: nowhere}, concurrency")
    kubectl.apply("---".join([DATABASE, bad_zone, bad_cron, elsewhere, QUEUE]))

    wait_for_condition(kubectl, "dbosqueue/emails")
    expected = {
        "dbosschedule/mars": ("InvalidTimeZone", "Mars/Base"),
        "dbosschedule/never": ("InvalidSchedule", "61 2 \\* \\* \\*"),
        "dbosqueue/lost": ("DatabaseNotFound", "nowhere"),
    }
    for what, (reason, words) in expected.items():
        assert re.search(words, wait_for_reason(kubectl, what, "Stalled", reason))
        wait_for_reason(kubectl, what, "Ready=False", reason)


def test_the_older_of_two_resources_has_the_row_and_the_younger_follows(
    operator: OperatorProcess, kubectl: Kubectl, database_url: str
) -> None:
    again = QUEUE.replace("emails}", "again}").replace("{concurrency: 3", "{queueName: emails, concurrency: 9")
    kubectl.apply("---".join([DATABASE, QUEUE, again]))
    # Of the same second, the UID decides.
    ages = {(each["creationTimestamp"], each["uid"]): each["name"] for each in metadata_of(kubectl, "dbosqueues")}
    (_, older), (_, younger) = sorted(ages.items())
    concurrency = {"emails": 3, "again": 9}
    wait_for_reason(kubectl, f"dbosqueue/{younger}", "Stalled", "NameTaken")
    wait_for_condition(kubectl, f"dbosqueue/{older}")
    assert rows(database_url, "SELECT name, concurrency FROM dbos.queues") == [("emails", concurrency[older])]

    kubectl("delete", "dbosqueue", older)

    wait_for_condition(kubectl, f"dbosqueue/{younger}")
    assert rows(database_url, "SELECT name, concurrency FROM dbos.queues") == [("emails", concurrency[younger])]


def test_a_secret_that_comes_later_is_found(
    control_plane: ControlPlane, crds: Path, namespace: str, kubectl: Kubectl, database_url: str
) -> None:
    kubectl.apply("---".join([DATABASE, QUEUE]))
    with an_operator("--namespace", namespace, "--tick", "500ms", kubeconfig=control_plane.admin_kubeconfig):
        assert wait_for_condition(kubectl, "dbosdatabase/default", "Ready=False")["reason"] == "SecretNotFound"
        create_secret(kubectl, database_url)

        wait_for_condition(kubectl, "dbosdatabase/default")
        wait_for_condition(kubectl, "dbosqueue/emails")


def test_what_remains_of_a_deleted_resource_is_what_its_policy_says(
    operator: OperatorProcess, kubectl: Kubectl, database_url: str
) -> None:
    gone = QUEUE.replace("emails}", "gone}").replace("{concurrency", "{deletionPolicy: Delete, concurrency")
    ended = SCHEDULE.replace("nightly}", "ended}").replace("{workflowName", "{deletionPolicy: Delete, workflowName")
    kubectl.apply("---".join([DATABASE, QUEUE, gone, SCHEDULE, ended]))
    names = ("dbosqueue/emails", "dbosqueue/gone", "dbosschedule/nightly", "dbosschedule/ended")
    for what in names:
        wait_for_condition(kubectl, what)

    # Waits until the finalizers have let go.
    kubectl("delete", *names, "--timeout=45s")

    assert rows(database_url, "SELECT name FROM dbos.queues") == [("emails",)]
    assert rows(database_url, "SELECT schedule_name, status FROM dbos.workflow_schedules") == [("nightly", "PAUSED")]


def test_a_schedule_fires_and_its_queue_starts_workers_that_are_at_zero(
    operator: OperatorProcess, kubectl: Kubectl, database_url: str
) -> None:
    scaled = QUEUE.replace(
        "{concurrency: 3",
        "{scaling: {targetRef: {name: worker}, maxReplicas: 2, workflowsPerReplica: 5, idleAfter: 1s}, concurrency: 3",
    )
    kubectl.apply("---".join([DATABASE, scaled, WORKER, SCHEDULE.replace('"0 2', '"* * *')]))

    wait_for_json(kubectl, "deployment/worker", ".spec.replicas", 1)

    found = rows(database_url, "SELECT workflow_uuid, name, queue_name, application_version FROM dbos.workflow_status")
    assert found
    assert all(str(each[0]).startswith("sched-nightly-") for each in found)
    assert {each[1:] for each in found} == {("nightly_report", "emails", None)}
    wait_for_condition(kubectl, "dbosqueue/emails", "ScalingActive")

    kubectl("patch", "dbosschedule", "nightly", "--type=merge", "--patch", '{"spec": {"suspend": true}}')
    wait_for_condition(kubectl, "dbosschedule/nightly")
    wait_for_json(kubectl, "dbosschedule/nightly", ".status.observedGeneration", 2)
    rows(database_url, "UPDATE dbos.workflow_status SET status = 'SUCCESS' RETURNING 1")
    # The API server leaves a zero out of what it prints.
    kubectl("wait", "--for=jsonpath={.status.observedGeneration}=3", "deployment/worker", "--timeout=45s")
    assert kubectl.get("deployment", "worker")["spec"]["replicas"] == 0


def test_another_namespace_is_left_alone(
    operator: OperatorProcess, kubectl: Kubectl, control_plane: ControlPlane
) -> None:
    other = kubectl.in_namespace("default")
    other.apply(QUEUE.replace("emails}", "elsewhere}"))
    kubectl.apply("---".join([DATABASE, QUEUE]))
    wait_for_condition(kubectl, "dbosqueue/emails")

    status = other.get("dbosqueue", "elsewhere")["status"]
    other("delete", "dbosqueue", "elsewhere")
    assert status == {"observedGeneration": -1}


def test_probes_and_metrics_answer(operator: OperatorProcess, kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply("---".join([DATABASE, QUEUE]))
    wait_for_condition(kubectl, "dbosqueue/emails")

    assert operator.fetch("/healthz")[0] == 200
    # A pass is over, and counted, a moment after it has written the last status.
    eventually(lambda: operator.fetch("/readyz")[0], lambda status: status == 200, what="end of the first pass")
    up = f'dbos_operator_database_up{{database="{namespace}/default"}} 1.0'
    status, text = eventually(lambda: operator.fetch("/metrics"), lambda answer: up in answer[1], what=up)
    assert status == 200
    assert "dbos_operator_build_info{" in text


def test_metrics_and_probes_may_share_an_address(control_plane: ControlPlane, crds: Path, namespace: str) -> None:
    shared = ("--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0")
    with an_operator("--namespace", namespace, *shared, kubeconfig=control_plane.admin_kubeconfig) as operator:
        assert operator.address("/metrics").rpartition("/")[0] == operator.address("/healthz").rpartition("/")[0]
        assert operator.fetch("/metrics")[0] == operator.fetch("/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(operator: OperatorProcess, kubectl: Kubectl, number: signal.Signals) -> None:
    kubectl.apply("---".join([DATABASE, QUEUE]))
    wait_for_condition(kubectl, "dbosqueue/emails")
    # Events that are still to be posted get a few seconds at the end, and a warning where that is not enough.
    wait_for_event(kubectl, "default", "Connected")
    wait_for_event(kubectl, "emails", "Created")

    operator.signal(number)

    assert operator.wait_for_end() == 0
    assert not [line for line in operator.lines if line.get("level") in {"warning", "error"}], operator.log()


def test_it_goes_on_when_the_api_server_comes_back(
    operator: OperatorProcess, kubectl: Kubectl, control_plane: ControlPlane, database_url: str
) -> None:
    kubectl.apply("---".join([DATABASE, QUEUE]))
    wait_for_condition(kubectl, "dbosqueue/emails")

    control_plane.restart_apiserver()

    kubectl.apply(SCHEDULE)
    wait_for_condition(kubectl, "dbosschedule/nightly")
    assert rows(database_url, "SELECT schedule_name FROM dbos.workflow_schedules") == [("nightly",)]


def test_no_secret_value_is_ever_logged_or_shown(operator: OperatorProcess, kubectl: Kubectl, namespace: str) -> None:
    password = "s3cr3t-value"
    url = f"postgresql://nobody:{password}@127.0.0.1:1/none"
    kubectl("create", "secret", "generic", "broken", f"--from-literal=url={url}")
    kubectl.apply(DATABASE.replace("name: db", "name: broken"))
    wait_for_condition(kubectl, "dbosdatabase/default", "Ready=False")

    seen = [operator.log(), json.dumps(kubectl.get("dbosdatabase", "default")), json.dumps(kubectl.get("events"))]
    assert not any(password in text for text in seen)


def test_the_rights_of_one_namespace_are_enough(
    control_plane: ControlPlane, crds: Path, namespace: str, kubectl: Kubectl, secret: None
) -> None:
    kubectl.apply(ROLE)
    kubectl("create", "rolebinding", "dbos-operator", "--role=dbos-operator", f"--user={RESTRICTED_USER}")
    reader = f"kube-system-{namespace}"
    kubectl("create", "clusterrole", reader, "--verb=get", "--resource=namespaces", "--resource-name=kube-system")
    kubectl("create", "clusterrolebinding", reader, f"--clusterrole={reader}", f"--user={RESTRICTED_USER}")
    kubectl.apply("---".join([DATABASE, QUEUE, SCHEDULE]))
    kubeconfig = control_plane.kubeconfig_for(RESTRICTED_USER)
    try:
        with an_operator("--namespace", namespace, "--tick", "500ms", kubeconfig=kubeconfig) as operator:
            for what in ("dbosdatabase/default", "dbosqueue/emails", "dbosschedule/nightly"):
                wait_for_condition(kubectl, what)
            wait_for_event(kubectl, "emails", "Created")
            kubectl("delete", "dbosschedule", "nightly", "--timeout=45s")
            assert "forbidden" not in operator.log().lower()
    finally:
        kubectl("delete", f"clusterrole/{reader}", f"clusterrolebinding/{reader}")


def test_a_user_without_rights_ends_at_once_and_says_which_are_missing(
    control_plane: ControlPlane, crds: Path, namespace: str
) -> None:
    process = OperatorProcess("--namespace", namespace, kubeconfig=control_plane.kubeconfig_for(RESTRICTED_USER))

    assert process.wait_for_end() == 1
    assert 'cannot list resource "dbosdatabases"' in process.lines[-1]["message"]


def test_an_api_server_that_is_away_at_the_start_ends_it_with_one_line(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", control_plane.admin_kubeconfig.read_text()))
    process = OperatorProcess(kubeconfig=kubeconfig)

    assert process.wait_for_end() == 1
    assert "https://127.0.0.1:1 cannot be reached" in process.lines[-1]["message"]


def test_an_address_that_is_in_use_ends_it_with_one_line(
    operator: OperatorProcess, control_plane: ControlPlane
) -> None:
    taken = operator.address("/healthz").removeprefix("http://").removesuffix("/healthz")
    process = OperatorProcess("--health-address", taken, kubeconfig=control_plane.admin_kubeconfig)

    assert process.wait_for_end() == 2
    assert process.lines[-1]["message"].startswith(f"dbos-operator: cannot listen on {taken}: ")
