"""When clients can use the kinds of the operator: an API server serves one before its discovery names it."""

from __future__ import annotations

from support.kubectl import Kubectl, KubectlError
from support.waiting import eventually

KINDS = ("dbosdatabases", "dbosqueues", "dbosschedules")


def wait_for_kinds(kubectl: Kubectl, *plurals: str) -> None:
    """Return once these kinds (else all three) are established, and clients that look find them."""
    names = {f"{plural}.dbos.dev" for plural in plurals or KINDS}
    kubectl("wait", "--for=condition=Established", "--timeout=45s", *(f"crd/{name}" for name in sorted(names)))
    eventually(lambda: served_kinds(kubectl), names.issubset, what=f"discovery of {', '.join(sorted(names))}")


def served_kinds(kubectl: Kubectl) -> set[str]:
    """The kinds of the operator that the API server names; what kubectl remembers is read again as well."""
    try:
        return set(kubectl("api-resources", "--api-group=dbos.dev", "--output=name", "--cached=false").split())
    except KubectlError:
        return set()
