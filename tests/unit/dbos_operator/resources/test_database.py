"""DBOSDatabase manifests as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbos_operator.reasons import Reason
from dbos_operator.resources.database import parse_database
from dbos_operator.resources.identity import Identity, Kind, ObjectKey, Uid
from dbos_operator.resources.specs import ConnectionsSpec, DatabaseSpec, Initialize, RecoverySpec, Serializer
from support.manifests import a_manifest

SECRET = {"name": "orders-db", "key": "url"}


def parsed(**fields: Any) -> DatabaseSpec:
    resource = parse_database(a_manifest("DBOSDatabase", {"secretRef": SECRET, **fields}))
    assert resource.problem is None
    assert resource.spec is not None
    return resource.spec


def problem(spec: object) -> str:
    resource = parse_database(a_manifest("DBOSDatabase", spec))
    assert resource.spec is None
    assert resource.problem is not None
    assert resource.problem.reason is Reason.INVALID_SPEC
    return resource.problem.message


def test_only_the_secret_is_required_and_the_rest_has_defaults() -> None:
    assert parsed() == DatabaseSpec(
        secret_name="orders-db",
        secret_key="url",
        schema="dbos",
        application_name=None,
        serializer=Serializer.PY_PICKLE,
        initialize=Initialize.IF_EMPTY,
        recovery=RecoverySpec(enabled=True, grace_period=timedelta(seconds=60)),
        connections=ConnectionsSpec(max=4, statement_timeout=timedelta(seconds=10)),
    )


def test_every_field_is_taken_from_the_manifest() -> None:
    spec = parsed(
        schema='My Schema "x"',
        applicationName="orders",
        serializer="portable_json",
        initialize="Never",
        recovery={"enabled": False, "gracePeriod": "0s"},
        connections={"max": 2, "statementTimeout": "1m"},
    )
    assert spec == DatabaseSpec(
        secret_name="orders-db",
        secret_key="url",
        schema='My Schema "x"',
        application_name="orders",
        serializer=Serializer.PORTABLE_JSON,
        initialize=Initialize.NEVER,
        recovery=RecoverySpec(enabled=False, grace_period=timedelta()),
        connections=ConnectionsSpec(max=2, statement_timeout=timedelta(minutes=1)),
    )


def test_a_part_that_is_given_in_part_keeps_the_other_defaults() -> None:
    assert parsed(recovery={"gracePeriod": "5m"}).recovery == RecoverySpec(grace_period=timedelta(minutes=5))
    assert parsed(connections={"max": 1}).connections == ConnectionsSpec(max=1)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (None, "spec"),
        ([], "spec"),
        ({}, "spec.secretRef"),
        ({"secretRef": "orders-db"}, "spec.secretRef"),
        ({"secretRef": {"name": "orders-db"}}, "spec.secretRef.key"),
        ({"secretRef": {"key": "url"}}, "spec.secretRef.name"),
        ({"secretRef": {**SECRET, "optional": True}}, "spec.secretRef"),
        ({"secretRef": SECRET, "schema": " "}, "spec.schema"),
        ({"secretRef": SECRET, "schema": "x" * 64}, "spec.schema"),
        ({"secretRef": SECRET, "schema": "ü" * 32}, "spec.schema"),
        ({"secretRef": SECRET, "schema": "a\0b"}, "spec.schema"),
        ({"secretRef": SECRET, "applicationName": ""}, "spec.applicationName"),
        ({"secretRef": SECRET, "serializer": "yaml"}, "spec.serializer"),
        ({"secretRef": SECRET, "initialize": True}, "spec.initialize"),
        ({"secretRef": SECRET, "recovery": {"enabled": "yes"}}, "spec.recovery.enabled"),
        ({"secretRef": SECRET, "recovery": {"gracePeriod": "soon"}}, "spec.recovery.gracePeriod"),
        ({"secretRef": SECRET, "connections": {"max": 0}}, "spec.connections.max"),
        ({"secretRef": SECRET, "connections": {"max": 101}}, "spec.connections.max"),
        ({"secretRef": SECRET, "connections": {"statementTimeout": "0s"}}, "spec.connections.statementTimeout"),
        ({"secretRef": SECRET, "connections": {"statementTimeout": "2h"}}, "spec.connections.statementTimeout"),
        ({"secretRef": SECRET, "mode": "Observe"}, "spec"),
    ],
)
def test_a_bad_field_is_a_problem_that_names_it(spec: object, field: str) -> None:
    assert problem(spec).startswith(f"{field}: expected ")


def test_a_problem_says_what_was_expected_and_what_was_given() -> None:
    assert problem({"secretRef": SECRET, "serializer": "yaml"}) == (
        "spec.serializer: expected one of py_pickle, portable_json, got 'yaml'"
    )
    assert problem({}) == "spec.secretRef: expected the Secret that holds the URL, got nothing"


def test_an_object_keeps_its_identity_and_status_whatever_its_spec_says() -> None:
    manifest = a_manifest("DBOSDatabase", {}, status={"observedGeneration": 2})
    manifest["metadata"] |= {"deletionTimestamp": "2026-11-21T08:00:00Z", "finalizers": ["dbos.dev/row"]}
    resource = parse_database(manifest)
    assert resource.status == {"observedGeneration": 2}
    assert resource.identity == Identity(
        kind=Kind.DATABASE,
        key=ObjectKey("team", "a"),
        uid=Uid("uid-of-a"),
        generation=3,
        resource_version="42",
        created_at=datetime(2026, 11, 21, 7, 16, tzinfo=UTC),
        deleting_since=datetime(2026, 11, 21, 8, 0, tzinfo=UTC),
        finalizers=("dbos.dev/row",),
    )
