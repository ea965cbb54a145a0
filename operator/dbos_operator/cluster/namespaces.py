"""What the operator asks about namespaces: who the cluster is, and which are on their way out."""

from __future__ import annotations

import logging

from dbos_operator.cluster.client import ApiSession
from dbos_operator.errors import ClusterForbiddenError
from dbos_operator.resources.identity import ClusterId

logger = logging.getLogger(__name__)


async def read_cluster_id(api: ApiSession) -> ClusterId:
    """The UID of kube-system: no other cluster has it, and it lives as long as the cluster does."""
    try:
        found = await api.get("/api/v1/namespaces/kube-system")
    except ClusterForbiddenError as error:
        raise ClusterForbiddenError(
            f"the UID of namespace kube-system marks the rows of this cluster; allow the operator to `get` it: {error}"
        ) from error
    return ClusterId(found["metadata"]["uid"])


async def namespace_terminating(api: ApiSession, namespace: str) -> bool:
    """Whether the namespace is on its way out, or gone. Not allowed to look counts as staying."""
    try:
        found = await api.find(f"/api/v1/namespaces/{namespace}")
    except ClusterForbiddenError as error:
        logger.warning("cannot tell whether a namespace is terminating", extra={"error": str(error)})
        return False
    return found is None or "deletionTimestamp" in found["metadata"]
