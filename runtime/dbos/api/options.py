"""Options set around calls, and options of the client's calls."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, Literal, NotRequired, Required, Self, TypedDict, TypeVar

from dbos._error import DBOSException
from dbos._serialization import WorkflowSerializationFormat
from dbos.core.ids import check_text
from dbos.core.limits import MAX_SECONDS
from dbos.core.refusals import InvalidArgumentError
from dbos.engine.context import (
    EnqueueSettings,
    PendingId,
    Timeout,
    enqueue_settings,
    pending_id,
    workflow_attributes,
    workflow_timeout,
)

T = TypeVar("T")

DuplicationPolicy = Literal["reject", "return-existing"]
WorkflowIDReusePolicy = Literal["return-existing", "reject"]
MAX_PRIORITY = 2**31 - 1
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")
"""NUL in JSON: its escape, unless the backslash is escaped itself."""


class EnqueueOptions(TypedDict, total=False):
    """What the client enqueues; `workflow_name` and `queue_name` are required."""

    workflow_name: Required[str]
    """The workflow, by the name that its decorator gives it. Required."""
    queue_name: Required[str]
    """Where it waits. Required."""
    workflow_id: NotRequired[str]
    """Its ID, an idempotency key. Default: a random one."""
    workflow_id_reuse_policy: NotRequired[WorkflowIDReusePolicy]
    """For an ID that is taken: `return-existing` attaches to that workflow, `reject` raises. Default: `return-
    existing`."""
    app_version: NotRequired[str]
    """The only version whose workers take it. Default: the latest one."""
    workflow_timeout: NotRequired[float]
    """Seconds from its claim to its cancellation. Default: none."""
    delay_seconds: NotRequired[float]
    """Not before that many seconds from now. Default: none."""
    deduplication_id: NotRequired[str]
    """At most one active workflow of the queue has it. Default: none."""
    duplication_policy: NotRequired[DuplicationPolicy]
    """For a deduplication ID that is held: `reject` raises, `return-existing` attaches and needs that ID. Default:
    `reject`."""
    priority: NotRequired[int]
    """1 to 2147483647, lower first. Default: none, which comes before all."""
    queue_partition_key: NotRequired[str]
    """The lane of a partitioned queue, which needs one. Default: none."""
    attributes: NotRequired[dict[str, Any]]
    """Labels that listings filter by, a JSON object. Default: none."""
    authenticated_user: NotRequired[str]
    """Who it runs for. Default: nobody."""
    authenticated_roles: NotRequired[list[str]]
    """The roles of that user. Default: none."""
    serialization_type: NotRequired[WorkflowSerializationFormat]
    """The format of its arguments and outcome. Default: that of the client."""
    application_name: NotRequired[str | None]
    """The application that runs it; None: any. Default: that of the client."""
    class_name: NotRequired[str]
    """Of methods: the name of their class."""
    instance_name: NotRequired[str]
    """Of methods of instances: the instance's `config_name`."""
    otel_context: NotRequired[Any]
    """The OpenTelemetry context whose trace the workflow belongs to."""
    max_recovery_attempts: NotRequired[int]
    """Accepted from older code and not used: the decorator of the workflow says it."""


class Block(ABC, Generic[T]):
    """A `with` block that sets something for the calls inside. Blocks nest; one object is for one block at a time."""

    def __init__(self, variable: ContextVar[T]) -> None:
        self._variable = variable
        self._token: Token[T] | None = None

    @abstractmethod
    def _value(self) -> T:
        """What holds inside of the block."""

    def __enter__(self) -> Self:
        if self._token is not None:
            raise DBOSException(f"This {type(self).__name__} is in use; make another one for each block")
        self._token = self._variable.set(self._value())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            self._variable.reset(self._token)
            self._token = None


class SetWorkflowID(Block[PendingId | None]):
    """Give the first workflow that is started in the block this ID.

    The ID is an idempotency key: a workflow with an ID that is taken is not started again, and the start
    attaches to it; with `workflow_id_reuse_policy="reject"` it raises DBOSWorkflowIDInUseError.
    Raises ValueError for text that is blank or cannot be stored, TypeError for other types.
    """

    def __init__(self, wfid: str, *, workflow_id_reuse_policy: WorkflowIDReusePolicy | None = None) -> None:
        super().__init__(pending_id)
        self._workflow_id = check_text(wfid, subject="workflow ID")
        self._policy = check_reuse(workflow_id_reuse_policy)

    def _value(self) -> PendingId:
        return PendingId(self._workflow_id, reuse=self._policy)


class SetShardKey:
    """A block of the vendor's sharded databases, which are not supported: making one raises DBOSException."""

    def __init__(self, shard_key: str) -> None:
        raise DBOSException(f"SetShardKey({shard_key!r}): sharded system databases are not supported")


