"""Named statements, as they are read from files and made ready for the driver."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbos.store.catalog import Catalog, quote_identifier

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Makes an importable package of .sql files; its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str = "statements", **files: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        for stem, text in files.items():
            (folder / f"{stem}.sql").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return make


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("dbos", '"dbos"'), ("My-Schema", '"My-Schema"'), ('a"b', '"a""b"'), ('"', '""""'), ("a b.c", '"a b.c"')],
)
def test_an_identifier_means_itself_whatever_it_holds(name: str, quoted: str) -> None:
    assert quote_identifier(name) == quoted


def test_a_statement_is_found_by_name_without_its_comments_and_semicolon(package: Package) -> None:
    name = package(
        queues="-- load_queue\n-- Why it is so.\nSELECT 1\n  -- inside\n  FROM q;\n\n-- list_queues\nSELECT 2;\n"
    )
    catalog = Catalog.load(name, schema="dbos")
    assert sorted(catalog) == ["list_queues", "load_queue"]
    assert catalog["load_queue"].split() == ["SELECT", "1", "FROM", "q"]
    assert catalog["list_queues"] == "SELECT 2"
    assert len(catalog) == 2


def test_parameters_become_those_of_the_driver_and_casts_stay(package: Package) -> None:
    name = package(one="-- one\nSELECT :queue_name::text, x::bigint, CAST(:n AS int), ':' , a[1:2] WHERE b=:b")
    statement = Catalog.load(name, schema="dbos")["one"]
    assert statement == "SELECT %(queue_name)s::text, x::bigint, CAST(%(n)s AS int), ':' , a[1:2] WHERE b=%(b)s"


def test_a_percent_sign_means_itself_in_the_text_and_in_the_schema(package: Package) -> None:
    name = package(one="-- one\nSELECT 7 % 2, format('%I', 'x') FROM {schema}.t WHERE a LIKE 'b%'")
    statement = Catalog.load(name, schema="100%")["one"]
    assert statement == """SELECT 7 %% 2, format('%%I', 'x') FROM "100%%".t WHERE a LIKE 'b%%'"""


def test_a_statement_includes_the_text_of_another(package: Package) -> None:
    name = package(
        base="-- columns_of_queue\n-- The usual ones.\nname, limit_of(:limit)",
        use="-- list_queues\nSELECT {include columns_of_queue} FROM {schema}.queues",
    )
    assert Catalog.load(name, schema="s")["list_queues"] == 'SELECT name, limit_of(%(limit)s) FROM "s".queues'


def test_an_included_statement_may_include_others(package: Package) -> None:
    name = package(a="-- outer\nSELECT {include middle}", b="-- middle\n{include inner}, 2", c="-- inner\n1")
    assert Catalog.load(name, schema="s")["outer"] == "SELECT 1, 2"


def test_a_statement_that_includes_itself_is_refused(package: Package) -> None:
    name = package(a="-- first\nSELECT {include second}", b="-- second\n{include first}")
    with pytest.raises(ValueError, match="includes itself by way of first -> second"):
        Catalog.load(name, schema="s")


def test_statements_of_several_packages_are_one_catalogue(package: Package) -> None:
    first, second = package("first_part", a="-- a\nSELECT 1"), package("second_part", b="-- b\nSELECT 2")
    assert dict(Catalog.load(first, second, schema="dbos")) == {"a": "SELECT 1", "b": "SELECT 2"}


def test_a_name_that_is_used_twice_is_refused(package: Package) -> None:
    name = package(a="-- same\nSELECT 1", b="-- same\nSELECT 2")
    with pytest.raises(ValueError, match="'same' is defined twice"):
        Catalog.load(name, schema="dbos")


def test_other_files_of_the_package_are_left_alone(package: Package, tmp_path: Path) -> None:
    name = package(a="-- a\nSELECT 1")
    (tmp_path / name / "notes.txt").write_text("-- b\nSELECT 2", encoding="utf-8")
    assert list(Catalog.load(name, schema="dbos")) == ["a"]
