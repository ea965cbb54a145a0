"""What the running code knows: its workflow, its step, and the options set around a call."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from dbos._error import DBOSBaseException, DBOSWorkflowCancelledError, DBOSWorkflowConflictIDError
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.authorization import NOBODY, Authentication
from dbos.store.rows import Checkpoint


class ExecutionStoppedError(DBOSBaseException):
    """This process has stopped serving: the execution ends without recording anything, and is recovered."""

    def __init__(self) -> None:
        super().__init__("DBOS was stopped while the workflow ran; it goes on when it is recovered")
        self._arguments = ()


@dataclass(slots=True, weakref_slot=True, eq=False)
class Execution:
    """One execution of one workflow: what it owns, and how far it is."""

    workflow_id: WorkflowId
    owner: OwnerToken
    name: str
    serialization: str | None = None
    queue_name: str | None = None
    authentication: Authentication = NOBODY
    deadline_ms: int | None = None
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    """Steps that a former execution recorded."""
    function_id: int = 0
    started: float = field(default_factory=time.monotonic)
    """When this execution began, on the monotonic clock."""
    checked_at: float = field(default_factory=time.monotonic)
    """When the row was last seen to be ours, on the monotonic clock."""
    reads_stream: bool = False
    """Whether a read of a stream is in progress: there may be one at a time."""
    databases: set[Any] = field(default_factory=set)
    """The databases of the user in which its transactions leave checkpoints."""
    trace: object = None
    """What its span hangs on: where it was started, or the text of its row that says so."""

    def next_function_id(self) -> int:
        """The ID of the next operation: 1, 2, 3, … in the order of calls."""
        self.function_id += 1
        return self.function_id

    def doubt(self) -> None:
        """There is news of the workflow: whether it is still ours is looked up before the next step."""
        self.checked_at = -math.inf


@dataclass(frozen=True, slots=True)
class StepScope:
    """The step that runs now."""

    function_id: int
    name: str
    attempt: int
    max_attempts: int
    retried: bool = False
    """Whether it is tried again when it fails."""


@dataclass(slots=True)
class PendingId:
    """A workflow ID set for the first workflow that is started in a block."""

    workflow_id: str
    reuse: str = "return-existing"
    """What happens when the ID is taken: `return-existing` attaches to its workflow, `reject` raises."""
    taken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueSettings:
    """Options for what is enqueued in a block."""

    deduplication_id: str | None = None
    duplication_policy: str = "reject"
    priority: int | None = None
    app_version: str | None = None
    delay_seconds: float | None = None
    partition_key: str | None = None


@dataclass(slots=True)
class RequestUser:
    """The user of a request to a web application: what one thread of the request sets holds in all of them."""

    known: Authentication = NOBODY


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long what is started in a block may run; None: as long as it takes, whatever its parent's deadline."""

    seconds: float | None


current_execution: ContextVar[Execution | None] = ContextVar("dbos_execution", default=None)
current_step: ContextVar[StepScope | None] = ContextVar("dbos_step", default=None)
pending_id: ContextVar[PendingId | None] = ContextVar("dbos_pending_id", default=None)
authentication: ContextVar[Authentication] = ContextVar("dbos_authentication", default=NOBODY)
request_user: ContextVar[RequestUser | None] = ContextVar("dbos_request_user", default=None)
enqueue_settings: ContextVar[EnqueueSettings | None] = ContextVar("dbos_enqueue_settings", default=None)
workflow_timeout: ContextVar[Timeout | None] = ContextVar("dbos_workflow_timeout", default=None)
workflow_attributes: ContextVar[Mapping[str, Any] | None] = ContextVar("dbos_workflow_attributes", default=None)


def current_user() -> Authentication:
    """Who the code here runs for: whom a block around it or its workflow says, else the user of the request."""
    user = authentication.get()
    if user is NOBODY and (request := request_user.get()) is not None:
        return request.known
    return user


def set_user(user: Authentication) -> None:
    """Let what runs in this context from now on run for a user; in a request, all of it."""
    request = request_user.get()
    if request is not None and authentication.get() is NOBODY:
        request.known = user
    else:
        authentication.set(user)


@contextmanager
def authenticated(user: Authentication) -> Iterator[None]:
    """Let the block run as this user."""
    before = authentication.set(user)
    try:
        yield
    finally:
        authentication.reset(before)


def recording_execution() -> Execution | None:
    """The workflow whose operations are recorded here: none outside of workflows, and none inside a step."""
    return None if current_step.get() is not None else current_execution.get()


def take_pending_id() -> str | None:
    """The workflow ID that the surrounding block sets, for the first caller only."""
    pending = take_pending()
    return None if pending is None else pending.workflow_id


def take_pending() -> PendingId | None:
    """The workflow ID that the surrounding block sets and what it says of it, for the first caller only."""
    pending = pending_id.get()
    if pending is None or pending.taken:
        return None
    pending.taken = True
    return pending


def lost_ownership(execution: Execution, status: str | None) -> BaseException:
    """The signal that ends an execution whose workflow is no longer its own."""
    if status == WorkflowStatusString.CANCELLED:
        return DBOSWorkflowCancelledError(f"Workflow {execution.workflow_id} was cancelled")
    return DBOSWorkflowConflictIDError(execution.workflow_id)
