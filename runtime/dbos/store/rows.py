"""Records: what the store takes in and gives back.

None is changed once it is made. Those of which each workflow makes several are not frozen all the same: of a frozen
one each field takes a call to set, and making it several times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dbos.core.ids import OwnerToken, WorkflowId
from dbos.core.limits import QueueLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentStep:
    """The step of a parent workflow that starts a child; recorded with the child or not at all."""

    workflow_id: WorkflowId
    owner: OwnerToken
    function_id: int
    started_at_ms: int


@dataclass(slots=True, kw_only=True)
class NewWorkflow:
    """A workflow to insert. `creator` is drawn once a start, so that a repeated insert knows its own row."""

    workflow_id: WorkflowId
    status: str
    name: str
    creator: str
    inputs: str
    serialization: str | None
    owner: OwnerToken | None = None
    class_name: str | None = None
    config_name: str | None = None
    queue_name: str | None = None
    executor_id: str | None = None
    application_name: str | None = None
    application_version: str | None = None
    application_id: str | None = None
    recovery_attempts: int = 0
    timeout_ms: int | None = None
    deadline_ms: int | None = None
    delay_until_ms: int | None = None
    deduplication_id: str | None = None
    priority: int = 0
    partition_key: str | None = None
    authenticated_user: str | None = None
    assumed_role: str | None = None
    authenticated_roles: str | None = None
    attributes: Any = None
    debounced: bool = False
    """Whether the deduplication ID is the key of a debouncer."""
    debounce_deadline_ms: int | None = None
    parent_workflow_id: WorkflowId | None = None
    parent_step: ParentStep | None = None
    reuse: str = "return-existing"
    """What happens when the ID is taken: `return-existing` attaches to its workflow, `reject` raises. Not stored."""


@dataclass(slots=True, kw_only=True)
class StepRecord:
    """One row of operation_outputs, guarded by the token of the execution that writes it."""

    workflow_id: WorkflowId
    owner: OwnerToken
    function_id: int
    function_name: str
    output: str | None
    error: str | None
    serialization: str | None
    started_at_ms: int
    completed_at_ms: int
    application_name: str | None
    child_workflow_id: str | None = None


@dataclass(slots=True, kw_only=True)
class OutcomeRecord:
    """How an execution ended: SUCCESS with an output or ERROR with an error."""

    workflow_id: WorkflowId
    owner: OwnerToken
    status: str
    output: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """What became of a NewWorkflow.

    `created` tells whether the row is ours. Otherwise the other fields describe the row that holds the
    ID, or `deduplicated_by` the workflow that holds the deduplication ID.
    """

    created: bool
    status: str
    name: str
    class_name: str | None = None
    config_name: str | None = None
    queue_name: str | None = None
    serialization: str | None = None
    deduplicated_by: WorkflowId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A recorded step."""

    function_id: int
    function_name: str
    output: str | None
    error: str | None
    serialization: str | None
    child_workflow_id: str | None
    completed_at_ms: int | None


@dataclass(slots=True, kw_only=True)
class ClaimedWorkflow:
    """A workflow that this executor has just taken, with all that is needed to run it or to give it back."""

    workflow_id: WorkflowId
    owner: OwnerToken
    name: str
    class_name: str | None
    config_name: str | None
    queue_name: str
    inputs: str | None
    serialization: str | None
    recovery_attempts: int
    replayed: bool
    """Whether steps are recorded already."""
    deadline_ms: int | None
    timeout_ms: int | None
    created_at_ms: int
    enqueued_at_ms: int
    """When it became runnable: created, or its delay ended."""
    started_at_ms: int
    authenticated_user: str | None
    authenticated_roles: str | None
    parent_workflow_id: str | None
    previous_version: str | None
    previous_application: str | None
    previous_executor: str | None
    previous_deadline_ms: int | None
    partition_key: str | None = None
    trace: str | None = None
    """The trace of who started it, as JSON; None when its attributes name none."""

    @property
    def function_key(self) -> str:
        """What tells the function of this workflow from others: its name, class and instance."""
        return "\x1f".join(part for part in (self.name, self.class_name, self.config_name) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A row of `queues`."""

    name: str
    limits: QueueLimits
    application_name: str | None = None
    managed: bool = False
    """Whether a DBOSQueue resource owns it, so that nobody else changes its limits."""
    runnable: bool = False
    """Whether something waits on it (of any version)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResult:
    """The state of a workflow and, once it ended, what it gave."""

    status: str
    output: str | None
    error: str | None
    serialization: str | None
