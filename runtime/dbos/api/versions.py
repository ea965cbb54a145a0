"""Application versions: list, read the latest, promote. And the renaming of an application."""

from __future__ import annotations

from dbos.api.runtime import engine
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.services import Services
from dbos.engine.versions import (
    ApplicationRowCounts,
    VersionInfo,
    latest_version,
    list_versions,
    rename_application,
    set_latest,
)
from dbos.store.versions import Renaming


class Versions:
    """The part of DBOS that is about application versions."""

    @classmethod
    def list_application_versions(cls) -> list[VersionInfo]:
        """The versions of this application that were ever launched, the latest first."""
        services = engine().services
        return run_blocking(list_versions(services), services)

    @classmethod
    async def list_application_versions_async(cls) -> list[VersionInfo]:
        """As list_application_versions."""
        services = engine().services
        return await run_on_loop(list_versions(services), services)

    @classmethod
    def get_latest_application_version(cls) -> VersionInfo:
        """The version that workflows without one go to. Raises DBOSException while there is none."""
        services = engine().services
        return run_blocking(latest_version(services), services)

    @classmethod
    async def get_latest_application_version_async(cls) -> VersionInfo:
        """As get_latest_application_version."""
        services = engine().services
        return await run_on_loop(latest_version(services), services)

    @classmethod
    def set_latest_application_version(cls, version_name: str, *, application_name: str | None = None) -> None:
        """Make a version the latest, to roll forward or back; an unknown one changes nothing.

        Raises DBOSException for a version of another application.
        """
        services = engine().services
        run_blocking(set_latest(services, version_name, application_name), services)

    @classmethod
    async def set_latest_application_version_async(
        cls, version_name: str, *, application_name: str | None = None
    ) -> None:
        """As set_latest_application_version."""
        services = engine().services
        await run_on_loop(set_latest(services, version_name, application_name), services)


class ClientVersions:
    """The part of DBOSClient that is about application versions, and about the name of an application."""

    _services: Services

    def list_application_versions(self) -> list[VersionInfo]:
        """The versions of the client's application (of all, if it has none), the latest first."""
        return run_blocking(list_versions(self._services), self._services)

    async def list_application_versions_async(self) -> list[VersionInfo]:
        """As list_application_versions."""
        return await run_on_loop(list_versions(self._services), self._services)

    def get_latest_application_version(self) -> VersionInfo:
        """The version that workflows without one go to. Raises DBOSException while there is none."""
        return run_blocking(latest_version(self._services), self._services)

    async def get_latest_application_version_async(self) -> VersionInfo:
        """As get_latest_application_version."""
        return await run_on_loop(latest_version(self._services), self._services)

    def set_latest_application_version(self, version_name: str, *, application_name: str | None = None) -> None:
        """Make a version the latest, to roll forward or back; an unknown one changes nothing.

        Raises DBOSException for a version of another application.
        """
        run_blocking(set_latest(self._services, version_name, application_name), self._services)

    async def set_latest_application_version_async(
        self, version_name: str, *, application_name: str | None = None
    ) -> None:
        """As set_latest_application_version."""
        await run_on_loop(set_latest(self._services, version_name, application_name), self._services)

    def rename_application(
        self,
        old_name: str | None,
        new_name: str,
        *,
        batch_size: int | None = 10000,
        adopt_unclaimed_rows: bool = False,
    ) -> ApplicationRowCounts:
        """Give all rows of an application to another name; how many of each kind. Stop its processes before.

        With `adopt_unclaimed_rows` the rows that nobody owns go with them (those alone with `old_name=None`).
        At most `batch_size` rows a transaction. Raises DBOSException for names that cannot be.
        """
        renaming = Renaming(old_name=old_name, new_name=new_name, adopt=adopt_unclaimed_rows, batch=batch_size)
        return run_blocking(rename_application(renaming), self._services)

    async def rename_application_async(
        self,
        old_name: str | None,
        new_name: str,
        *,
        batch_size: int | None = 10000,
        adopt_unclaimed_rows: bool = False,
    ) -> ApplicationRowCounts:
        """As rename_application."""
        renaming = Renaming(old_name=old_name, new_name=new_name, adopt=adopt_unclaimed_rows, batch=batch_size)
        return await run_on_loop(rename_application(renaming), self._services)
