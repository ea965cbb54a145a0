"""Secrets, read by name only: the operator never lists or watches them."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from dbos_operator.cluster.client import ApiSession
from dbos_operator.cluster.paths import core_path
from dbos_operator.resources.identity import ObjectKey


async def read_secret(api: ApiSession, key: ObjectKey) -> Mapping[str, bytes] | None:
    """The decoded data of a Secret, or None when there is none of that name."""
    found = await api.find(core_path(key.namespace, "secrets", key.name))
    if found is None:
        return None
    return {name: base64.b64decode(value) for name, value in (found.get("data") or {}).items()}
