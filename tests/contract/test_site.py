"""The documentation site: it builds strictly, its reference is complete, and it fetches nothing."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType
from typing import Any

import click
import pytest

import dbos
from dbos import DBOS, DBOSClient, DBOSConfig, Queue, testing
from dbos.cli.main import main as dbos_command
from dbos_operator.cli.main import dbos_operator

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(400)  # the build computes for a quarter of a minute, which a busy machine stretches


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The site, built as `make docs` does, and what the builder said."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stderr


@pytest.fixture(scope="module")
def site(build: tuple[Path, str]) -> Path:
    return build[0]


def test_the_site_builds_strictly(build: tuple[Path, str]) -> None:
    warnings = [line for line in build[1].splitlines() if line.startswith(("WARNING", "ERROR", "  -"))]

    assert warnings == []


@pytest.fixture(scope="module")
def reference(site: Path) -> Counter[str]:
    """How often the reference has a heading for each name, by the path of its definition."""
    pages = (page.read_text(encoding="utf-8") for page in sorted((site / "reference").glob("*.html")))
    return Counter(path for page in pages for path in re.findall(r'<h\d id="([^"]+)" class="doc doc-heading"', page))


def test_every_public_name_is_in_the_reference_once(reference: Counter[str]) -> None:
    wanted = [home(name) for name in dbos.__all__ if name != "error"]

    assert {path: reference[path] for path in wanted if reference[path] != 1} == {}


def test_every_name_for_tests_is_in_the_reference_once(reference: Counter[str]) -> None:
    wanted = [f"{value.__module__}.{name}" for name in testing.__all__ for value in [getattr(testing, name)]]

    assert {path: reference[path] for path in wanted if reference[path] != 1} == {}


def test_every_error_is_in_the_reference_once(reference: Counter[str]) -> None:
    wanted = [f"{value.__module__}.{name}" for name in dbos.error.__all__ for value in [getattr(dbos.error, name)]]

    assert {path: reference[path] for path in wanted if reference[path] != 1} == {}


def public_classes() -> Iterator[type]:
    """The public classes that are called, and whose fields are no table of their own."""
    for name in dbos.__all__:
        value = getattr(dbos, name)
        if inspect.isclass(value) and not issubclass(value, dict | Enum | BaseException):
            yield value


@pytest.mark.parametrize("owner", list(public_classes()), ids=lambda owner: owner.__name__)
def test_every_public_method_is_in_the_reference_once(owner: type, reference: Counter[str]) -> None:
    wanted = dict(public_members(owner))

    missing = {name: reference[path] for name, path in wanted.items() if reference[path] != 1}
    assert missing == {}


@pytest.mark.parametrize("owner", list(public_classes()), ids=lambda owner: owner.__name__)
def test_every_public_class_and_method_has_a_docstring(owner: type) -> None:
    undocumented = [name for name, _ in public_members(owner) if not inspect.getdoc(static(owner, name))]

    assert owner.__doc__
    assert undocumented == []


def test_the_class_attributes_of_dbos_are_in_the_reference_once(reference: Counter[str]) -> None:
    wanted = {f"dbos.api.app.{type(DBOS).__name__}.{name}" for name in vars(type(DBOS)) if not name.startswith("_")}

    assert {path: reference[path] for path in wanted if reference[path] != 1} == {}


def home(name: str) -> str:
    """Where a public name is defined, which is what its heading is called after."""
    value = getattr(dbos, name)
    own = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{own}" if own == name else f"{dbos._HOMES[name]}.{name}"


CALLED = (FunctionType, classmethod, staticmethod, property)
SPLIT = (DBOS, DBOSClient, Queue)
"""The classes that are put together from others, each of which the reference shows under its own topic."""


def public_members(owner: type) -> Iterator[tuple[str, str]]:
    """The public methods and properties of a class, with the path that the reference has for each."""
    for name in dir(owner):
        if name.startswith("_") or not isinstance(inspect.getattr_static(owner, name), CALLED):
            continue
        definer = next(each for each in owner.__mro__ if name in vars(each))
        if definer.__module__.startswith("dbos."):
            path = owner if owner in SPLIT else definer
            yield name, f"{path.__module__}.{path.__qualname__}.{name}"


def static(owner: type, name: str) -> Any:
    value = inspect.getattr_static(owner, name)
    return getattr(value, "__func__", value)


# -- tables made from the code -------------------------------------------------------------------------------------


def cells(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    return set(re.findall(r"<tr>\s*<td><code>([^<]+)</code></td>", text))


def test_the_tables_in_pages_say_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "docs/site/pages.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_every_configuration_key_is_on_the_site(site: Path) -> None:
    assert set(DBOSConfig.__annotations__) <= cells(site / "configuration.html")


@pytest.mark.parametrize(("command", "name"), [(dbos_command, "dbos"), (dbos_operator, "dbos-operator")])
def test_every_command_and_option_is_in_the_reference(command: click.Command, name: str, site: Path) -> None:
    text = (site / "reference" / f"{name}-command.html").read_text(encoding="utf-8")
    wanted = list(commands_of(name, command))

    assert re.findall(r'<h2 id="[^"]+"><code>([^<]+)</code>', text) == [path for path, _ in wanted]
    for path, each in wanted:
        options = [option for option in each.params if isinstance(option, click.Option)]
        assert all(max(option.opts, key=len) in text for option in options), path


def commands_of(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(click.Context(command)):
        child = command.get_command(click.Context(command), name)
        assert child is not None
        yield from commands_of(f"{path} {name}", child)


def test_every_field_of_a_public_type_says_what_it_holds(site: Path) -> None:
    empty = {
        f"{page.name}: {name}"
        for page in (site / "reference").glob("*.html")
        for name, last in re.findall(
            r"<tr>\s*<td><code>([^<]+)</code></td>.*?<td>([^<]*(?:<(?!/td)[^<]*)*)</td>\s*</tr>",
            page.read_text(encoding="utf-8"),
            re.DOTALL,
        )
        if not last.strip()
    }

    assert empty == set()


# -- the site itself -----------------------------------------------------------------------------------------------


class References(HTMLParser):
    """What a page fetches, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if given.get("id"):
            self.anchors.add(given["id"] or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        elif tag in {"script", "img", "iframe", "source"} and given.get("src"):
            self.fetched.append(given["src"] or "")
        elif tag == "link" and given.get("rel") in {"stylesheet", "preconnect", "preload", "icon"}:
            self.fetched.append(given.get("href") or "")


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, References]:
    return {page: References(page) for page in site.rglob("*.html")}


def test_no_page_fetches_anything_from_elsewhere(pages: dict[Path, References]) -> None:
    fetched = {url for page in pages.values() for url in page.fetched if "://" in url or url.startswith("//")}

    assert fetched == set()


def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path, pages: dict[Path, References]) -> None:
    broken = []
    for page, found in pages.items():
        for link in found.links:
            path, _, anchor = link.partition("#")
            if ":" in path or page.name == "404.html":
                continue
            target = (page.parent / path).resolve() if path not in {"", "."} else page
            lands = target.exists() and (not anchor or target not in pages or anchor in pages[target].anchors)
            if not lands and not anchor.startswith("__"):
                broken.append(f"{page.relative_to(site)}: {link}")

    assert broken == []


def test_what_is_not_for_readers_is_not_on_the_site(site: Path) -> None:
    assert list(site.rglob("*.py")) == []
    assert importlib.util.find_spec("hooks") is None
