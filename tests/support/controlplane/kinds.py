"""When clients can use the kinds of the operator, and when they are gone: both take an API server a while."""

from __future__ import annotations

from typing import Any

from support.kubectl import Kubectl, KubectlError
from support.waiting import eventually

KINDS = ("dbosdatabases", "dbosqueues", "dbosschedules")
DEFINITIONS = tuple(f"{plural}.dbos.dev" for plural in KINDS)


def wait_for_kinds(kubectl: Kubectl, *plurals: str) -> None:
    """Return once these kinds (else all three) are established, and clients that look find them."""
    names = [f"{plural}.dbos.dev" for plural in plurals or KINDS]
    kubectl("wait", "--for=condition=Established", "--timeout=45s", *(f"crd/{name}" for name in names))
    eventually(lambda: served_kinds(kubectl), set(names).issubset, what=f"discovery of {', '.join(names)}")


def served_kinds(kubectl: Kubectl) -> set[str]:
    """The kinds of the operator that the API server names; what kubectl remembers is read again as well."""
    try:
        return set(kubectl("api-resources", "--api-group=dbos.dev", "--output=name", "--cached=false").split())
    except KubectlError:
        return set()


def remove_kinds(kubectl: Kubectl) -> None:
    """Delete the kinds that are there, and return once they and all their objects are gone.

    Kubernetes 1.35 deletes the objects first. When it cannot list them yet ("storage is (re)initializing", about one
    removal in twenty right after a creation) it tries again after minutes, or at once if the definition changes.
    """

    def left() -> list[str]:
        found = [each for each in kubectl.get("crd") if each["metadata"]["name"] in DEFINITIONS]
        for each in found:
            if _has_given_up(each):
                _touch(kubectl, each)
        return [each["metadata"]["name"] for each in found]

    kubectl("delete", "crd", *DEFINITIONS, "--ignore-not-found", "--wait=false")
    eventually(left, lambda names: not names, within=90, what="end of the kinds")


def _has_given_up(definition: Any) -> bool:
    conditions = definition["status"]["conditions"]
    return any(each["type"] == "Terminating" and each["reason"] == "InstanceDeletionFailed" for each in conditions)


def _touch(kubectl: Kubectl, definition: Any) -> None:
    name, version = definition["metadata"]["name"], definition["metadata"]["resourceVersion"]
    try:
        kubectl("annotate", "--overwrite", "crd", name, f"touched-at={version}")
    except KubectlError as error:
        if "NotFound" not in error.stderr:
            raise
