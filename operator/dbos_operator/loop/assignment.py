"""What one loop has to look after, as of the last change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbos_operator.decide.databases import Child, DatabaseView
from dbos_operator.resources.identity import ClusterId, ObjectKey, TargetRef, Uid
from dbos_operator.resources.resource import Resource, Workload
from dbos_operator.resources.specs import DatabaseSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One database with its resources."""

    database: Resource[DatabaseSpec]
    """As it was last seen, when it is gone."""
    gone: bool = False
    """Whether the DBOSDatabase no longer exists: the loop stays for what is still being deleted."""
    twin_of: ObjectKey | None = None
    """An older DBOSDatabase that works the same system schema."""
    view: DatabaseView
    invalid: tuple[Child, ...] = ()
    """Resources of any database whose spec cannot be read."""
    living: frozenset[Uid] = frozenset()
    """UIDs of every queue and schedule that exists."""
    workloads: Mapping[TargetRef, Workload] = field(default_factory=dict)
    foreign_targets: Mapping[TargetRef, ObjectKey] = field(default_factory=dict)
    """Targets that another database's queues scale, with that database."""
    cluster_id: ClusterId

    @property
    def spec(self) -> DatabaseSpec:
        """The spec, which can be read: a database whose spec cannot has no loop."""
        assert self.database.spec is not None
        return self.database.spec
