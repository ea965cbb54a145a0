"""What a person does to the folder while the supervisor runs: files saved, pods' files removed, work done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from watchfiles import Change, awatch

from dbos_operator.errors import OperatorError
from dbos_operator.local.cluster import LocalCluster
from dbos_operator.local.manifests import SUFFIXES, load_manifests
from dbos_operator.local.output import Output
from dbos_operator.local.schemas import Schemas
from dbos_operator.local.state import PodFiles

_DEBOUNCE_MS = 300
_STEP_MS = 50
_IDLE_INTERVAL = timedelta(milliseconds=200)


async def follow_folder(paths: Sequence[Path], schemas: Schemas, cluster: LocalCluster, output: Output) -> None:
    """Apply the folder whenever a file of it is saved or removed. Does not return.

    While a file is broken the old state is kept, and one line says so. A file
    that is gone takes its objects along, also one that was named itself.
    """
    told = ""
    folders = [path for path in paths if path.is_dir()]
    async for _ in changes_of(paths):
        try:
            there = [path for path in paths if path in folders or path.exists()]
            manifests = load_manifests(there, schemas)
            await cluster.apply(manifests)
        except OperatorError as error:
            if str(error) != told:
                output.line("folder", f"{error}; the old state is kept")
            told = str(error)
        else:
            if told:
                output.line("folder", "whole again")
            told = ""


async def changes_of(paths: Sequence[Path]) -> AsyncIterator[None]:
    """Once for each burst of changes to the YAML files that the paths name."""
    folders = {path.resolve() for path in paths if path.is_dir()}
    files = {path.resolve() for path in paths if not path.is_dir()}

    def is_ours(_: Change, name: str) -> bool:
        path = Path(name)
        return path in files or (path.parent in folders and path.suffix in SUFFIXES)

    watched = folders | {file.parent for file in files}
    async for _ in awatch(*watched, watch_filter=is_ours, recursive=False, debounce=_DEBOUNCE_MS, step=_STEP_MS):
        yield


async def follow_pod_files(files: PodFiles, cluster: LocalCluster) -> None:
    """Delete by force every pod whose file is removed. Does not return."""
    cluster.workloads.delete_missing(files.names())
    async for changes in awatch(files.folder, recursive=False, debounce=_STEP_MS, step=_STEP_MS):
        if any(change is Change.deleted for change, _ in changes):
            cluster.workloads.delete_missing(files.names())


async def wait_until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; the loop's numbers change with its ticks, so looking now and then is enough."""
    while not condition():  # noqa: ASYNC110 -- the numbers have no event to wait for
        await asyncio.sleep(_IDLE_INTERVAL.total_seconds())
