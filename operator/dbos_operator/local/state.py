"""The folder `.dbos`: what one folder of manifests keeps between runs, and what it shows of this one."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbos_operator.errors import OperatorError
from dbos_operator.local.manifests import ObjectId
from dbos_operator.resources.identity import ClusterId, Uid

FOLDER = ".dbos"


class AlreadyRunningError(OperatorError):
    """Another supervisor works on the same folder."""


class StateFolder:
    """The folder `.dbos` inside the first path."""

    def __init__(self, paths: Sequence[Path]) -> None:
        first = paths[0].resolve()
        self.path = (first if first.is_dir() else first.parent) / FOLDER
        self.pods = PodFiles(self.path / "pods")
        self.postgres = self.path / "postgres"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other supervisors out for the length of the block. Raises AlreadyRunningError.

        The kernel lets go of the lock however this process ends.
        """
        try:
            self.path.mkdir(exist_ok=True)
            (self.path / ".gitignore").write_text("*\n")
            handle = (self.path / "lock").open("a+")
        except OSError as error:
            raise OperatorError(f"{self.path}: cannot be written: {error.strerror}") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                handle.seek(0)
                holder = handle.read().strip() or "unknown"
                raise AlreadyRunningError(
                    f"another dbos-operator local (process {holder}) already runs {self.path.parent}"
                ) from error
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n")
            handle.flush()
            self.pods.clear()
            yield

    def write_urls(self, urls: Mapping[str, str]) -> None:
        """Tell other programs, a client or psql, where the embedded databases are: `databases.json`."""
        file = self.path / "databases.json"
        if urls:
            file.write_text(json.dumps(dict(urls), indent=2) + "\n")
        else:
            file.unlink(missing_ok=True)

    def cluster_id(self) -> ClusterId:
        """The ID of the cluster that this folder stands for, drawn once."""
        file = self.path / "cluster-id"
        try:
            return ClusterId(str(uuid.UUID(file.read_text().strip())))
        except (FileNotFoundError, ValueError):
            fresh = str(uuid.uuid4())
            file.write_text(f"{fresh}\n")
            return ClusterId(fresh)


class PodFiles:
    """One file for each pod; removing it is `kubectl delete pod --force`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clear(self) -> None:
        """Forget the pods of a supervisor that was killed: they died with it."""
        self.folder.mkdir(exist_ok=True)
        for file in self.folder.iterdir():
            file.unlink()

    def write(self, name: str, facts: Mapping[str, Any], *, new: bool) -> None:
        """Describe a pod, whole or not at all. A file that was removed meanwhile is not made again."""
        if not new and not (self.folder / name).exists():
            return
        # Whoever removed the folder meant its pods.
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder.parent / f"{name}.tmp"
        draft.write_text(json.dumps(facts, indent=2) + "\n")
        draft.replace(self.folder / name)

    def remove(self, name: str) -> None:
        """Forget a pod that is gone."""
        (self.folder / name).unlink(missing_ok=True)

    def names(self) -> frozenset[str]:
        """The pods whose files are there."""
        return frozenset(file.name for file in self.folder.iterdir()) if self.folder.is_dir() else frozenset()


def stable_uid(found: ObjectId) -> Uid:
    """The UID that an object has in every run: a UUIDv5 of kind, namespace and name."""
    name = f"{found.kind}/{found.key}"
    return Uid(str(uuid.uuid5(uuid.NAMESPACE_URL, f"dbos.dev/{name}")))
