"""URL paths of the objects that the operator touches."""

from __future__ import annotations

from urllib.parse import quote

from dbos_operator.errors import NotFoundError
from dbos_operator.resources.identity import API_VERSION, Kind, ObjectKey, TargetRef

WORKLOAD_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


def core_path(namespace: str, plural: str, name: str | None = None) -> str:
    """An object, or the collection, of the core group in a namespace."""
    path = f"/api/v1/namespaces/{quote(namespace)}/{plural}"
    return path if name is None else f"{path}/{quote(name)}"


def resource_path(kind: Kind, key: ObjectKey) -> str:
    """An object of one of our kinds."""
    return f"{collection_path(f'/apis/{API_VERSION}', kind.plural, key.namespace)}/{quote(key.name)}"


def target_path(target: TargetRef) -> str:
    """A Deployment or StatefulSet."""
    plural = WORKLOAD_PLURALS.get(target.kind)
    if plural is None:
        raise NotFoundError(f"{target} is neither a Deployment nor a StatefulSet")
    return f"{collection_path('/apis/apps/v1', plural, target.namespace)}/{quote(target.name)}"


def collection_path(api: str, plural: str, namespace: str | None) -> str:
    """All objects of a type in one namespace, or in all of them."""
    return f"{api}/{plural}" if namespace is None else f"{api}/namespaces/{quote(namespace)}/{plural}"