class SetWorkflowTimeout(Block[Timeout | None]):
    """Give every workflow that is started or enqueued in the block this many seconds, from its start to its end.

    Then it is cancelled, with its children, which have its deadline unless they are given a timeout of
    their own. None starts workflows without one, whatever deadline their parent has. The deadline is
    stored: it holds across restarts. Raises ValueError or TypeError for what is no positive number.
    """

    def __init__(self, workflow_timeout_sec: float | None) -> None:
        super().__init__(workflow_timeout)
        seconds = check_seconds(workflow_timeout_sec, subject="workflow_timeout_sec")
        if seconds == 0:
            raise InvalidArgumentError("workflow_timeout_sec: expected more than 0 seconds, got 0")
        self._timeout = Timeout(seconds)

    def _value(self) -> Timeout:
        return self._timeout


class SetWorkflowAttributes(Block[Mapping[str, Any] | None]):
    """Give every workflow that is started or enqueued in the block these attributes; children do not inherit them.

    Listings filter by them, and DBOS.update_workflow_attributes changes them. Raises DBOSException for
    what is no JSON object.
    """

    def __init__(self, attributes: dict[str, Any] | None) -> None:
        super().__init__(workflow_attributes)
        self._attributes = check_attributes(attributes)

    def _value(self) -> Mapping[str, Any] | None:
        return self._attributes


class SetEnqueueOptions(Block[EnqueueSettings | None]):
    """Options for the workflows that are enqueued in the block.

    `deduplication_id`: at most one active workflow of the queue has it; another raises
    DBOSQueueDeduplicatedError, or with `duplication_policy="return-existing"` attaches to the first; that policy
    without a deduplication ID is refused when something is enqueued.
    `priority`: 1 to 2147483647, lower first; without one a workflow comes before all that have one.
    `delay_seconds`: not before that time. `app_version`: only workers of that version.
    `queue_partition_key`: the lane of a partitioned queue, which has limits of its own.
    """

    def __init__(
        self,
        *,
        deduplication_id: str | None = None,
        priority: int | None = None,
        app_version: str | None = None,
        queue_partition_key: str | None = None,
        delay_seconds: float | None = None,
        duplication_policy: DuplicationPolicy | None = None,
    ) -> None:
        super().__init__(enqueue_settings)
        if deduplication_id is not None:
            check_text(deduplication_id, subject="deduplication_id")
        if app_version is not None:
            check_text(app_version, subject="app_version")
        if queue_partition_key is not None:
            check_text(queue_partition_key, subject="queue_partition_key")
        if deduplication_id is not None and queue_partition_key is not None:
            raise InvalidArgumentError(
                "deduplication_id: expected none beside a queue_partition_key; partitions know none"
            )
        self._settings = EnqueueSettings(
            deduplication_id=deduplication_id,
            duplication_policy=check_policy(duplication_policy),
            priority=check_priority(priority),
            app_version=app_version,
            delay_seconds=check_seconds(delay_seconds, subject="delay_seconds"),
            partition_key=queue_partition_key,
        )

    def _value(self) -> EnqueueSettings:
        return self._settings


def check_priority(priority: int | None) -> int | None:
    """The priority. Raises TypeError or ValueError saying what was expected."""
    if priority is None:
        return None
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority: expected a whole number, got {priority!r}")
    if not 1 <= priority <= MAX_PRIORITY:
        raise InvalidArgumentError(f"priority: expected 1 to {MAX_PRIORITY}, got {priority}")
    return priority


def check_seconds(seconds: float | None, *, subject: str) -> float | None:
    """A number of seconds. Raises TypeError or ValueError saying what was expected."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{subject}: expected seconds, got {seconds!r}")
    if not 0 <= seconds <= MAX_SECONDS:
        raise InvalidArgumentError(f"{subject}: expected 0 to {MAX_SECONDS} seconds, got {seconds}")
    return seconds


def check_reuse(policy: str | None) -> str:
    """The policy for a workflow ID that is taken. Raises ValueError saying what was expected."""
    if policy not in {None, "return-existing", "reject"}:
        raise InvalidArgumentError(f"workflow_id_reuse_policy: expected 'return-existing' or 'reject', got {policy!r}")
    return policy or "return-existing"


def check_policy(policy: str | None) -> str:
    """The duplication policy. Raises ValueError saying what was expected."""
    if policy not in {None, "reject", "return-existing"}:
        raise InvalidArgumentError(f"duplication_policy: expected 'reject' or 'return-existing', got {policy!r}")
    return policy or "reject"


def check_attributes(attributes: object, *, merge: bool = False) -> Mapping[str, Any] | None:
    """The attributes. Raises DBOSException for what is no JSON object."""
    if attributes is None and merge:
        raise DBOSException("Workflow attributes: expected a dictionary to merge, got None")
    if attributes is None:
        return None
    if not isinstance(attributes, dict):
        raise DBOSException(f"Workflow attributes: expected a dictionary, got {attributes!r}")
    try:
        text = json.dumps(attributes, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DBOSException(f"Workflow attributes: expected what JSON has a form for, got {attributes!r}") from error
    if _NUL.search(text):
        raise DBOSException("Workflow attributes: expected text without NUL, which databases cannot store")
    return attributes
