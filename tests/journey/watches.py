"""What the cluster looks like now and what it looked like before, kept by watching it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from support.kubectl import Kubectl, KubectlError

Object = dict[str, Any]
Value = TypeVar("Value")

_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch."""

    at: float
    """Of the monotonic clock."""
    type: str
    object: Object

    @property
    def name(self) -> str:
        """The name of the object."""
        return str(self.object["metadata"]["name"])


class Watch:
    """The objects of one kind in a namespace, and every change since the start.

    The watch starts over when its connection ends, so nothing is missed for good.
    """

    def __init__(self, kubectl: Kubectl, kind: str) -> None:
        self.kind = kind
        self.changes: list[Change] = []
        self._objects: dict[str, Object] = {}
        self._kubectl = kubectl
        self._changed = threading.Condition()
        self._closed = False
        self._process: subprocess.Popen[str] | None = None
        self._list()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def objects(self) -> dict[str, Object]:
        """The objects now, by name."""
        with self._changed:
            return dict(self._objects)

    def changes_since(self, began: float) -> list[Change]:
        """The changes after a moment."""
        with self._changed:
            return [change for change in self.changes if change.at >= began]

    def until(self, read: Callable[[dict[str, Object]], Value], *, within: float, what: str) -> Value:
        """The first true value that `read` makes of the objects; an AssertionError when none comes in time."""
        deadline = time.monotonic() + within
        with self._changed:
            while not (value := read(self._objects)):
                left = deadline - time.monotonic()
                assert left > 0, f"no {what} within {within:g} s"
                self._changed.wait(left)
            return value

    def close(self) -> None:
        """End the watch."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
        self._thread.join(10)

    def _follow(self) -> None:
        while not self._closed:
            for change in _changes(self._open()):
                self._take(change)
            if not self._closed:
                self._list()

    def _open(self) -> IO[str]:
        self._process = self._kubectl.start("get", self.kind, "--watch", "--output-watch-events", "--output=json")
        assert self._process.stdout is not None
        return self._process.stdout

    def _list(self) -> None:
        """Take what is there in one go: a watch tells what is new, and not what went before it began."""
        try:
            found = self._kubectl.get(self.kind)
        except KubectlError:
            time.sleep(_RETRY_SECONDS)  # the API server is away: what was known last stays, and is listed again
            return
        with self._changed:
            self._objects = {each["metadata"]["name"]: each for each in found}
            self._changed.notify_all()

    def _take(self, change: Change) -> None:
        with self._changed:
            self.changes.append(change)
            if change.type == "DELETED":
                self._objects.pop(change.name, None)
            else:
                self._objects[change.name] = change.object
            self._changed.notify_all()


def _changes(stream: IO[str]) -> Iterator[Change]:
    """The events of a stream of JSON documents, each on one line or, with some releases of kubectl, on several."""
    text = ""
    for line in stream:
        text += line
        if line.rstrip().endswith("}"):
            try:
                event = json.loads(text)
            except json.JSONDecodeError:
                continue  # the end of an inner object
            text = ""
            if event["type"] in {"ADDED", "MODIFIED", "DELETED"}:
                yield Change(time.monotonic(), event["type"], event["object"])
