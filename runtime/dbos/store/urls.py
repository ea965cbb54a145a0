"""Database URLs as SQLAlchemy reads them."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError


def read_url(text: str) -> URL:
    """A text as a URL. Raises ValueError, without a password, for text that is none."""
    try:
        return make_url(text)
    except (ArgumentError, ValueError):  # the latter tells what stands for a port, which may be of a password
        raise ValueError(
            "expected a database URL such as postgresql://user:password@host:5432/name or sqlite:///file.sqlite"
        ) from None
