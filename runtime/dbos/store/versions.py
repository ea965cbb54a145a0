"""Application versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dbos._error import DBOSException, DBOSInitializationError
from dbos.store.operation import Operation, Row, Statement

UNBOUNDED = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A row of `application_versions`."""

    version_id: str
    name: str
    timestamp_ms: int
    created_at_ms: int
    application_name: str | None


def register_version(version: str, application: str, *, version_id: str) -> Operation[None]:
    """Make a version known under the application's name; a version that is known keeps its time.

    Raises DBOSInitializationError when another application owns the name.
    """
    names = {"version": version, "application": application}
    if (yield Statement("claim_version", names)):
        return
    if (yield Statement("insert_version", {**names, "version_id": version_id})):
        return
    rows = yield Statement("load_version_owner", names)
    if rows and not any(row["application_name"] in {application, None} for row in rows):
        raise DBOSInitializationError(
            f"application version {version!r} belongs to application {rows[0]['application_name']!r}; "
            f"give {application!r} a version name of its own (application_version or DBOS__APPVERSION)"
        )


def load_latest_version(application: str | None) -> Operation[str | None]:
    """The version that unversioned workflows go to; None while none is registered."""
    latest = yield from load_latest(application)
    return None if latest is None else latest.name


def load_latest(application: str | None) -> Operation[Version | None]:
    """The latest version of an application, versions of nobody included; of all applications for None."""
    rows = yield Statement("load_latest_version", {"application": application})
    return _version(rows[0]) if rows else None


def load_versions(application: str | None) -> Operation[list[Version]]:
    """The versions of an application, those of nobody included, the latest first."""
    rows = yield Statement("load_versions", {"application": application})
    return [_version(row) for row in rows]


def promote_version(version: str, application: str | None, *, now_ms: int) -> Operation[None]:
    """Make a version the latest; a name that nobody registered changes nothing.

    Raises DBOSException when another application owns the name.
    """
    parameters = {"version": version, "application": application, "now_ms": now_ms}
    if (yield Statement("promote_version", parameters)):
        return
    rows = yield Statement("load_version_owner", {"version": version})
    if rows:
        raise DBOSException(
            f"Application version {version!r} belongs to application {rows[0]['application_name']!r}, "
            f"not to {application!r}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """An application whose rows get another owner; `adopt` includes the rows of nobody."""

    old_name: str | None
    new_name: str
    adopt: bool
    batch: int | None

    @property
    def parameters(self) -> dict[str, Any]:
        """As the statements take them."""
        batch = UNBOUNDED if self.batch is None else self.batch
        return {"old_name": self.old_name, "new_name": self.new_name, "adopt": self.adopt, "batch": batch}


def rename_declared(renaming: Renaming) -> Operation[dict[str, int]]:
    """Give queues, schedules and versions to the new owner; how many of each. For one transaction."""
    changed = {}
    for kind in ("queues", "schedules", "versions"):
        changed[kind] = len((yield Statement(f"rename_{kind}", renaming.parameters)))
    return changed


def rename_batch(kind: str, renaming: Renaming) -> Operation[int]:
    """Give some `workflows` or `steps` to the new owner; how many. 0 when none is left."""
    return len((yield Statement(f"rename_{kind}", renaming.parameters)))


def _version(row: Row) -> Version:
    return Version(
        version_id=row["version_id"],
        name=row["version_name"],
        timestamp_ms=row["version_timestamp"],
        created_at_ms=row["created_at"],
        application_name=row["application_name"],
    )
