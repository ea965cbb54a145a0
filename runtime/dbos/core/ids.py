"""Identifiers, and the names that follow a rule."""

from __future__ import annotations

from typing import NewType

WorkflowId = NewType("WorkflowId", str)
OwnerToken = NewType("OwnerToken", str)
ExecutorId = NewType("ExecutorId", str)

INTERNAL_QUEUE = "_dbos_internal_queue"
"""Where workflows without a queue of their own wait after a recovery; it has no row and no limit."""

RESERVED_PREFIX = "_dbos_"
STEP_WORKFLOW_PREFIX = "<temp>."
"""A step that is started as a workflow is a workflow of this prefix and its own name."""


def child_workflow_id(parent: WorkflowId, function_id: int) -> WorkflowId:
    """The ID of a child: the same each time its parent is replayed."""
    return WorkflowId(f"{parent}-{function_id}")


def check_name(value: object, *, subject: str) -> str:
    """`value` as a name for `subject`.

    Raises ValueError for blank text and for names that DBOS keeps for itself, TypeError for other types.
    """
    if not isinstance(value, str):
        raise TypeError(f"{subject}: expected text, got {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{subject}: expected text that is not blank")
    if value.startswith(RESERVED_PREFIX):
        raise ValueError(f"{subject}: names that start with {RESERVED_PREFIX!r} are reserved, got {value!r}")
    return value
