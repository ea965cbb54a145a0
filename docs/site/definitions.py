"""What the sources define, read without importing them: public methods, and fields with what is said of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RUNTIME = Path(__file__).parents[2] / "runtime"


@dataclass(frozen=True, slots=True)
class Field:
    """One annotated name of a class."""

    name: str
    type: str
    text: str
    """The docstring below it, on one line; empty when there is none."""


def public_members(path: str) -> list[str]:
    """The public methods and properties of a class, in the order of the source."""
    names = (
        node.name
        for node in _class(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    )
    return list(dict.fromkeys(names))


def fields(path: str) -> list[Field]:
    """The annotated names of a class, in the order of the source."""
    body = _class(path).body
    return [
        Field(node.target.id, ast.unparse(node.annotation), _docstring(after))
        for node, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_")
    ]


def classes(module: str) -> Iterator[ast.ClassDef]:
    """The classes of a module, in the order of the source."""
    yield from (node for node in _module(module).body if isinstance(node, ast.ClassDef))


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def _class(path: str) -> ast.ClassDef:
    module, _, name = path.rpartition(".")
    for node in classes(module):
        if node.name == name:
            return node
    raise LookupError(f"{module} defines no class {name}")


@cache
def _module(name: str) -> ast.Module:
    file = RUNTIME.joinpath(*name.split(".")).with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
