"""The three kinds on a real API server: what it takes, what it refuses, what it fills in and how it shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dbos_operator.resources.database import parse_database
from dbos_operator.resources.identity import API_VERSION, Kind
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.schedule import parse_schedule
from dbos_operator.resources.status import render_queue, render_schedule
from support.controlplane.plane import ControlPlane
from support.kind_examples import FULL, NIGHTLY, REFUSED, SMALLEST
from support.kind_statuses import NOW, QUEUE_STATUS, SCHEDULE_STATUS
from support.kubectl import Kubectl, KubectlError
from support.waiting import eventually

PARSERS = {Kind.DATABASE: parse_database, Kind.QUEUE: parse_queue, Kind.SCHEDULE: parse_schedule}
every_kind = pytest.mark.parametrize("kind", list(Kind))


@pytest.fixture(scope="module")
def anywhere(control_plane: ControlPlane, crds: Path) -> Kubectl:
    """kubectl for what leaves nothing behind, once the API server tells clients of the three kinds.

    It serves a kind a moment before its discovery and its documentation name it.
    """
    kubectl = control_plane.kubectl.in_namespace("default")
    for kind in Kind:
        eventually(lambda kind=kind: explanation(kubectl, kind), bool, what=f"documentation of {kind}")
    return kubectl


def explanation(kubectl: Kubectl, kind: Kind) -> str:
    try:
        return kubectl("explain", f"{kind.plural}.spec")
    except KubectlError:
        return ""


def manifest(kind: Kind, spec: object, name: str = "a") -> str:
    """An object as kubectl reads it; JSON is YAML, and unlike it leaves no doubt about types."""
    return json.dumps({"apiVersion": API_VERSION, "kind": kind.value, "metadata": {"name": name}, "spec": spec})


def refusal(kubectl: Kubectl, text: str, *arguments: str) -> str:
    """What kubectl says when it is refused."""
    with pytest.raises(KubectlError) as caught:
        kubectl("apply", "--filename", "-", *arguments, stdin=text)
    return caught.value.stderr


# --- what is taken ----------------------------------------------------------------------------------


@every_kind
def test_the_smallest_and_the_full_spec_are_taken(anywhere: Kubectl, kubectl: Kubectl, kind: Kind) -> None:
    kubectl.apply(manifest(kind, SMALLEST[kind], "smallest"))
    kubectl.apply(manifest(kind, FULL[kind], "full"))
    assert kubectl.get(kind.plural, "full")["spec"] == FULL[kind]


@every_kind
def test_the_operator_reads_what_the_api_server_hands_out_as_it_reads_the_file(
    anywhere: Kubectl, kubectl: Kubectl, namespace: str, kind: Kind
) -> None:
    kubectl.apply(manifest(kind, SMALLEST[kind]))
    served = kubectl.get(kind.plural, "a")
    from_api, from_file = PARSERS[kind](served), PARSERS[kind]({**served, "spec": SMALLEST[kind]})
    assert from_api.problem is None
    assert from_api.spec == from_file.spec
    assert (from_api.identity.key.namespace, from_api.identity.generation) == (namespace, 1)


@every_kind
def test_a_new_object_is_not_ready_for_those_who_wait(anywhere: Kubectl, kubectl: Kubectl, kind: Kind) -> None:
    kubectl.apply(manifest(kind, SMALLEST[kind]))
    assert kubectl.get(kind.plural, "a")["status"] == {"observedGeneration": -1}


def test_defaults_are_filled_in_and_unmanaged_fields_stay_away(anywhere: Kubectl, kubectl: Kubectl) -> None:
    kubectl.apply(manifest(Kind.DATABASE, SMALLEST[Kind.DATABASE]))
    kubectl.apply(manifest(Kind.QUEUE, {"scaling": {"targetRef": {"name": "worker"}, "maxReplicas": 5}}))
    kubectl.apply(manifest(Kind.SCHEDULE, NIGHTLY))
    assert kubectl.get("ddb", "a")["spec"] == {
        **SMALLEST[Kind.DATABASE],
        "schema": "dbos",
        "serializer": "py_pickle",
        "initialize": "IfEmpty",
        "recovery": {"enabled": True, "gracePeriod": "60s"},
        "connections": {"max": 4, "statementTimeout": "10s"},
    }
    assert kubectl.get("dq", "a")["spec"] == {
        "deletionPolicy": "Retain",
        "scaling": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"},
            "minReplicas": 0,
            "maxReplicas": 5,
            "idleAfter": "60s",
        },
    }
    assert kubectl.get("dsch", "a")["spec"] == {**NIGHTLY, "deletionPolicy": "Pause"}


@pytest.mark.parametrize("context", [5, "text", True, [1, [2]], {"b": {"deep": [None, 1.5]}, "a": None}, None])
def test_any_json_is_a_context(anywhere: Kubectl, kubectl: Kubectl, context: Any) -> None:
    text = manifest(Kind.SCHEDULE, {**NIGHTLY, "context": context})
    kubectl("apply", "--server-side", "--filename", "-", stdin=text)
    spec = parse_schedule(kubectl.get("dsch", "a")).spec
    assert spec is not None
    assert (spec.context, spec.has_context) == (context, True)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "spec", "field"), REFUSED, ids=str)
def test_a_bad_field_is_refused_by_name(anywhere: Kubectl, kind: Kind, spec: dict[str, Any], field: str) -> None:
    said = refusal(anywhere, manifest(kind, spec), "--dry-run=server")
    assert "is invalid" in said
    assert f"{field}: " in said


@every_kind
def test_an_unknown_field_is_refused(anywhere: Kubectl, kind: Kind) -> None:
    said = refusal(anywhere, manifest(kind, {**FULL[kind], "partition": {}}), "--dry-run=server")
    assert 'unknown field "spec.partition"' in said


def test_a_queue_cannot_be_suspended(anywhere: Kubectl) -> None:
    said = refusal(anywhere, manifest(Kind.QUEUE, {"suspend": True}), "--dry-run=server")
    assert 'unknown field "spec.suspend"' in said


@every_kind
def test_an_unknown_field_is_dropped_where_nobody_asks_for_strictness(
    anywhere: Kubectl, kubectl: Kubectl, kind: Kind
) -> None:
    text = manifest(kind, {**FULL[kind], "partition": {}})
    kubectl("apply", "--validate=false", "--filename", "-", stdin=text)
    assert kubectl.get(kind.plural, "a")["spec"] == FULL[kind]


@every_kind
def test_a_spec_must_be_there(anywhere: Kubectl, kind: Kind) -> None:
    assert "spec: Required value" in refusal(anywhere, manifest(kind, None), "--dry-run=server")


IMMUTABLE = [
    (Kind.QUEUE, "queueName", "emails", "letters"),
    (Kind.QUEUE, "databaseRef", {"name": "main"}, {"name": "other"}),
    (Kind.QUEUE, "databaseRef", {"name": "main"}, {"name": "main", "namespace": "other"}),
    (Kind.SCHEDULE, "scheduleName", "nightly", "daily"),
    (Kind.SCHEDULE, "databaseRef", {"name": "main"}, {"name": "other"}),
]


@pytest.mark.parametrize(("kind", "field", "first", "second"), IMMUTABLE, ids=str)
def test_what_a_row_is_called_and_where_it_is_stays(
    anywhere: Kubectl, kubectl: Kubectl, kind: Kind, field: str, first: object, second: object
) -> None:
    without, before, after = (SMALLEST[kind] | extra for extra in ({}, {field: first}, {field: second}))
    kubectl.apply(manifest(kind, without, "without"))
    kubectl.apply(manifest(kind, before, "with"))
    refused = {
        "set": refusal(kubectl, manifest(kind, before, "without")),
        "changed": refusal(kubectl, manifest(kind, after, "with")),
        "removed": refusal(kubectl, manifest(kind, without, "with")),
    }
    for what, said in refused.items():
        assert f"spec.{field}: " in said, what
        assert "immutable" in said, what


@pytest.mark.parametrize("kind", [Kind.QUEUE, Kind.SCHEDULE])
def test_everything_else_can_change(anywhere: Kubectl, kubectl: Kubectl, kind: Kind) -> None:
    fixed = {name: FULL[kind][name] for name in ("databaseRef", "queueName", "scheduleName") if name in FULL[kind]}
    kubectl.apply(manifest(kind, SMALLEST[kind] | fixed))
    kubectl.apply(manifest(kind, FULL[kind]))
    kubectl.apply(manifest(kind, SMALLEST[kind] | fixed))
    assert kubectl.get(kind.plural, "a")["metadata"]["generation"] == 3


def test_a_schedule_may_move_to_another_queue(anywhere: Kubectl, kubectl: Kubectl) -> None:
    for extra in ({}, {"queueName": "reports"}, {"queueName": "letters"}, {}):
        kubectl.apply(manifest(Kind.SCHEDULE, NIGHTLY | extra))


# --- how they are shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("ddb.spec.connections.statementTimeout", ["duration", "at most 1h", "Default: 10s", "Example:"]),
        ("dq.spec.queueName", ["Immutable", "metadata.name", "Example: emails"]),
        ("dq.spec.scaling.idleAfter", ["duration", "Default: 60s", "Example: 5m"]),
        ("dsch.spec.schedule", ["five fields", "seconds first", "0 2 * * *"]),
        ("dsch.spec.context", ["any JSON", "{region: eu}"]),
        ("dbosqueues.status.enqueued", ["Workflows that wait"]),
    ],
)
def test_kubectl_explain_teaches_a_field(anywhere: Kubectl, field: str, words: list[str]) -> None:
    said = anywhere("explain", field)
    for word in words:
        assert word in said


def test_the_columns_answer_the_question_of_the_night(anywhere: Kubectl, kubectl: Kubectl) -> None:
    kubectl.apply(manifest(Kind.QUEUE, {}))
    kubectl.apply(manifest(Kind.SCHEDULE, {**NIGHTLY, "suspend": True}))
    for kind, status in (
        (Kind.QUEUE, render_queue(QUEUE_STATUS, {}, now=NOW)),
        (Kind.SCHEDULE, render_schedule(SCHEDULE_STATUS, {}, now=NOW)),
    ):
        patch = json.dumps({"status": status})
        kubectl("patch", kind.plural, "a", "--subresource=status", "--type=merge", "--patch", patch)

    header, row = kubectl("get", "dq").splitlines()
    assert header.split() == ["NAME", "READY", "ENQUEUED", "RUNNING", "OLDEST", "REPLICAS", "REASON", "AGE"]
    assert row.split()[:4] == ["a", "True", "1200", "3"]
    assert row.split()[5:7] == ["2/4", "Reconciled"]

    header, row = kubectl("get", "dsch").splitlines()
    assert header.split() == ["NAME", "READY", "SUSPENDED", "SCHEDULE", "LAST", "NEXT", "REASON", "AGE"]
    assert row.startswith("a      True    true        0 2 * * *")
    assert "2026-11-22T02:00:00+01:00" in row

    kubectl("wait", "--for=condition=Ready", "dbosqueues/a", "dbosschedules/a", "--timeout=45s")


def test_the_three_kinds_are_one_category(anywhere: Kubectl, kubectl: Kubectl) -> None:
    for kind in Kind:
        kubectl.apply(manifest(kind, SMALLEST[kind]))
    found = kubectl("get", "dbos", "--output", "name").split()
    assert sorted(found) == sorted(f"{kind.value.lower()}.dbos.dev/a" for kind in Kind)


@every_kind
def test_a_status_is_written_apart_from_the_spec(anywhere: Kubectl, kubectl: Kubectl, kind: Kind) -> None:
    kubectl.apply(manifest(kind, SMALLEST[kind]))
    kubectl("patch", kind.plural, "a", "--type=merge", "--patch", '{"status": {"observedGeneration": 7}}')
    assert kubectl.get(kind.plural, "a")["status"]["observedGeneration"] == -1
