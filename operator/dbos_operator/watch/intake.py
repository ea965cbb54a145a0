"""From manifests to the desired state: the newest version of every object, whichever way it came.

```
   watch (kopf)  --take, forget-->  Intake  --put, drop-->  DesiredState
   listings      --Listing.apply->
```
A watch tells every change in order and may lose a deletion when it starts over.
A listing is complete and is already old when it arrives. Together they are exact:
what the watch told while a listing was under way is never undone by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dbos_operator.loop.desired import AnyResource, DesiredState
from dbos_operator.resources.database import parse_database
from dbos_operator.resources.identity import Kind, ObjectKey, TargetRef
from dbos_operator.resources.queue import parse_queue
from dbos_operator.resources.schedule import parse_schedule
from dbos_operator.resources.workload import parse_workload
from dbos_operator.watch.kinds import WatchedKind, own_kind

_PARSERS: Mapping[Kind, Callable[[Mapping[str, Any]], AnyResource]] = {
    Kind.DATABASE: parse_database,
    Kind.QUEUE: parse_queue,
    Kind.SCHEDULE: parse_schedule,
}


@dataclass(frozen=True, slots=True)
class Version:
    """Which object, and which state of it, a manifest shows."""

    uid: str
    resource_version: str

    def is_older_than(self, other: Version) -> bool:
        """Whether `other` is a later state of the same object. Only numbers can be compared."""
        if self.uid != other.uid or not (self.resource_version.isdigit() and other.resource_version.isdigit()):
            return False
        return int(self.resource_version) < int(other.resource_version)


@dataclass(slots=True)
class _Shelf:
    """What is known of one kind, and what the watch told during a listing of it."""

    versions: dict[ObjectKey, Version] = field(default_factory=dict)
    told: set[ObjectKey] | None = None


class Listing:
    """A listing under way. `apply` brings in its result; leaving the block without it changes nothing."""

    def __init__(self, intake: Intake, kind: WatchedKind, told: set[ObjectKey]) -> None:
        self.kind = kind
        self._intake = intake
        self._told = told
        self._differed: frozenset[ObjectKey] = frozenset()

    def apply(self, manifests: Iterable[Mapping[str, Any]]) -> None:
        """Make the desired state what the listing says."""
        self._differed = self._intake.replace(self.kind, manifests, keep=self._told)

    @property
    def untold(self) -> frozenset[ObjectKey]:
        """What the listing had to correct, and the watch has not told since the listing began."""
        return self._differed - self._told


class Intake:
    """Feeds one desired state. Everything runs on one event loop."""

    def __init__(self, desired: DesiredState) -> None:
        self._desired = desired
        self._shelves: dict[WatchedKind, _Shelf] = {}

    def take(self, kind: WatchedKind, manifest: Mapping[str, Any]) -> None:
        """Take in an object as the watch shows it."""
        shelf = self._shelf(kind)
        key = key_of(manifest)
        if shelf.told is not None:
            shelf.told.add(key)
        self._put(kind, key, manifest)

    def forget(self, kind: WatchedKind, manifest: Mapping[str, Any]) -> None:
        """Drop an object that the watch says is gone."""
        shelf = self._shelf(kind)
        key = key_of(manifest)
        if shelf.told is not None:
            shelf.told.add(key)
        known = shelf.versions.get(key)
        if known is not None and known.uid == manifest["metadata"]["uid"]:
            self._drop(kind, key)

    @contextmanager
    def listing(self, kind: WatchedKind) -> Iterator[Listing]:
        """Begin a listing: from here on the watch has the last word on what it tells."""
        shelf = self._shelf(kind)
        told: set[ObjectKey] = set()
        shelf.told = told
        try:
            yield Listing(self, kind, told)
        finally:
            shelf.told = None

    def replace(
        self, kind: WatchedKind, manifests: Iterable[Mapping[str, Any]], *, keep: set[ObjectKey]
    ) -> frozenset[ObjectKey]:
        """Take in a complete list and drop what it lacks, except the keys in `keep`; return what that changed."""
        listed = {key_of(manifest): manifest for manifest in manifests}
        changed = {key for key, manifest in listed.items() if key not in keep and self._put(kind, key, manifest)}
        gone = set(self._shelf(kind).versions) - listed.keys() - keep
        for key in gone:
            self._drop(kind, key)
        return frozenset(changed | gone)

    def _put(self, kind: WatchedKind, key: ObjectKey, manifest: Mapping[str, Any]) -> bool:
        metadata = manifest["metadata"]
        version = Version(metadata["uid"], metadata["resourceVersion"])
        versions = self._shelf(kind).versions
        known = versions.get(key)
        if known is not None and (version == known or version.is_older_than(known)):
            return False
        versions[key] = version
        own = own_kind(kind)
        if own is None:
            self._desired.put_workload(parse_workload({**manifest, "kind": kind.kind}))
        else:
            self._desired.put(_PARSERS[own](manifest))
        return True

    def _drop(self, kind: WatchedKind, key: ObjectKey) -> None:
        self._shelf(kind).versions.pop(key, None)
        own = own_kind(kind)
        if own is None:
            self._desired.drop_workload(TargetRef(key.namespace, kind.kind, key.name))
        else:
            self._desired.drop(own, key)

    def _shelf(self, kind: WatchedKind) -> _Shelf:
        return self._shelves.setdefault(kind, _Shelf())


def key_of(manifest: Mapping[str, Any]) -> ObjectKey:
    """Namespace and name of a manifest."""
    metadata = manifest["metadata"]
    return ObjectKey(metadata["namespace"], metadata["name"])
