"""Databases of a run's own, on the server of E2E_DATABASE_URL, made and dropped from inside the cluster."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.engine import make_url

from journey.client import ClientError, PodClient
from journey.settings import SettingsError

SUFFIXES = ("", "_default")


def url_of(server: str, run: str, suffix: str = "") -> str:
    """The URL of a run's database, with user, password and options of the server's URL."""
    return make_url(server).set(database=f"dbos_e2e_{run}{suffix}").render_as_string(hide_password=False)


def create_databases(client: PodClient, server: str, urls: Collection[str]) -> None:
    """Make databases, as the role of the server's URL. SettingsError tells what that URL lacks."""
    for url in urls:
        try:
            client.execute(f'CREATE DATABASE "{make_url(url).database}"', url=server)
        except ClientError as error:
            raise SettingsError(
                f"E2E_DATABASE_URL: expected a database that pods reach, and a role that may create others: {error}"
            ) from error


def drop_databases(client: PodClient, server: str, runs: Collection[str]) -> None:
    """Drop the databases of runs, as far as they are there, with whoever is still connected."""
    for run in sorted(runs):
        for suffix in SUFFIXES:
            name = make_url(url_of(server, run, suffix)).database
            client.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', url=server)
