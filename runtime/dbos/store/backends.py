"""Opens the database that the settings name; what opens the other kind is not even imported."""

from __future__ import annotations

from dbos.store.backend import Backend, DatabaseSettings


def open_backend(settings: DatabaseSettings) -> Backend:
    """The database that the settings name.

    Raises ValueError, without the password, for what is neither PostgreSQL nor SQLite.
    """
    if _is_sqlite(settings):
        from dbos.store.sqlite_backend import SqliteBackend  # noqa: PLC0415 -- see above

        return SqliteBackend(settings)
    from dbos.store.postgres_backend import PostgresBackend  # noqa: PLC0415 -- see above

    return PostgresBackend(settings)


def _is_sqlite(settings: DatabaseSettings) -> bool:
    if settings.engine is not None:
        return settings.engine.url.get_backend_name() == "sqlite"
    scheme, separator, _ = (settings.url or "").partition("://")
    if not separator:
        raise ValueError(
            "expected a database URL such as postgresql://user:password@host:5432/name or sqlite:///file.sqlite"
        )
    return scheme.partition("+")[0] == "sqlite"
