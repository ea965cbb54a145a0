"""Where modules may lie, so that none hides another and pytest and Python agree on their names."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from architecture.sources import PACKAGES, ROOT, name_of, repository_files

# Assembled, so that this file does not match itself.
_FORBIDDEN_TEXT = re.compile(
    "|".join(
        (
            r"(?<![\w./:-])/" + r"(?:work|root|Users|home/(?!dbos\b)\w+)" + r"/\w",
            r"/tmp/" + r"(?:brief|peer)\b",
            r"\b(?:pypi|pythonhosted)\." + r"org\b",
            r"\bregistry\." + r"npmjs\b",
            r"\bproxy\." + r"golang\b",
        )
    )
)


def _importable(folder: Path) -> set[str]:
    """The module names that a folder offers when it is on the path, or as a package."""
    return {
        Path(*path.relative_to(folder).parts[:1]).stem
        for path in repository_files()
        if path.suffix == ".py" and path.is_relative_to(folder)
    }


@pytest.mark.parametrize("folder", ["runtime", "operator", "tests", "runtime/dbos", "operator/dbos_operator"])
def test_no_module_is_named_like_one_of_the_standard_library(folder: str) -> None:
    assert not _importable(ROOT / folder) & sys.stdlib_module_names


def test_folders_that_are_no_packages_have_no_init() -> None:
    wrong = [
        name_of(path)
        for path in repository_files()
        if path.name == "__init__.py" and not any(path.is_relative_to(top / name) for name, top in PACKAGES.items())
    ]
    assert not wrong, "operator/ would hide the module `operator`; pytest imports test files by their path"


def test_every_folder_of_a_package_says_what_it_is() -> None:
    for name, top in PACKAGES.items():
        for folder in {path.parent for path in (top / name).rglob("*.py")}:
            assert (folder / "__init__.py").is_file(), f"{name_of(folder)} is no package"


def test_no_text_names_a_machine_or_a_package_registry() -> None:
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or another binary has no text
        found += [f"{name_of(path)}: {match[0]}" for match in _FORBIDDEN_TEXT.finditer(text)]
    assert not found
