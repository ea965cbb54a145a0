"""Complete listings, page by page: what the desired state is primed with and compared against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dbos_operator.cluster.client import LIST_TIMEOUT, ApiSession, GoneError, Request
from dbos_operator.errors import ClusterError

PAGE = "500"
RESTARTS = 3


async def list_objects(
    api: ApiSession, path: str, query: Mapping[str, str] | None = None
) -> Sequence[Mapping[str, Any]]:
    """Every object of a collection, as of one moment."""
    for _ in range(RESTARTS):
        try:
            return await _list_pages(api, path, query or {})
        except GoneError:
            # The next page would be of another moment, so the list starts again.
            continue
    raise ClusterError(f"GET {path}: the list changed faster than it could be read")


async def _list_pages(api: ApiSession, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    objects: list[Mapping[str, Any]] = []
    token = ""
    while True:
        parameters = {**query, "limit": PAGE, **({"continue": token} if token else {})}
        page = await api.send(Request(method="GET", path=path, query=parameters, timeout=LIST_TIMEOUT))
        objects.extend(page.get("items") or [])
        token = page.get("metadata", {}).get("continue") or ""
        if not token:
            return objects
