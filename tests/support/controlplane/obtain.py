"""Finds programs in the cache, or has them downloaded or compiled into it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.controlplane import golang, published
from support.controlplane.binaries import ToolsUnavailableError, missing
from support.controlplane.cache import Say, cache_folder, locked, placed_atomically
from support.controlplane.gobuild import Recipe, build


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Programs that are fetched together."""

    name: str
    """As messages call it."""
    folder: str
    """In the cache."""
    programs: tuple[str, ...]
    recipe: Recipe
    published_version: str
    download: Callable[[Path, Say], None]
    """Puts the published programs into a folder, or raises DownloadError."""
    help: str
    """What to set where the programs cannot be had."""

    def complete(self, folder: Path) -> Path:
        """The folder, when it has all programs; else an error that names the others."""
        if absent := missing(folder, self.programs):
            raise ToolsUnavailableError(f"{folder} has no {', '.join(absent)}. {self.help}")
        return folder


def obtain(tool: Tool, environ: Mapping[str, str], say: Say) -> Path:
    """The folder with the programs: from the cache, else published ones, else compiled ones.

    Two runs at once fetch once; a run that is interrupted leaves nothing half made.
    """
    cache = cache_folder(environ)
    folder = cache / tool.folder
    built, downloaded = folder / tool.recipe.stamp(), folder / f"published-{tool.published_version}"
    with locked(folder, say):
        for found in (built, downloaded):
            if not missing(found, tool.programs):
                return found
        try:
            with placed_atomically(downloaded) as temporary:
                tool.download(temporary, say)
            return tool.complete(downloaded)
        except published.DownloadError as error:
            say(f"{tool.name} as published is out of reach ({error})")
        _compile(tool, environ, cache, built, say)
        return tool.complete(built)


def _compile(tool: Tool, environ: Mapping[str, str], cache: Path, built: Path, say: Say) -> None:
    began = time.monotonic()
    try:
        go = golang.find_go(environ, cache, say)
        with placed_atomically(built) as temporary:
            build(tool.recipe, go, temporary, say)
    except ToolsUnavailableError as error:
        raise ToolsUnavailableError(f"There is no {tool.name} to test with: {error}\n{tool.help}") from error
    say(f"built {tool.name} in {time.monotonic() - began:.0f} s: {built}")


def fetch_command(find: Callable[[Mapping[str, str], Say], object], what: str) -> int:
    """Fetch with progress, and return an exit status: a failure only in CI, which may skip nothing.

    Without CI set, a machine that cannot have the tools is told that tests of `what` will be skipped.
    """

    def say(line: str) -> None:
        print(f"==> {line}", file=sys.stderr, flush=True)

    try:
        found = find(os.environ, say)
    except ToolsUnavailableError as error:
        say(str(error))
        say(f"The tests that need {what} will be skipped.")
        return 1 if os.environ.get("CI") else 0
    say(f"{what}: {found}")
    return 0
