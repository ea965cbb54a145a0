"""The error for a setting that cannot be used."""

from __future__ import annotations

from dbos._error import DBOSInitializationError


def refuse(key: str, value: object, *, expected: str) -> DBOSInitializationError:
    """The error for a setting that cannot be used: what it is, what was expected, what was given."""
    return DBOSInitializationError(f"{key}: expected {expected}, got {value!r}")
