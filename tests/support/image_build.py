"""The Dockerfile and .dockerignore as values, for tests that need no builder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    text: str

    @property
    def flags(self) -> dict[str, str]:
        """`--from=project` as {"from": "project"}."""
        return dict(re.findall(r"(?:^|\s)--(\w+)=(\S+)", self.text))

    @property
    def words(self) -> list[str]:
        """What stands there besides the flags."""
        return [word for word in self.text.split() if not word.startswith("--")]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the Dockerfile."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        """The instructions of one name, in order."""
        return [found for found in self.instructions if found.name == name]


def read_stages(text: str) -> dict[str, Stage]:
    """The stages by name, in order; instructions before the first one belong to none."""
    stages: dict[str, Stage] = {}
    current: list[Instruction] = []
    for found in _instructions(text):
        if found.name == "FROM":
            base, _, name = found.words
            current = []
            stages[name] = Stage(name, base, ())
        elif stages:
            current.append(found)
            name, stage = next(reversed(stages.items()))
            stages[name] = Stage(name, stage.base, tuple(current))
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield Instruction(name, rest.strip())


class Ignore:
    """A .dockerignore: the last pattern that matches a path, or a folder above it, decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._patterns = [_pattern(line) for line in lines if line and not line.startswith("#")]

    def sends(self, path: str) -> bool:
        """Whether the builder gets to see a file."""
        here = PurePosixPath(path)
        names = [str(part) for part in (here, *here.parents) if str(part) != "."]
        sent = True
        for keeps, pattern in self._patterns:
            if any(pattern.fullmatch(name) for name in names):
                sent = keeps
        return sent


def _pattern(line: str) -> tuple[bool, re.Pattern[str]]:
    keeps = line.startswith("!")
    text = re.escape(line.removeprefix("!").strip("/"))
    for written, meant in ((r"\*\*/", "(?:.*/)?"), (r"\*\*", ".*"), (r"\*", "[^/]*"), (r"\?", "[^/]")):
        text = text.replace(written, meant)
    return keeps, re.compile(text)


def repository_files(folders: Sequence[str] = (".",)) -> list[str]:
    """Every file below some folders, as paths from the root of the checkout; git and the environment left out."""
    skipped = {".git", ".venv"}
    found: list[Path] = []
    for folder in folders:
        for place, below, files in os.walk(ROOT / folder):  # it passes over a folder that goes meanwhile
            below[:] = [name for name in below if name not in skipped]
            found += [Path(place) / name for name in files if name not in skipped]
    return sorted(str(file.relative_to(ROOT)) for file in found if file.is_file())
