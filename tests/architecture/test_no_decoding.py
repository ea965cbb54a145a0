"""The operator writes payloads and never reads one: what it runs cannot unpickle, not even indirectly."""

from __future__ import annotations

import ast
import re

from architecture.sources import PACKAGES, modules_reached_by, name_of, names_used, path_of, tree_of

MAY_BE_REACHED = {"dbos.serialization", "dbos.serialization.encoding"}
_DECODERS = re.compile(
    r"(^|\.)("
    r"_?pickle\.(load|loads|Unpickler)|Unpickler|pickletools\..*|shelve(\..*)?|marshal\.(load|loads)"
    r"|(dill|cloudpickle|joblib|jsonpickle)(\..*)?"
    r")$"
)


def test_the_operator_reaches_no_module_of_the_runtime_that_decodes() -> None:
    serialization = {module for module in modules_reached_by("dbos_operator") if module.startswith("dbos.serializ")}
    assert serialization <= MAY_BE_REACHED


def test_nothing_that_the_operator_executes_names_a_decoder() -> None:
    found = [
        f"{name_of(path_of(module))}:{line} {name}"
        for module in modules_reached_by("dbos_operator")
        for line, name in names_used(tree_of(path_of(module)))
        if _DECODERS.search(name)
    ]
    assert not found


def test_nothing_that_the_operator_executes_renames_pickle() -> None:
    """An alias would hide `loads` from the test above."""
    found = [
        f"{name_of(path_of(module))}:{node.lineno}"
        for module in modules_reached_by("dbos_operator")
        for node in ast.walk(tree_of(path_of(module)))
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in {"pickle", "_pickle"} and alias.asname
    ]
    assert not found


def test_the_walk_covers_the_whole_operator() -> None:
    reached = modules_reached_by("dbos_operator")
    files = {path for name, top in PACKAGES.items() if name == "dbos_operator" for path in (top / name).rglob("*.py")}
    assert files <= {path_of(module) for module in reached}
