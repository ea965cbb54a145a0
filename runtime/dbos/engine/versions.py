"""The plans behind the calls about application versions, and about the name of an application."""

from __future__ import annotations

import re
from typing import TypedDict

from dbos._error import DBOSException
from dbos.core.ids import check_text
from dbos.engine.plan import Plan, Read, Transact
from dbos.engine.services import Services, epoch_ms
from dbos.store.versions import (
    Renaming,
    Version,
    load_latest,
    load_versions,
    promote_version,
    rename_batch,
    rename_declared,
)

_APPLICATION_NAME = re.compile(r"[a-z0-9-_]{3,256}")


class VersionInfo(TypedDict):
    """A version of an application; times are epoch milliseconds."""

    version_id: str
    """A random ID of the row."""
    version_name: str
    """The version, as `application_version` says it."""
    version_timestamp: int
    """When it was registered, or made the latest."""
    timestamp: int
    """The same."""
    created_at: int
    """When it was first launched."""
    application_name: str | None
    """The application that owns it."""


class ApplicationRowCounts(TypedDict):
    """How many rows of each kind got another owner."""

    queues: int
    schedules: int
    versions: int
    workflows: int
    steps: int


def list_versions(services: Services) -> Plan[list[VersionInfo]]:
    """The versions of this application and of nobody, the latest first."""
    versions: list[Version] = yield Read(lambda: load_versions(_own(services)))
    return [_told(version) for version in versions]


def latest_version(services: Services) -> Plan[VersionInfo]:
    """The latest of them. Raises DBOSException while there is none."""
    latest: Version | None = yield Read(lambda: load_latest(_own(services)))
    if latest is None:
        raise DBOSException("No application versions found: an application registers its version at launch")
    return _told(latest)


def set_latest(services: Services, version_name: str, application_name: str | None) -> Plan[None]:
    """Make a version the latest: unversioned workflows go to it from now on. An unknown name changes nothing."""
    check_text(version_name, subject="version_name")
    application = _own(services) if application_name is None else application_name
    yield Transact(lambda: promote_version(version_name, application, now_ms=epoch_ms()))


def rename_application(renaming: Renaming) -> Plan[ApplicationRowCounts]:
    """Give every row of an application to another one, in batches; how many of each kind.

    Broken off, it has renamed some: called again, it goes on.
    """
    _check(renaming)
    declared: dict[str, int] = yield Transact(lambda: rename_declared(renaming))
    counts = ApplicationRowCounts(
        queues=declared["queues"], schedules=declared["schedules"], versions=declared["versions"], workflows=0, steps=0
    )
    while renamed := (yield Read(lambda: rename_batch("workflows", renaming))):
        counts["workflows"] += renamed
    while renamed := (yield Read(lambda: rename_batch("steps", renaming))):
        counts["steps"] += renamed
    return counts


def _check(renaming: Renaming) -> None:
    batch = renaming.batch
    if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
        raise ValueError(f"batch_size: expected at least 1, or None for all at once, got {batch!r}")
    if renaming.old_name is None and not renaming.adopt:
        raise DBOSException("Nothing to rename: name the application, adopt the rows that nobody owns, or both")
    if renaming.old_name is not None:
        check_text(renaming.old_name, subject="old_name")
    name = renaming.new_name
    if not isinstance(name, str) or _APPLICATION_NAME.fullmatch(name) is None:
        raise DBOSException(f"Invalid application name {name!r}: expected 3 to 256 characters of a-z, 0-9, - and _")
    if renaming.old_name == renaming.new_name:
        raise DBOSException(f"Application {renaming.old_name!r} has that name already")


def _own(services: Services) -> str | None:
    return services.claimant.application or None


def _told(version: Version) -> VersionInfo:
    return VersionInfo(
        version_id=version.version_id,
        version_name=version.name,
        version_timestamp=version.timestamp_ms,
        timestamp=version.timestamp_ms,
        created_at=version.created_at_ms,
        application_name=version.application_name,
    )
