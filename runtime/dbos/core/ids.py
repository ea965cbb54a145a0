"""Identifiers, and the names that follow a rule."""

from __future__ import annotations

from typing import NewType

from dbos.core.refusals import InvalidArgumentError

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


def check_text(value: object, *, subject: str) -> str:
    """`value` as an ID or a name for `subject`.

    Raises InvalidArgumentError, a ValueError, for blank text and for text that databases cannot store, TypeError for
    other types.
    """
    text = check_topic(value, subject=subject)
    if not text.strip():
        raise InvalidArgumentError(f"{subject}: expected text that is not blank")
    return text


def check_topic(value: object, *, subject: str) -> str:
    """`value` as a topic or a key, which may be blank. Raises as check_text."""
    if not isinstance(value, str):
        raise TypeError(f"{subject}: expected text, got {type(value).__name__}")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidArgumentError(f"{subject}: expected text without NUL and lone surrogates, got {value!r}")
    return value


def check_name(value: object, *, subject: str) -> str:
    """`value` as a name for `subject`.

    Raises as check_text, and ValueError for names that DBOS keeps for itself.
    """
    name = check_text(value, subject=subject)
    if name.startswith(RESERVED_PREFIX):
        raise InvalidArgumentError(f"{subject}: names that start with {RESERVED_PREFIX!r} are reserved, got {name!r}")
    return name
