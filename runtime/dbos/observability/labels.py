"""Values of labels with a bound: names come from rows and from code that makes them up."""

from __future__ import annotations

import threading

OTHER = "_other"
"""What every value beyond the bound is called."""


class BoundedLabel:
    """Lets the first so many values of a label through; later ones become OTHER."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, value: str) -> str:
        """The value, or OTHER when there are too many already."""
        if value in self._known:
            return value
        with self._lock:
            if len(self._known) >= self._most and value not in self._known:
                return OTHER
            self._known.add(value)
        return value
