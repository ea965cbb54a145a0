"""What to list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WAITING = ("ENQUEUED", "DELAYED")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFilter:
    """What to list. None asks for nothing; of several values one must match. Times are epoch milliseconds."""

    workflow_ids: Sequence[str] | None = None
    status: Sequence[str] | None = None
    name: Sequence[str] | None = None
    queue_name: Sequence[str] | None = None
    executor_id: Sequence[str] | None = None
    app_version: Sequence[str] | None = None
    user: Sequence[str] | None = None
    forked_from: Sequence[str] | None = None
    parent_workflow_id: Sequence[str] | None = None
    schedule_name: Sequence[str] | None = None
    workflow_id_prefix: Sequence[str] | None = None
    created_from_ms: int | None = None
    created_to_ms: int | None = None
    completed_from_ms: int | None = None
    completed_to_ms: int | None = None
    dequeued_from_ms: int | None = None
    dequeued_to_ms: int | None = None
    queued_only: bool = False
    was_forked_from: bool | None = None
    is_fork: bool | None = None
    has_parent: bool | None = None
    attributes: Mapping[str, Any] | None = None
    """Keys and values that a workflow's attributes must have, among others."""
    applications: Sequence[str] | None = None
    """Only workflows of these and unclaimed ones; None lists all."""
    undispatchable: bool | None = None
    """Whether it waits and nobody can take it; see core.dispatch."""
    refused: frozenset[tuple[str, str]] = frozenset()
    """With `undispatchable`: applications, and keys of functions that their processes refused lately."""
    limit: int | None = None
    offset: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFilter:
    """Which steps of a workflow to list."""

    workflow_id: str
    load_output: bool = True
    limit: int | None = None
    offset: int | None = None
