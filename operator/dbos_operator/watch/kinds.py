"""The five kinds that are watched, and how a manifest of each becomes a value."""

from __future__ import annotations

from dataclasses import dataclass

from dbos_operator.resources.identity import GROUP, VERSION, Kind


@dataclass(frozen=True, slots=True)
class WatchedKind:
    """One kind, as the API server names it."""

    group: str
    version: str
    plural: str
    kind: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}"


OWN_KINDS = {kind: WatchedKind(GROUP, VERSION, kind.plural, kind.value) for kind in Kind}
WORKLOAD_KINDS = {
    "Deployment": WatchedKind("apps", "v1", "deployments", "Deployment"),
    "StatefulSet": WatchedKind("apps", "v1", "statefulsets", "StatefulSet"),
}
_OWN = {watched: kind for kind, watched in OWN_KINDS.items()}
WATCHED = (*OWN_KINDS.values(), *WORKLOAD_KINDS.values())


def own_kind(watched: WatchedKind) -> Kind | None:
    """Which of our kinds this is; None for a workload."""
    return _OWN.get(watched)
