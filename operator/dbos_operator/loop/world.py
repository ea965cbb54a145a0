"""The desired state sorted by database: computed once for each change, however many loops ask."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from dbos_operator.decide.databases import Child, DatabaseView, Resolution, resolve
from dbos_operator.loop.assignment import Assignment
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import ClusterId, ObjectKey, TargetRef, Uid
from dbos_operator.resources.resource import DesiredSnapshot, Resource, Workload
from dbos_operator.resources.specs import DatabaseSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything that is desired, sorted, as of one version of the desired state."""

    version: int
    snapshot: DesiredSnapshot
    resolution: Resolution
    living: frozenset[Uid]
    scalers: Mapping[TargetRef, ObjectKey]
    """The database whose queues scale a target: that of the oldest queue which names it."""


@dataclass(slots=True)
class World:
    """What every loop has to look after."""

    desired: DesiredState
    default_database: ObjectKey | None
    cluster_id: ClusterId
    twins: Mapping[ObjectKey, ObjectKey] = field(default_factory=dict)
    _moment: Moment | None = None
    _placed: dict[str, ObjectKey] = field(default_factory=dict)
    _last_seen: dict[ObjectKey, Resource[DatabaseSpec]] = field(default_factory=dict)

    def now(self) -> Moment:
        """The desired state as it stands, sorted at most once for each version."""
        if self._moment is None or self._moment.version != self.desired.version:
            self._moment = self._sort()
        return self._moment

    def databases(self) -> set[ObjectKey]:
        """The databases that need a loop: those that can be used, and those that are gone and still owed something."""
        moment = self.now()
        usable = {key for key, database in moment.snapshot.databases.items() if database.spec is not None}
        return usable | {key for key in moment.resolution.views if key in self._last_seen}

    def assignment(self, key: ObjectKey) -> Assignment | None:
        """What the loop of a database has to look after now; None when it is gone, and nothing is owed to it."""
        moment = self.now()
        database = moment.snapshot.databases.get(key)
        gone = database is None or database.spec is None
        if gone:
            database = self._last_seen.get(key)
        if database is None:
            return None
        view = moment.resolution.views.get(key, DatabaseView())
        targets = {
            queue.spec.scaling.target
            for queue in view.queues
            if queue.spec is not None and queue.spec.scaling is not None
        }
        return Assignment(
            database=database,
            gone=gone,
            twin_of=self.twins.get(key),
            view=view,
            invalid=moment.resolution.invalid,
            living=moment.living,
            workloads=_chosen(moment.snapshot.workloads, targets),
            foreign_targets={target: moment.scalers[target] for target in targets if moment.scalers[target] != key},
            cluster_id=self.cluster_id,
        )

    def _sort(self) -> Moment:
        snapshot = self.desired.snapshot()
        resolution = resolve(snapshot, self.default_database, self._placed)
        children: Iterable[Child] = (*snapshot.queues.values(), *snapshot.schedules.values())
        living = frozenset(child.identity.uid for child in children)
        self._remember(snapshot, resolution, living)
        return Moment(
            version=self.desired.version,
            snapshot=snapshot,
            resolution=resolution,
            living=living,
            scalers=_scalers(resolution),
        )

    def _remember(self, snapshot: DesiredSnapshot, resolution: Resolution, living: frozenset[Uid]) -> None:
        """Keep where each living resource worked last, and the databases of these.

        `kubectl delete` of several objects may end the database first; the others find it here a moment later.
        """
        placed = {child.identity.uid: key for key, view in resolution.views.items() for child in view.children}
        self._placed = {uid: key for uid, key in self._placed.items() if uid in living} | placed
        seen = self._last_seen | {key: found for key, found in snapshot.databases.items() if found.spec is not None}
        needed = {*snapshot.databases, *self._placed.values()}
        self._last_seen = {key: found for key, found in seen.items() if key in needed}


def fingerprint(assignment: Assignment) -> Hashable:
    """Equal for two assignments exactly when nothing changed that asks for a pass."""

    def marks(resources: Iterable[Child | Resource[DatabaseSpec]]) -> tuple[Hashable, ...]:
        return tuple(
            (found.identity.uid, found.identity.generation, found.identity.deleting_since, found.identity.finalizers)
            for found in resources
        )

    workloads = (
        (found.target, found.uid, found.replicas, found.ready_replicas, found.template)
        for found in assignment.workloads.values()
    )
    return (
        marks([assignment.database]),
        marks(assignment.view.children),
        marks(child for child in assignment.invalid if child.identity.deleting_since is not None),
        frozenset(workloads),
        assignment.gone,
        assignment.twin_of,
        frozenset(assignment.foreign_targets.items()),
    )


def _chosen(workloads: Mapping[TargetRef, Workload], targets: Iterable[TargetRef]) -> dict[TargetRef, Workload]:
    return {target: workloads[target] for target in targets if target in workloads}


def _scalers(resolution: Resolution) -> dict[TargetRef, ObjectKey]:
    named = sorted(
        (
            (queue.identity.precedence, key, queue.spec.scaling.target)
            for key, view in resolution.views.items()
            for queue in view.queues
            if queue.spec is not None and queue.spec.scaling is not None
        ),
        reverse=True,
    )
    return {target: key for _, key, target in named}
