"""URLs of PostgreSQL databases: what a text may be told to be, and what is refused before anything connects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

UNREADABLE = (
    "expected a database URL such as postgresql://user:password@host:5432/name, "
    "with @ : / written as %40 %3A %2F in user and password"
)
"""Says nothing of what was read: any part of an unreadable URL may be one of its password."""
_PASSWORD = re.compile(r"(?<=password=)[^&]*")


def shown_url(text: str) -> str:
    """A URL without its password; what follows a password that holds an @ may be hidden with it."""
    scheme, separator, rest = text.partition("://")
    who, at, place = rest.rpartition("@")
    user, colon, _ = who.partition(":")
    return f"{scheme}{separator}{user}{colon and ':***'}{at}{_PASSWORD.sub('***', place)}"


def check_host(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError when a password seems to go on in the host; errors of connections would tell it."""
    if "@" in (arguments.get("host") or ""):
        raise ValueError(UNREADABLE)
