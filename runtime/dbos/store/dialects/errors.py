"""What went wrong, whichever database says it."""

from __future__ import annotations

import psycopg

from dbos.store.dialects import postgres, sqlite


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, failed, or nobody could be waited for: trying again is right."""
    return postgres.is_connection_lost(error) or sqlite.is_busy(error)


def public_error(error: Exception) -> Exception:
    """What callers are told of a connection that is lost and not tried again: the error of SQLAlchemy.

    The published package, which uses PostgreSQL through SQLAlchemy, raises that; the driver's error is its `orig` and
    its cause. Other errors are given as they are.
    """
    if not isinstance(error, psycopg.Error) or not is_connection_lost(error):
        return error
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 -- who is connected does without SQLAlchemy

    told = OperationalError(None, None, error, connection_invalidated=True)
    told.__cause__ = error
    return told


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way."""
    return postgres.is_conflict(error) or sqlite.is_busy(error)
