"""Who an object is: kind, key, UID, generation. The same for every kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

GROUP = "dbos.dev"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"
FINALIZER = "dbos.dev/row"

Uid = NewType("Uid", str)
ClusterId = NewType("ClusterId", str)


class Kind(StrEnum):
    """The kinds that the operator owns."""

    DATABASE = "DBOSDatabase"
    QUEUE = "DBOSQueue"
    SCHEDULE = "DBOSSchedule"

    @property
    def plural(self) -> str:
        """The name in URLs and on the command line: `dbosqueues`."""
        return f"{self.value.lower()}s"


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Namespace and name of an object; `str()` gives `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the API server says about an object besides its spec and status."""

    kind: Kind
    key: ObjectKey
    uid: Uid
    generation: int
    resource_version: str
    created_at: datetime
    deleting_since: datetime | None = None
    finalizers: tuple[str, ...] = ()

    @property
    def precedence(self) -> tuple[datetime, str]:
        """Sorts the older first: of two resources for one row the first wins."""
        return (self.created_at, self.uid)


@dataclass(frozen=True, slots=True, order=True)
class TargetRef:
    """A workload that can be scaled: a Deployment or StatefulSet of one namespace."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.namespace}/{self.name}"
