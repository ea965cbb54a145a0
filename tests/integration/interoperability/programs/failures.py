"""Exceptions that workflows of both runtimes raise, in a module that every reader can import."""

from __future__ import annotations

import threading


class RefusedError(Exception):
    """Pickles through its arguments, and carries a code and data for the portable form."""

    def __init__(self, reason: str, code: int = 7) -> None:
        super().__init__(reason, code)
        self.reason, self.code = reason, code
        self.data = {"reason": reason}


class UnpicklableError(Exception):
    """Holds what no pickle can hold."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
