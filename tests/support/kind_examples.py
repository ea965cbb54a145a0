"""Specs of the three kinds, good and bad: what the API server and the parsers must agree on."""

from __future__ import annotations

from typing import Any

from dbos_operator.resources.identity import Kind

SECRET = {"name": "orders-db", "key": "url"}
WORKER = {"targetRef": {"name": "worker"}, "maxReplicas": 5}
NIGHTLY = {"workflowName": "nightly_report", "schedule": "0 2 * * *"}

SMALLEST: dict[Kind, dict[str, Any]] = {
    Kind.DATABASE: {"secretRef": SECRET},
    Kind.QUEUE: {},
    Kind.SCHEDULE: NIGHTLY,
}
"""The least that each kind asks for."""

FULL: dict[Kind, dict[str, Any]] = {
    Kind.DATABASE: {
        "secretRef": SECRET,
        "schema": "My Schema",
        "applicationName": "orders",
        "serializer": "portable_json",
        "initialize": "Never",
        "recovery": {"enabled": False, "gracePeriod": "2m"},
        "connections": {"max": 2, "statementTimeout": "30s"},
    },
    Kind.QUEUE: {
        "databaseRef": {"name": "main", "namespace": "shared"},
        "queueName": "E-Mails",
        "concurrency": 50,
        "workerConcurrency": 7,
        "rateLimit": {"limit": 100, "period": "1h30m"},
        "pollingInterval": "500ms",
        "deletionPolicy": "Delete",
        "scaling": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "worker"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "workflowsPerReplica": 3,
            "idleAfter": "0s",
        },
    },
    Kind.SCHEDULE: {
        "databaseRef": {"name": "main", "namespace": "shared"},
        "scheduleName": "Nightly Report",
        "workflowName": "nightly_report",
        "workflowClassName": "Reports",
        "schedule": "*/10 * * * * *",
        "timeZone": "Europe/Berlin",
        "context": {"region": "eu"},
        "queueName": "reports",
        "suspend": True,
        "deletionPolicy": "Delete",
    },
}
"""Every field, each with another value than its default."""

