"""Plain lines for the person at the screen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TextIO


class Output:
    """Writes `12:00:00 source | text`, line by line."""

    def __init__(self, stream: TextIO, *, now: Callable[[], datetime]) -> None:
        self._stream = stream
        self._now = now
        self._closed = False

    def line(self, source: str, text: str) -> None:
        """One line. A reader that went away (`| head`) stops the output, not the workers."""
        if self._closed:
            return
        try:
            self._stream.write(f"{self._now():%H:%M:%S} {source} | {text}\n")
            self._stream.flush()
        except BrokenPipeError:
            self._closed = True

    def of(self, source: str) -> Callable[[str], None]:
        """A function that writes lines of one source."""
        return lambda text: self.line(source, text)
