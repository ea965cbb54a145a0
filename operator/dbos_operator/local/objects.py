"""Our own kinds as an API server keeps them: generations, finalizers, status, and a farewell in two steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dbos_operator.errors import NotFoundError
from dbos_operator.local.manifests import PARSERS, Manifest, Manifests, ObjectId, complete
from dbos_operator.local.state import stable_uid
from dbos_operator.loop.desired import DesiredState
from dbos_operator.resources.identity import Identity, Kind

NEW_STATUS: Mapping[str, Any] = {"observedGeneration": -1}


@dataclass(slots=True, kw_only=True)
class StoredObject:
    """One object between its creation and the end of its last finalizer."""

    manifest: Manifest
    created_at: datetime
    resource_version: int
    generation: int = 1
    deleting_since: datetime | None = None
    finalizers: tuple[str, ...] = ()
    status: Mapping[str, Any] = field(default_factory=lambda: NEW_STATUS)

    def as_served(self) -> dict[str, Any]:
        """The object as the API server would hand it out."""
        deleting = {} if self.deleting_since is None else {"deletionTimestamp": self.deleting_since.isoformat()}
        return {
            **complete(
                self.manifest,
                uid=stable_uid(self.manifest.id),
                generation=self.generation,
                resourceVersion=str(self.resource_version),
                creationTimestamp=self.created_at.isoformat(),
                finalizers=list(self.finalizers),
                **deleting,
            ),
            "status": self.status,
        }


class ObjectStore:
    """Holds every DBOSDatabase, DBOSQueue and DBOSSchedule, and keeps the desired state equal to them."""

    def __init__(self, desired: DesiredState, *, now: Callable[[], datetime]) -> None:
        self._desired = desired
        self._now = now
        self._objects: dict[ObjectId, StoredObject] = {}
        self._wanted: Manifests = Manifests(objects={})
        self._versions = itertools.count(1)

    def apply(self, manifests: Manifests) -> list[str]:
        """Create, change and delete until the objects are those of the manifests; one line for each change."""
        self._wanted = manifests
        now = self._now()
        lines = []
        for manifest in manifests.of_kinds(*PARSERS):
            stored = self._objects.get(manifest.id)
            if stored is None:
                self._create(manifest, now)
                lines.append(f"{manifest.id} created")
            elif stored.deleting_since is None and _differs(stored.manifest, manifest):
                stored.generation += 1
                stored.manifest = manifest
                self._changed(stored)
                lines.append(f"{manifest.id} configured")
            else:
                stored.manifest = manifest
        for found in [found for found in self._objects if found not in manifests.objects]:
            if self._objects[found].deleting_since is None:
                self._delete(found, now)
                lines.append(f"{found} deleted")
        return lines

    def patch_status(
        self, identity: Identity, status: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Merge into the status; return it as it was and as it is. Raises NotFoundError."""
        stored = self._find(identity)
        before = stored.status
        after = merge(before, status)
        if after != before:
            stored.status = after
            self._changed(stored)
        return before, after

    def set_finalizers(self, identity: Identity, finalizers: Sequence[str]) -> None:
        """Replace the finalizers; without any, an object that is being deleted is gone. Raises NotFoundError."""
        stored = self._find(identity)
        stored.finalizers = tuple(finalizers)
        if stored.deleting_since is not None and not stored.finalizers:
            self._remove(stored.manifest.id)
        else:
            self._changed(stored)

    @property
    def deleting(self) -> bool:
        """Whether an object still waits for its finalizers."""
        return any(stored.deleting_since is not None for stored in self._objects.values())

    def _create(self, manifest: Manifest, now: datetime) -> None:
        stored = StoredObject(manifest=manifest, created_at=now, resource_version=0)
        self._objects[manifest.id] = stored
        self._changed(stored)

    def _delete(self, found: ObjectId, now: datetime) -> None:
        stored = self._objects[found]
        if not stored.finalizers:
            self._remove(found)
            return
        stored.deleting_since = now
        stored.generation += 1
        self._changed(stored)

    def _remove(self, found: ObjectId) -> None:
        del self._objects[found]
        self._desired.drop(Kind(found.kind), found.key)
        wanted = self._wanted.objects.get(found)
        if wanted is not None:
            # Saved again while the old one was on its way out.
            self._create(wanted, self._now())

    def _changed(self, stored: StoredObject) -> None:
        stored.resource_version = next(self._versions)
        self._desired.put(PARSERS[stored.manifest.id.kind](stored.as_served()))

    def _find(self, identity: Identity) -> StoredObject:
        stored = self._objects.get(ObjectId(identity.kind.value, identity.key))
        if stored is None:
            raise NotFoundError(f"{identity.kind} {identity.key} is gone")
        return stored


def merge(before: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch applied: mappings merge, null removes, anything else replaces."""
    after = dict(before)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, Mapping):
            old = after.get(name)
            after[name] = merge(old if isinstance(old, Mapping) else {}, value)
        else:
            after[name] = value
    return after


def _differs(before: Manifest, after: Manifest) -> bool:
    return before.body.get("spec") != after.body.get("spec")
