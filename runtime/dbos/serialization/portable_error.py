"""The error of a workflow that was written in portable JSON, by an SDK of any language."""

from __future__ import annotations

from typing import Any


class PortableWorkflowError(Exception):
    """What a portable error says: its message, the name of its class there, and what it carried."""

    def __init__(self, message: str, name: str, code: int | str | None = None, data: Any = None) -> None:
        super().__init__(message, name, code, data)
        self.message, self.name, self.code, self.data = message, name, code, data

    def __str__(self) -> str:
        return self.message
