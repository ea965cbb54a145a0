"""Manifests of the three kinds as the API server hands them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def a_manifest(kind: str, spec: object, *, name: str = "a", status: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An object in the namespace `team` with the metadata that an API server fills in."""
    return {
        "apiVersion": "dbos.dev/v1beta1",
        "kind": kind,
        "metadata": {
            "namespace": "team",
            "name": name,
            "uid": f"uid-of-{name}",
            "generation": 3,
            "resourceVersion": "42",
            "creationTimestamp": "2026-11-21T07:16:00Z",
        },
        "spec": spec,
        "status": dict(status or {"observedGeneration": -1}),
    }
