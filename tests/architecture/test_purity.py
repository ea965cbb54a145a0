"""Pure layers do not look at the clock, roll dice or read the environment (imports: contracts in pyproject.toml)."""

from __future__ import annotations

import ast
import re

from architecture.sources import name_of, names_used, python_files, tree_of

PURE_FOLDERS = (
    "runtime/dbos/core",
    "operator/dbos_operator/decide",
    "operator/dbos_operator/scaling",
    "operator/dbos_operator/resources",
)
_IMPURE = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|uuid[14]|environ|getenv|open)$")


def test_pure_layers_name_nothing_that_answers_differently_the_next_time() -> None:
    found = [
        f"{name_of(path)}:{line} {name}"
        for path in python_files(*PURE_FOLDERS)
        for line, name in names_used(tree_of(path))
        if _IMPURE.search(name)
    ]
    assert not found


def test_pure_layers_have_no_coroutines() -> None:
    found = [
        name_of(path)
        for path in python_files(*PURE_FOLDERS)
        if any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree_of(path)))
    ]
    assert not found
