"""The SQL of a new system database, for administrators who run it themselves."""

from __future__ import annotations

from importlib.resources import files

from dbos.store.dialects.sqlite_text import CLOCK
from dbos.store.migrations.requirements import SCHEMA_VERSION
from dbos.store.migrations.runner import read_scripts
from dbos.store.migrations.runtime_tables import runtime_script
from dbos.store.urls import read_url


def creation_script(url: str, schema: str, *, use_listen_notify: bool = True) -> str:
    """Everything that creates the system tables in the words of the database that a URL names, in one transaction."""
    if read_url(url).get_backend_name() == "sqlite":
        files_of_sql = (file for file in files("dbos.store.migrations.sqlite").iterdir() if file.name.endswith(".sql"))
        texts = [file.read_text(encoding="utf-8") for file in sorted(files_of_sql, key=lambda file: file.name)]
        tables = "\n".join(texts).replace("{clock}", f"({CLOCK})")
        version = f"INSERT INTO dbos_migrations (version) VALUES ({SCHEMA_VERSION});"  # noqa: S608 -- a number of ours
        return "\n".join(["BEGIN IMMEDIATE;", tables, version, runtime_script(sqlite=True), "COMMIT;"])
    place = '"' + schema.replace('"', '""') + '"'
    scripts = read_scripts(schema, use_listen_notify=use_listen_notify)
    create = f"CREATE SCHEMA IF NOT EXISTS {place};"
    # Another system schema of the database may have these already: then this transaction alone fails, harmlessly.
    own = ["BEGIN;", runtime_script(sqlite=False), "COMMIT;"]
    return "\n".join(["BEGIN;", create, *scripts, "COMMIT;", *own])


def shown_url(url: str) -> str:
    """A URL without its password. Raises ValueError for what is none."""
    return read_url(url).render_as_string(hide_password=True)
