"""What the operator writes on objects of its own kinds: status and finalizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.paths import resource_path
from dbos_operator.resources.identity import Identity


async def patch_status(api: ApiSession, identity: Identity, status: Mapping[str, Any]) -> None:
    """Merge into the status subresource.

    The API server has no precondition for this. A successor of the same name
    may show the status for a moment; the next tick sees that and corrects it.
    """
    await api.merge(f"{resource_path(identity.kind, identity.key)}/status", {"status": dict(status)})


async def set_finalizers(api: ApiSession, identity: Identity, finalizers: Sequence[str]) -> None:
    """Replace the finalizers, if the object is still what was read: somebody else's are never lost."""
    await api.merge(
        resource_path(identity.kind, identity.key),
        {"metadata": {"resourceVersion": identity.resource_version, "finalizers": list(finalizers)}},
    )
