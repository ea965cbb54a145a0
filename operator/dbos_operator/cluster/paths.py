"""URL paths of the objects that the operator touches."""

from __future__ import annotations

from urllib.parse import quote

from dbos_operator.errors import NotFoundError
from dbos_operator.resources.identity import API_VERSION, Kind, ObjectKey, TargetRef

WORKLOAD_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


def _segment(name: str) -> str:
    """A name as one segment of a path, whatever it holds: servers resolve dots."""
    if name in {"", ".", ".."}:
        raise NotFoundError(f"{name!r} is not the name of an object")
    return quote(name, safe="")


def core_path(namespace: str, plural: str, name: str | None = None) -> str:
    """An object, or the collection, of the core group in a namespace."""
    path = f"/api/v1/namespaces/{_segment(namespace)}/{plural}"
    return path if name is None else f"{path}/{_segment(name)}"


def resource_path(kind: Kind, key: ObjectKey) -> str:
    """An object of one of our kinds."""
    return f"{collection_path(f'/apis/{API_VERSION}', kind.plural, key.namespace)}/{_segment(key.name)}"


def target_path(target: TargetRef) -> str:
    """A Deployment or StatefulSet."""
    plural = WORKLOAD_PLURALS.get(target.kind)
    if plural is None:
        raise NotFoundError(f"{target} is neither a Deployment nor a StatefulSet")
    return f"{collection_path('/apis/apps/v1', plural, target.namespace)}/{_segment(target.name)}"


def collection_path(api: str, plural: str, namespace: str | None) -> str:
    """All objects of a type in one namespace, or in all of them."""
    return f"{api}/{plural}" if namespace is None else f"{api}/namespaces/{_segment(namespace)}/{plural}"
