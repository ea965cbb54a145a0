"""The repository as the architecture tests read it: files, functions, calls and imports, without running any of it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"dbos": ROOT / "runtime", "dbos_operator": ROOT / "operator"}


@dataclass(frozen=True)
class Function:
    """A function or method: where it is, and how many lines it takes."""

    where: str
    lines: int


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in sorted(set(listed.split("\0"))) if name)
    return tuple(path for path in paths if path.is_file())


def python_files(*folders: str) -> list[Path]:
    """The Python files of the repository, or those below some of its folders."""
    roots = [ROOT / folder for folder in folders] or [ROOT]
    return [path for path in repository_files() if path.suffix == ".py" and any(map(path.is_relative_to, roots))]


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """How a message calls a file: its path in the repository."""
    return path.relative_to(ROOT).as_posix()


def functions_of(path: Path) -> Iterator[Function]:
    """Every function of a file, nested ones and methods included."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield Function(f"{name_of(path)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain; empty for anything that is not one."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def names_used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a tree mentions or imports, with their lines: `pickle.loads`, or `loads` of `pickle`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (name := dotted(node)):
            yield node.lineno, name
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


@cache
def modules_reached_by(package: str) -> frozenset[str]:
    """Our own modules that an import of everything in `package` executes: its own, what they import, and
    the packages around each of them."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    reached: set[str] = set()
    waiting = {package, *graph.find_descendants(package)}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        around = module.rpartition(".")[0]
        found = {*graph.find_modules_directly_imported_by(module), *({around} if around else ())}
        waiting |= found - reached
    return frozenset(reached)


def path_of(module: str) -> Path:
    """The file of one of our modules."""
    base = PACKAGES[module.partition(".")[0]].joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
