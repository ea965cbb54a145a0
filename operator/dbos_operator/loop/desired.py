"""The desired state: what the watch (or a folder of YAML) last said of every object."""

from __future__ import annotations

from collections.abc import Callable

from dbos_operator.resources.identity import Kind, ObjectKey, TargetRef
from dbos_operator.resources.resource import DesiredSnapshot, Resource, Workload
from dbos_operator.resources.specs import DatabaseSpec, QueueSpec, ScheduleSpec

AnyResource = Resource[DatabaseSpec] | Resource[QueueSpec] | Resource[ScheduleSpec]


class DesiredState:
    """Holds the newest version of every object and tells its listeners when one changes.

    Everything runs on one event loop, so a snapshot is a copy of a moment.
    """

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[ObjectKey, AnyResource]] = {kind: {} for kind in Kind}
        self._workloads: dict[TargetRef, Workload] = {}
        self._listeners: list[Callable[[], None]] = []
        self.complete = False
        """Whether the first listing of every kind is in: before that nothing may be decided."""
        self.version = 0
        """Grows with everything that is taken in, changes of a status alone included."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each change that the loop must look at."""
        self._listeners.append(listener)

    def put(self, resource: AnyResource) -> None:
        """Take in an object that is new or has changed. A change of its status alone wakes nobody."""
        objects = self._objects[resource.identity.kind]
        before = objects.get(resource.identity.key)
        objects[resource.identity.key] = resource
        self.version += 1
        if before is None or _asks_for_work(before, resource):
            self._changed()

    def drop(self, kind: Kind, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        if self._objects[kind].pop(key, None) is not None:
            self._changed()

    def put_workload(self, workload: Workload) -> None:
        """Take in a Deployment or StatefulSet."""
        if self._workloads.get(workload.target) != workload:
            self._workloads[workload.target] = workload
            self._changed()

    def drop_workload(self, target: TargetRef) -> None:
        """Forget a workload that is gone."""
        if self._workloads.pop(target, None) is not None:
            self._changed()

    def mark_complete(self) -> None:
        """Say that the first listing of every kind is in."""
        self.complete = True
        self._changed()

    def snapshot(self) -> DesiredSnapshot:
        """Everything as it stands now."""
        return DesiredSnapshot(
            databases=dict(self._objects[Kind.DATABASE]),  # type: ignore[arg-type]
            queues=dict(self._objects[Kind.QUEUE]),  # type: ignore[arg-type]
            schedules=dict(self._objects[Kind.SCHEDULE]),  # type: ignore[arg-type]
            workloads=dict(self._workloads),
        )

    def _changed(self) -> None:
        self.version += 1
        for listener in self._listeners:
            listener()


def _asks_for_work(before: AnyResource, now: AnyResource) -> bool:
    old, new = before.identity, now.identity
    return (
        old.uid != new.uid
        or old.generation != new.generation
        or old.deleting_since != new.deleting_since
        or old.finalizers != new.finalizers
    )
