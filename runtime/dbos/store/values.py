"""Values as they are stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """The text of a value, and the format that the column beside it names."""

    text: str
    serialization: str | None
