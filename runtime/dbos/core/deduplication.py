"""What may be said about a workflow whose deduplication ID is held."""

from __future__ import annotations

from dbos.core.refusals import InvalidArgumentError


def check_duplication(policy: str | None, deduplication_id: str | None) -> str:
    """The policy for a duplicate; without one a duplicate is refused.

    Raises InvalidArgumentError for `return-existing` without a deduplication ID: nothing would ever be a duplicate.
    """
    if policy == "return-existing" and deduplication_id is None:
        raise InvalidArgumentError("duplication_policy: expected a deduplication_id beside 'return-existing', got none")
    return policy or "reject"
