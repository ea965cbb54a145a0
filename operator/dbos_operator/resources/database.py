"""DBOSDatabase: from its manifest to a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dbos_operator.resources.fields import Fields
from dbos_operator.resources.identity import Identity, Kind
from dbos_operator.resources.manifest import parse_manifest
from dbos_operator.resources.resource import Resource
from dbos_operator.resources.specs import ConnectionsSpec, DatabaseSpec, Initialize, RecoverySpec, Serializer

MOST_CONNECTIONS = 100
LONGEST_STATEMENT = timedelta(hours=1)
LONGEST_IDENTIFIER = 63
"""Bytes: PostgreSQL cuts longer names off without a word."""
TAKEN_SCHEMAS = frozenset({"information_schema", "dbos_operator", "dbos_runtime"})


def parse_database(manifest: Mapping[str, Any]) -> Resource[DatabaseSpec]:
    """A DBOSDatabase with every default filled in, or with the problem that its spec has."""
    return parse_manifest(Kind.DATABASE, manifest, _read_spec)


def _read_spec(_: Identity, value: object) -> DatabaseSpec:
    fields = Fields(
        "spec",
        value,
        *("secretRef", "schema", "applicationName", "serializer", "initialize", "recovery", "connections"),
    )
    secret = fields.must("secretRef", fields.nested("secretRef", "name", "key"), "the Secret that holds the URL")
    schema = fields.text("schema", longest=LONGEST_IDENTIFIER) or "dbos"
    if len(schema.encode()) > LONGEST_IDENTIFIER:
        raise fields.wrong("schema", expected=f"a name of at most {LONGEST_IDENTIFIER} bytes")
    if schema in TAKEN_SCHEMAS or schema.startswith("pg_"):
        raise fields.wrong("schema", expected="a schema that is not PostgreSQL's, the operator's or the runtime's own")
    return DatabaseSpec(
        secret_name=secret.must("name", secret.object_name("name"), "the name of a Secret"),
        secret_key=secret.must("key", secret.text("key"), "the key of the Secret that holds the URL"),
        schema=schema,
        application_name=fields.text("applicationName"),
        serializer=fields.choice("serializer", Serializer, Serializer.PY_PICKLE),
        initialize=fields.choice("initialize", Initialize, Initialize.IF_EMPTY),
        recovery=_read_recovery(fields.nested("recovery", "enabled", "gracePeriod")),
        connections=_read_connections(fields.nested("connections", "max", "statementTimeout")),
    )


def _read_recovery(fields: Fields | None) -> RecoverySpec:
    default = RecoverySpec()
    if fields is None:
        return default
    enabled = fields.flag("enabled")
    grace_period = fields.duration("gracePeriod", zero=True)
    return RecoverySpec(
        enabled=default.enabled if enabled is None else enabled,
        grace_period=default.grace_period if grace_period is None else grace_period,
    )


def _read_connections(fields: Fields | None) -> ConnectionsSpec:
    default = ConnectionsSpec()
    if fields is None:
        return default
    most = fields.integer("max")
    if most is not None and most > MOST_CONNECTIONS:
        raise fields.wrong("max", expected=f"at most {MOST_CONNECTIONS} connections")
    return ConnectionsSpec(
        max=most or default.max,
        statement_timeout=fields.duration("statementTimeout", longest=LONGEST_STATEMENT) or default.statement_timeout,
    )
