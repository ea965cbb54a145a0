"""Application versions."""

from __future__ import annotations

from dbos._error import DBOSInitializationError
from dbos.store.operation import Operation, Statement


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


def load_latest_version(application: str) -> Operation[str | None]:
    """The version that unversioned workflows go to; None while none is registered."""
    rows = yield Statement("load_latest_version", {"application": application})
    return rows[0]["version_name"] if rows else None
