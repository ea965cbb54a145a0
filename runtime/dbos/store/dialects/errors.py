"""What went wrong, whichever database says it."""

from __future__ import annotations

from dbos.store.dialects import postgres, sqlite


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection, not the statement, failed, or nobody could be waited for: trying again is right."""
    return postgres.is_connection_lost(error) or sqlite.is_busy(error)


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way."""
    return postgres.is_conflict(error) or sqlite.is_busy(error)
