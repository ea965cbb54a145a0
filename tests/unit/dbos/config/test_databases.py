"""Which databases a configuration means."""

from __future__ import annotations

import warnings

import pytest

from dbos.config.databases import choose_databases, system_url_beside
from dbos.config.sources import load_settings


@pytest.mark.parametrize(
    ("application", "system"),
    [
        ("postgresql://ada:secret@db:5432/shop", "postgresql://ada:secret@db:5432/shop_dbos_sys"),
        ("postgresql+psycopg2://db/shop?sslmode=require", "postgresql://db/shop_dbos_sys?sslmode=require"),
        ("postgresql://db", "postgresql://db"),
        ("sqlite:///shop.sqlite", "sqlite:///shop.sqlite"),
        ("no url", "no url"),
    ],
)
def test_the_system_database_lies_beside_the_application_s(application: str, system: str) -> None:
    assert system_url_beside(application) == system


@pytest.mark.parametrize("key", ["application_database_url", "database_url"])
def test_an_application_s_database_alone_is_deprecated(key: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{key} without system_database_url is deprecated"):
        settings = load_settings({"name": "shop", key: "postgresql://db/shop"}, {})
    assert settings.database.url == "postgresql://db/shop_dbos_sys"
    assert settings.application_database_url == "postgresql://db/shop"


def test_both_databases_are_taken_as_they_are_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        urls = choose_databases(system="sqlite:///a", application="postgresql://db/b", database="sqlite:///c")
    assert (urls.system, urls.application) == ("sqlite:///a", "postgresql://db/b")


def test_an_engine_names_the_system_database() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        urls = choose_databases(system=None, application="postgresql://db/b", database=None, has_engine=True)
    assert urls.system is None


def test_without_any_the_file_of_the_application_serves_for_both() -> None:
    settings = load_settings({"name": "note-taker", "database_url": None}, {})
    assert settings.application_database_url is None
    assert settings.system_database_url == "sqlite:///note_taker.sqlite"
