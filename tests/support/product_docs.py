"""The code blocks of the product documentation: read, run as they are written, and watched while they run.

A driver gives what a block leaves open (imports, other workflows, a web server); the block itself is not touched.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import os
import tomllib
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

import dbos

ROOT = Path(__file__).parents[1] / "product_docs"
_HOOK = "__statement__"


@dataclass(frozen=True)
class Block:
    """A block: `programming-guide/06-simple.py`, a program."""

    name: str
    kind: str

    @property
    def path(self) -> Path:
        """Its file."""
        return ROOT / self.name

    @property
    def source(self) -> str:
        """Its text."""
        return self.path.read_text(encoding="utf-8")


@cache
def all_blocks() -> dict[str, Block]:
    """The blocks of the manifest, by their names."""
    told = tomllib.loads((ROOT / "manifest.toml").read_text(encoding="utf-8"))
    found = [Block(f"{text}/{file}", kind) for text, files in told.items() for file, kind in files.items()]
    return {block.name: block for block in found}


def blocks_of(kind: str) -> list[Block]:
    """The blocks of a kind, in their order."""
    return [block for block in all_blocks().values() if block.kind == kind]


def open_names() -> dict[str, Any]:
    """What a program may import without saying so: the package, `typing`, and some of the standard library."""
    return {
        **{name: getattr(typing, name) for name in typing.__all__},
        **{name: getattr(dbos, name) for name in dbos.__all__},
        "asyncio": asyncio,
        "json": json,
        "os": os,
    }


class Blocks:
    """Runs blocks, and knows which of their statements ran."""

    def __init__(self) -> None:
        self._left: dict[str, dict[int, str]] = {}
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> Blocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            self._runner.close()

    def run(
        self,
        name: str,
        /,
        *,
        tail: str = "",
        watch: Callable[[int], object] = lambda line: None,
        module: str = "__main__",
        **given: Any,
    ) -> dict[str, Any]:
        """Run a block with the names that it is given; its namespace.

        `tail` follows where a block ends within a statement. `watch` is called before each statement with
        its line, counted from 1. A block that awaits at its top runs statement by statement, each that
        awaits on one loop and the others beside it, as in a notebook.
        """
        block = all_blocks()[name]
        lines = block.source.splitlines()
        tree = ast.parse(block.source + tail, str(block.path))
        statements = {node.lineno: lines[node.lineno - 1] for node in _statements(tree) if node.lineno <= len(lines)}
        left = self._left.setdefault(name, dict(statements))

        def hook(line: int) -> None:
            left.pop(line, None)
            if line in statements:
                watch(line)

        space = {**open_names(), **given, "__name__": module, "__file__": str(block.path), _HOOK: hook}
        for code in _compiled(tree, block):
            made = eval(code, space)  # a coroutine where the statement awaits
            if inspect.iscoroutine(made):
                self.wait(made)
        return space

    def excuse(self, name: str, /, *statements: str) -> None:
        """Statements of a block that cannot run, by the beginning of their lines; the driver says why."""
        left = self._left[name]
        for text in statements:
            lines = [line for line, statement in left.items() if statement.strip().startswith(text)]
            assert lines, f"{text} of {name} did run, or is not there"
            for line in lines:
                del left[line]

    def elsewhere(self, name: str, /) -> str:
        """The text of a block for a driver that runs all of it in a process of its own."""
        self._left[name] = {}
        return all_blocks()[name].source

    def wait(self, coroutine: Any) -> Any:
        """What a coroutine gives on the loop of these blocks."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)

    def missed(self) -> dict[str, list[str]]:
        """The statements that did not run, by their blocks."""
        return {name: [text.strip() for text in left.values()] for name, left in self._left.items() if left}


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        for _, body in _bodies(node):
            yield from body


def _bodies(node: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
            yield field, body


def _compiled(tree: ast.Module, block: Block) -> Iterator[CodeType]:
    """The block's code, each statement with a call of the hook before it."""
    in_pieces = any(_awaits(statement) for statement in tree.body)
    for node in list(ast.walk(tree)):
        for field, body in _bodies(node):
            setattr(node, field, [made for statement in body for made in (_call_of_hook(statement), statement)])
    ast.fix_missing_locations(tree)
    pieces = [[*pair] for pair in zip(tree.body[::2], tree.body[1::2], strict=True)] if in_pieces else [tree.body]
    for piece in pieces:
        module = ast.Module(piece, type_ignores=[])
        yield compile(module, str(block.path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def _call_of_hook(statement: ast.stmt) -> ast.stmt:
    call = ast.Call(ast.Name(_HOOK, ast.Load()), [ast.Constant(statement.lineno)], [])
    return ast.copy_location(ast.Expr(call), statement)


def _awaits(node: ast.AST) -> bool:
    """Whether a statement awaits outside of functions."""
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    return any(_awaits(child) for child in ast.iter_child_nodes(node))
