"""Whose rows a listing gives, where several applications share a system database."""

from __future__ import annotations

from collections.abc import Sequence


def listed_applications(named: Sequence[str] | None, own: str | None) -> Sequence[str] | None:
    """The applications whose rows are listed, beside those that nobody owns; None: all rows.

    Those that are named (none at all: every application), or else one's own, if one has a name.
    """
    if named is not None:
        return named or None
    return [own] if own else None