REFUSED: tuple[tuple[Kind, dict[str, Any], str], ...] = (
    (Kind.DATABASE, {}, "spec.secretRef"),
    (Kind.DATABASE, {"secretRef": {"name": "x"}}, "spec.secretRef.key"),
    (Kind.DATABASE, {"secretRef": {"key": "x"}}, "spec.secretRef.name"),
    (Kind.DATABASE, {"secretRef": {"name": " ", "key": "x"}}, "spec.secretRef.name"),
    *(
        (Kind.DATABASE, {"secretRef": {"name": name, "key": "x"}}, "spec.secretRef.name")
        for name in ("../../other/secrets/x", "..", "a/b", "Upper", "-a", "a_b", "a..b")
    ),
    (Kind.DATABASE, {"secretRef": SECRET, "schema": ""}, "spec.schema"),
    *(
        (Kind.DATABASE, {"secretRef": SECRET, "schema": name}, "spec.schema")
        for name in ("dbos_operator", "dbos_runtime", "information_schema", "pg_catalog", "pg_x")
    ),
    (Kind.DATABASE, {"secretRef": SECRET, "schema": "x" * 64}, "spec.schema"),
    (Kind.DATABASE, {"secretRef": SECRET, "applicationName": " "}, "spec.applicationName"),
    (Kind.DATABASE, {"secretRef": SECRET, "serializer": "yaml"}, "spec.serializer"),
    (Kind.DATABASE, {"secretRef": SECRET, "initialize": "Always"}, "spec.initialize"),
    (Kind.DATABASE, {"secretRef": SECRET, "recovery": {"enabled": "yes"}}, "spec.recovery.enabled"),
    (Kind.DATABASE, {"secretRef": SECRET, "recovery": {"gracePeriod": "-1s"}}, "spec.recovery.gracePeriod"),
    (Kind.DATABASE, {"secretRef": SECRET, "connections": {"max": 0}}, "spec.connections.max"),
    (Kind.DATABASE, {"secretRef": SECRET, "connections": {"max": 101}}, "spec.connections.max"),
    (
        Kind.DATABASE,
        {"secretRef": SECRET, "connections": {"statementTimeout": "0s"}},
        "spec.connections.statementTimeout",
    ),
    (
        Kind.DATABASE,
        {"secretRef": SECRET, "connections": {"statementTimeout": "2h"}},
        "spec.connections.statementTimeout",
    ),
    (Kind.QUEUE, {"databaseRef": {}}, "spec.databaseRef.name"),
    (Kind.QUEUE, {"databaseRef": {"name": ""}}, "spec.databaseRef.name"),
    (Kind.QUEUE, {"queueName": ""}, "spec.queueName"),
    (Kind.QUEUE, {"databaseRef": {"name": "x/y"}}, "spec.databaseRef.name"),
    (Kind.QUEUE, {"databaseRef": {"name": "x", "namespace": "../y"}}, "spec.databaseRef.namespace"),
    *((Kind.QUEUE, {"queueName": text}, "spec.queueName") for text in (" \t", "\u00a0", "\u3000", "\x0b", "a\0b")),
    (Kind.QUEUE, {"queueName": "_dbos_internal_queue"}, "spec.queueName"),
    (Kind.QUEUE, {"queueName": "x" * 256}, "spec.queueName"),
    (Kind.QUEUE, {"concurrency": 0}, "spec.concurrency"),
    (Kind.QUEUE, {"concurrency": 2**31}, "spec.concurrency"),
    (Kind.QUEUE, {"concurrency": "5"}, "spec.concurrency"),
    (Kind.QUEUE, {"workerConcurrency": -1}, "spec.workerConcurrency"),
    (Kind.QUEUE, {"concurrency": 1, "workerConcurrency": 2}, "spec.workerConcurrency"),
    (Kind.QUEUE, {"rateLimit": {"limit": 1}}, "spec.rateLimit.period"),
    (Kind.QUEUE, {"rateLimit": {"period": "1s"}}, "spec.rateLimit.limit"),
    (Kind.QUEUE, {"rateLimit": {"limit": 0, "period": "1s"}}, "spec.rateLimit.limit"),
    (Kind.QUEUE, {"rateLimit": {"limit": 1, "period": "0s"}}, "spec.rateLimit.period"),
    *(
        (Kind.QUEUE, {"pollingInterval": text}, "spec.pollingInterval")
        for text in ("", "0ms", "5", "s", "-5s", "1.5h", "1d", " 5s", "30s1m", "1234567h", "soon")
    ),
    (Kind.QUEUE, {"pollingInterval": 5}, "spec.pollingInterval"),
    (Kind.QUEUE, {"deletionPolicy": "Pause"}, "spec.deletionPolicy"),
    (Kind.QUEUE, {"scaling": {"maxReplicas": 1}}, "spec.scaling.targetRef"),
    (Kind.QUEUE, {"scaling": {"targetRef": {"name": "x"}}}, "spec.scaling.maxReplicas"),
    (Kind.QUEUE, {"scaling": {**WORKER, "maxReplicas": 0}}, "spec.scaling.maxReplicas"),
    (Kind.QUEUE, {"scaling": {**WORKER, "minReplicas": 6}}, "spec.scaling.minReplicas"),
    (Kind.QUEUE, {"scaling": {**WORKER, "minReplicas": -1}}, "spec.scaling.minReplicas"),
    (Kind.QUEUE, {"scaling": {**WORKER, "workflowsPerReplica": 0}}, "spec.scaling.workflowsPerReplica"),
    (Kind.QUEUE, {"scaling": {**WORKER, "idleAfter": "-1s"}}, "spec.scaling.idleAfter"),
    (Kind.QUEUE, {"scaling": {**WORKER, "targetRef": {}}}, "spec.scaling.targetRef.name"),
    (Kind.QUEUE, {"scaling": {**WORKER, "targetRef": {"name": "../x"}}}, "spec.scaling.targetRef.name"),
    (Kind.QUEUE, {"scaling": {**WORKER, "targetRef": {"kind": "Pod", "name": "x"}}}, "spec.scaling.targetRef.kind"),
    (Kind.SCHEDULE, {"schedule": "* * * * *"}, "spec.workflowName"),
    (Kind.SCHEDULE, {"workflowName": "x"}, "spec.schedule"),
    (Kind.SCHEDULE, {**NIGHTLY, "workflowName": " "}, "spec.workflowName"),
    (Kind.SCHEDULE, {**NIGHTLY, "workflowName": "a\0b"}, "spec.workflowName"),
    (Kind.SCHEDULE, {**NIGHTLY, "schedule": " "}, "spec.schedule"),
    (Kind.SCHEDULE, {**NIGHTLY, "timeZone": ""}, "spec.timeZone"),
    (Kind.SCHEDULE, {**NIGHTLY, "scheduleName": "_dbos_x"}, "spec.scheduleName"),
    (Kind.SCHEDULE, {**NIGHTLY, "scheduleName": ""}, "spec.scheduleName"),
    (Kind.SCHEDULE, {**NIGHTLY, "queueName": "_dbos_internal_queue"}, "spec.queueName"),
    (Kind.SCHEDULE, {**NIGHTLY, "workflowClassName": ""}, "spec.workflowClassName"),
    (Kind.SCHEDULE, {**NIGHTLY, "suspend": "no"}, "spec.suspend"),
    (Kind.SCHEDULE, {**NIGHTLY, "deletionPolicy": "Keep"}, "spec.deletionPolicy"),
)
"""What one object can know to be wrong with itself, and the field that the refusal names."""
