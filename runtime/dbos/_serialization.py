"""Formats and PortableWorkflowError, under the path that pickles of every DBOS for Python name."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class WorkflowSerializationFormat(StrEnum):
    """How values are written: for every language, for Python alone, or as the application or the workflow does."""

    PORTABLE = "portable"
    """JSON that every DBOS SDK and SQL read."""
    NATIVE = "native"
    """Pickle: any Python value, for Python alone."""
    DEFAULT = "None"
    """As the workflow was started with, else as the application stores its values."""
    JSON = "portable"
    """Another name of PORTABLE."""


class PortableWorkflowError(Exception):
    """An error out of a portable row: its message, the name of its class there, and what it carried.

    Raised for what code in another language raised, and for exceptions that cannot be made here again. An
    application may raise it itself, to choose what others read.
    """

    def __init__(self, message: str, name: str, code: int | str | None = None, data: Any = None) -> None:
        super().__init__(message, name, code, data)
        self.message, self.name, self.code, self.data = message, name, code, data

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return (
            f"PortableWorkflowError(message={self.message!r}, name={self.name!r}, "
            f"code={self.code!r}, data={self.data!r})"
        )
