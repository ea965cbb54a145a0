"""Which DBOSDatabase each resource works with, and what is wrong where there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from dbos_operator.reasons import Reason
from dbos_operator.resources.identity import ObjectKey
from dbos_operator.resources.resource import DesiredSnapshot, Problem, Resource
from dbos_operator.resources.specs import DatabaseSpec, QueueSpec, ScheduleSpec

DEFAULT_NAME = "default"

Child: TypeAlias = Resource[QueueSpec] | Resource[ScheduleSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseView:
    """The resources of one DBOSDatabase."""

    queues: tuple[Resource[QueueSpec], ...] = ()
    schedules: tuple[Resource[ScheduleSpec], ...] = ()

    @property
    def children(self) -> tuple[Child, ...]:
        """Queues and schedules."""
        return (*self.queues, *self.schedules)


@dataclass(frozen=True, slots=True)
class Stray:
    """A resource that cannot be worked on, and why."""

    resource: Child | Resource[DatabaseSpec]
    problem: Problem
    child: Child | None = None
    """The resource, unless it is a database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Every resource in its place."""

    views: Mapping[ObjectKey, DatabaseView]
    """By DBOSDatabase; also of databases that are gone, for what was resolved to them before."""
    strays: tuple[Stray, ...]
    invalid: tuple[Child, ...]
    """Queues and schedules whose spec cannot be read: nobody knows which row they mean, their records do."""


def resolve(
    snapshot: DesiredSnapshot, default: ObjectKey | None, lingering: Mapping[str, ObjectKey] | None = None
) -> Resolution:
    """Find the DBOSDatabase of every resource.

    `lingering` says, by UID, where resources worked before: one that is being
    deleted stays with its database even when that is gone already.
    """
    queues: dict[ObjectKey, list[Resource[QueueSpec]]] = defaultdict(list)
    schedules: dict[ObjectKey, list[Resource[ScheduleSpec]]] = defaultdict(list)
    strays = list(_unreadable(snapshot))
    before = lingering or {}
    for queue in snapshot.queues.values():
        if queue.spec is not None:
            found = _place(queue, queue.spec.database, snapshot, default, before)
            queues[found].append(queue) if isinstance(found, ObjectKey) else strays.append(Stray(queue, found, queue))
    for schedule in snapshot.schedules.values():
        if schedule.spec is not None:
            found = _place(schedule, schedule.spec.database, snapshot, default, before)
            schedules[found].append(schedule) if isinstance(found, ObjectKey) else strays.append(
                Stray(schedule, found, schedule)
            )
    keys = {key for key, database in snapshot.databases.items() if database.spec is not None} | {*queues, *schedules}
    return Resolution(
        views={key: DatabaseView(queues=tuple(queues[key]), schedules=tuple(schedules[key])) for key in keys},
        strays=tuple(strays),
        invalid=(
            *(queue for queue in snapshot.queues.values() if queue.spec is None),
            *(schedule for schedule in snapshot.schedules.values() if schedule.spec is None),
        ),
    )


@dataclass(frozen=True, slots=True)
class Reached:
    """The database that a connection arrived at, whatever the URL called it, and who asked for it."""

    identity: str
    precedence: tuple[datetime, str]


def find_twins(reached: Mapping[ObjectKey, Reached]) -> dict[ObjectKey, ObjectKey]:
    """DBOSDatabases that reach what an older one works already, each with the older one."""
    oldest: dict[str, ObjectKey] = {}
    twins: dict[ObjectKey, ObjectKey] = {}
    for key, place in sorted(reached.items(), key=lambda entry: entry[1].precedence):
        first = oldest.setdefault(place.identity, key)
        if first != key:
            twins[key] = first
    return twins


def _place(
    child: Child,
    reference: ObjectKey | None,
    snapshot: DesiredSnapshot,
    default: ObjectKey | None,
    before: Mapping[str, ObjectKey],
) -> ObjectKey | Problem:
    found = _look_up(child, reference, snapshot, default)
    if isinstance(found, Problem) and child.identity.deleting_since is not None:
        return before.get(child.identity.uid, found)
    return found


def _look_up(
    child: Child, reference: ObjectKey | None, snapshot: DesiredSnapshot, default: ObjectKey | None
) -> ObjectKey | Problem:
    namespace = child.identity.key.namespace
    if reference is None:
        for candidate in (ObjectKey(namespace, DEFAULT_NAME), default):
            if candidate is not None and candidate in snapshot.databases:
                return _usable(candidate, snapshot)
        also = f", nor does the operator's default {default}" if default is not None else ""
        message = f"DBOSDatabase {namespace}/{DEFAULT_NAME} does not exist{also}; create it or name one in databaseRef"
        return Problem(Reason.DATABASE_NOT_FOUND, message)
    if reference.namespace != namespace and reference != default:
        message = f"DBOSDatabase {reference} is in another namespace than this resource ({namespace})"
        return Problem(Reason.DATABASE_NOT_ALLOWED, message)
    if reference not in snapshot.databases:
        return Problem(Reason.DATABASE_NOT_FOUND, f"DBOSDatabase {reference} does not exist")
    return _usable(reference, snapshot)


def _usable(key: ObjectKey, snapshot: DesiredSnapshot) -> ObjectKey | Problem:
    database = snapshot.databases[key]
    if database.spec is None:
        return Problem(Reason.DATABASE_NOT_READY, f"DBOSDatabase {key} is not ready: its spec cannot be used")
    return key


def _unreadable(snapshot: DesiredSnapshot) -> Iterable[Stray]:
    for database in snapshot.databases.values():
        if database.problem is not None:
            yield Stray(database, database.problem)
    for queue in snapshot.queues.values():
        if queue.problem is not None:
            yield Stray(queue, queue.problem, queue)
    for schedule in snapshot.schedules.values():
        if schedule.problem is not None:
            yield Stray(schedule, schedule.problem, schedule)
