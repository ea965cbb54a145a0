"""From a manifest to a resource: what every kind has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dbos_operator.errors import InvalidResourceError
from dbos_operator.resources.fields import Fields
from dbos_operator.resources.identity import Identity, Kind, ObjectKey, Uid
from dbos_operator.resources.resource import Problem, Resource, SpecT


def parse_manifest(
    kind: Kind, manifest: Mapping[str, Any], read_spec: Callable[[Identity, object], SpecT]
) -> Resource[SpecT]:
    """One object as the loop sees it. A spec that cannot be used becomes a problem, never an exception.

    The metadata is what the API server fills in, and taken as it is.
    """
    identity = parse_identity(kind, manifest["metadata"])
    status = manifest.get("status") or {}
    try:
        spec = read_spec(identity, manifest.get("spec"))
    except InvalidResourceError as error:
        return Resource(identity=identity, spec=None, problem=Problem(error.reason, str(error)), status=status)
    return Resource(identity=identity, spec=spec, status=status)


def parse_identity(kind: Kind, metadata: Mapping[str, Any]) -> Identity:
    """Who an object is, from its metadata."""
    deleted_at = metadata.get("deletionTimestamp")
    return Identity(
        kind=kind,
        key=ObjectKey(metadata["namespace"], metadata["name"]),
        uid=Uid(metadata["uid"]),
        generation=metadata["generation"],
        resource_version=metadata["resourceVersion"],
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting_since=None if deleted_at is None else datetime.fromisoformat(deleted_at),
        finalizers=tuple(metadata.get("finalizers") or ()),
    )


def read_database_ref(fields: Fields, namespace: str) -> ObjectKey | None:
    """Which DBOSDatabase a resource asks for; None stands for the default one."""
    reference = fields.nested("databaseRef", "name", "namespace")
    if reference is None:
        return None
    name = reference.must("name", reference.object_name("name"), "the name of a DBOSDatabase")
    return ObjectKey(reference.object_name("namespace") or namespace, name)
