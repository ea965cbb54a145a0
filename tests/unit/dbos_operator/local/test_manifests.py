"""A folder's documents as objects: what is taken, what is ignored, and what is refused with which line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbos_operator.errors import OperatorError
from dbos_operator.local.documents import read_documents
from dbos_operator.local.manifests import Manifests, ObjectId, check_changes, check_documents
from dbos_operator.local.schemas import Schemas
from dbos_operator.resources.identity import ObjectKey

FILE = Path("app.yaml")
ANY_SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "properties": {
                "queueName": {"type": "string", "minLength": 1},
                "databaseRef": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
                },
                "workerConcurrency": {"type": "integer", "minimum": 1},
                "deletionPolicy": {"type": "string", "enum": ["Retain", "Delete"]},
                "pollingInterval": {"type": "string"},
            },
        },
    },
}
SCHEDULE = {
    "type": "object",
    "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}
SCHEMAS = Schemas({"DBOSQueue": ANY_SPEC, "DBOSSchedule": SCHEDULE, "DBOSDatabase": SCHEDULE})
QUEUE = """\
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata:
  name: files
spec:
  workerConcurrency: 4
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker, namespace: orders}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
      - name: worker
        image: orders
        command: [dbos, worker]
"""


def check(text: str) -> Manifests:
    return check_documents(read_documents(FILE, text), SCHEMAS)


def refusal(text: str) -> str:
    with pytest.raises(OperatorError) as caught:
        check(text)
    return str(caught.value)


def test_objects_are_found_by_kind_namespace_and_name() -> None:
    manifests = check(f"{QUEUE}---\n{DEPLOYMENT}")

    assert [str(found) for found in manifests.objects] == ["DBOSQueue default/files", "Deployment orders/worker"]
    assert manifests.find("DBOSQueue", ObjectKey("default", "files")) is not None
    assert manifests.find("DBOSQueue", ObjectKey("orders", "files")) is None


def test_other_kinds_and_other_yaml_are_ignored_with_one_line_each() -> None:
    manifests = check(f"{QUEUE}---\napiVersion: v1\nkind: Service\nmetadata: {{name: a}}\n---\nsite_name: docs\n")

    assert manifests.ignored == (
        "app.yaml:8: Service means nothing without a cluster: ignored",
        "app.yaml:12: not a Kubernetes object: ignored",
    )


def test_an_object_that_comes_twice_is_refused_with_both_places() -> None:
    assert refusal(f"{QUEUE}---\n{QUEUE}") == (
        "app.yaml:8: DBOSQueue default/files is already in app.yaml:1; expected each object once"
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("workerConcurrency: 4", "workerConcurency: 4", "app.yaml:6: spec.workerConcurency: unknown field; expected "),
        (
            "workerConcurrency: 4",
            "workerConcurrency: 0",
            "app.yaml:6: spec.workerConcurrency: expected at least 1, got 0",
        ),
        (
            "workerConcurrency: 4",
            "workerConcurrency: many",
            "app.yaml:6: spec.workerConcurrency: expected a whole number, got 'many'",
        ),
        (
            "workerConcurrency: 4",
            "deletionPolicy: Keep",
            "app.yaml:6: spec.deletionPolicy: expected one of Retain, Delete, got 'Keep'",
        ),
        (
            "workerConcurrency: 4",
            "databaseRef: {}",
            "app.yaml:6: spec.databaseRef.name: expected a value, got nothing",
        ),
        (
            "workerConcurrency: 4",
            "pollingInterval: soon",
            "app.yaml:6: spec.pollingInterval: expected a duration such as 500ms, 30s or 1h30m, got 'soon'",
        ),
        ("spec:\n  workerConcurrency: 4", "", "app.yaml:1: spec: expected a value, got nothing"),
        ("name: files", "name: My Files", "app.yaml:4: metadata.name: expected a-z, 0-9, - and ., got 'My Files'"),
        (
            "kind: DBOSQueue",
            "kind: DBOSQeue",
            "app.yaml:2: kind: expected one of DBOSDatabase, DBOSQueue, DBOSSchedule",
        ),
        ("kind: DBOSQueue\n", "", "app.yaml:1: kind: expected text, got None"),
        ("v1beta1", "v1", "app.yaml:1: apiVersion: expected dbos.dev/v1beta1 for DBOSQueue, got 'dbos.dev/v1'"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_with_its_line(before: str, after: str, message: str) -> None:
    assert refusal(QUEUE.replace(before, after)).startswith(message)


def test_a_document_that_is_no_mapping_is_refused() -> None:
    assert refusal("- a\n") == "app.yaml:1: expected a mapping with apiVersion and kind, got list"


def test_null_means_that_a_field_is_absent() -> None:
    assert check(QUEUE.replace("4", "null")).objects


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "        command: [dbos, worker]\n",
            "",
            "app.yaml:10: spec.template.spec.containers[0].command: expected the command to run: no image is pulled",
        ),
        (
            "[dbos, worker]",
            "dbos worker",
            "app.yaml:12: spec.template.spec.containers[0].command: expected a list, got 'dbos worker'",
        ),
        (
            "{matchLabels: {app: worker}}",
            "{}",
            "app.yaml:5: spec.selector: expected matchLabels, or matchExpressions that can hold, got {}",
        ),
        (
            "{matchLabels: {app: worker}}",
            "{matchExpressions: [{key: app, operator: Gt, values: ['3']}]}",
            "app.yaml:5: spec.selector.matchExpressions[0].operator: expected one of In, NotIn, Exists, DoesNotExist",
        ),
        (
            "{matchLabels: {app: worker}}",
            "{matchExpressions: [{key: app, operator: In}]}",
            "app.yaml:5: spec.selector: expected matchLabels, or matchExpressions that can hold, got ",
        ),
        (
            "{matchLabels: {app: worker}}",
            "{matchLabel: {app: worker}}",
            "app.yaml:5: spec.selector.matchLabel: unknown field; expected matchLabels, matchExpressions",
        ),
        (
            "{matchLabels: {app: worker}}",
            "{matchExpressions: [{key: app, operator: NotIn, values: [worker]}]}",
            "app.yaml:7: spec.template.metadata.labels: expected labels that spec.selector (app!=worker) finds, got ",
        ),
        (
            "[dbos, worker]",
            "[dbos]\n        env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
            "app.yaml:13: spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: expected one of ",
        ),
        (
            "[dbos, worker]",
            "[dbos]\n        env: [{name: A, value: 3}]",
            "app.yaml:13: spec.template.spec.containers[0].env[0].value: expected text, got 3",
        ),
    ],
)
def test_a_deployment_that_cannot_run_here_is_refused(before: str, after: str, message: str) -> None:
    assert refusal(DEPLOYMENT.replace(before, after)).startswith(message)


def test_a_deployment_may_find_its_pods_by_expressions() -> None:
    text = DEPLOYMENT.replace("{matchLabels: {app: worker}}", "{matchExpressions: [{key: app, operator: Exists}]}")

    assert ObjectId("Deployment", ObjectKey("orders", "worker")) in check(text).objects


def test_the_names_of_rows_cannot_be_changed_later() -> None:
    before, after = check(QUEUE), check(QUEUE.replace("workerConcurrency: 4", "queueName: other"))

    check_changes(before, before)
    with pytest.raises(OperatorError, match=r"app.yaml:6: spec.queueName: immutable, expected None, got 'other'"):
        check_changes(before, after)


def test_a_workload_has_its_command_environment_and_grace_period() -> None:
    text = DEPLOYMENT.replace(
        "[dbos, worker]", "[dbos, worker]\n        args: [app.py]\n      - {name: proxy, image: p}"
    )

    template = check(text).objects[ObjectId("Deployment", ObjectKey("orders", "worker"))].template

    assert template.argv == ("dbos", "worker", "app.py")
    assert template.grace_period.total_seconds() == 30
    assert template.ignored == ("proxy",)
