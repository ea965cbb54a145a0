"""How an argument is refused that has the right type and cannot be."""

from __future__ import annotations

from typing import Any

from dbos._error import DBOSException


class InvalidArgumentError(DBOSException, ValueError):
    """A value that cannot be: a ValueError, and a DBOSException, as which the published package refuses it.

    A workflow that ends by it records the latter, which every DBOS for Python reads.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (DBOSException, (self.message,))


def said_by(error: BaseException) -> str:
    """What an error says, to be told by another one: without the prefix that errors of DBOS have."""
    return error.message if isinstance(error, DBOSException) else str(error)
