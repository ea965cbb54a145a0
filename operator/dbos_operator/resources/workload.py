"""Deployments and StatefulSets, as far as scaling needs to know them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from dbos_operator.resources.identity import TargetRef
from dbos_operator.resources.resource import Workload
from dbos_operator.resources.selector import parse_selector


class WorkloadKind(StrEnum):
    """The kinds that `scaling.targetRef` may name, all of `apps/v1`."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"


def parse_workload(manifest: Mapping[str, Any]) -> Workload:
    """A workload from its manifest, which the API server has checked."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    replicas = spec.get("replicas")
    return Workload(
        target=TargetRef(metadata["namespace"], manifest["kind"], metadata["name"]),
        uid=metadata["uid"],
        replicas=1 if replicas is None else replicas,
        ready_replicas=(manifest.get("status") or {}).get("readyReplicas") or 0,
        selector=parse_selector(spec.get("selector") or {}),
        template=template_hash(spec.get("template") or {}),
    )


def template_hash(template: Mapping[str, Any]) -> str:
    """A short text that is the same exactly for equal pod templates, whatever the order of their keys."""
    text = json.dumps(template, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
