"""WorkflowStatus and SendMessage, under the path that pickles of every DBOS for Python name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict


class WorkflowInputs(TypedDict):
    """The arguments of a workflow."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass
class SendMessage:
    """A message to a workflow; of those with an idempotency key a workflow gets one."""

    destination_id: str
    message: Any
    topic: str | None = None
    idempotency_key: str | None = None


class WorkflowStatus:
    """Everything known of a workflow. Times are epoch milliseconds."""

    workflow_id: str
    status: str
    """ENQUEUED, DELAYED, PENDING, SUCCESS, ERROR, CANCELLED or MAX_RECOVERY_ATTEMPTS_EXCEEDED."""
    name: str
    class_name: str | None
    config_name: str | None
    authenticated_user: str | None
    assumed_role: str | None
    authenticated_roles: list[str] | None
    input: WorkflowInputs | None
    output: Any | None
    error: Exception | None
    created_at: int | None
    updated_at: int | None
    queue_name: str | None
    executor_id: str | None
    app_version: str | None
    workflow_timeout_ms: int | None
    workflow_deadline_epoch_ms: int | None
    deduplication_id: str | None
    priority: int | None
    queue_partition_key: str | None
    forked_from: str | None
    was_forked_from: bool
    parent_workflow_id: str | None
    dequeued_at: int | None
    delay_until_epoch_ms: int | None
    completed_at: int | None
    attributes: dict[str, Any] | None
    schedule_name: str | None
    application_name: str | None
    app_id: str | None
    recovery_attempts: int | None

    def __repr__(self) -> str:
        return f"<WorkflowStatus {self.workflow_id} {self.name} {self.status}>"


class StepInfo(dict[str, Any]):
    """A recorded step: `function_id`, `function_name`, `output`, `error`, `child_workflow_id`, and when it ran.

    What it holds is a key and an attribute. The keys `started_at_epoch_ms` and `completed_at_epoch_ms` hold
    milliseconds; the attributes `started_at` and `completed_at` give datetimes. `name` is `function_name`.
    """

    @property
    def name(self) -> str:
        """What ran: a step's name, a workflow's, or `DBOS.` and what DBOS did."""
        return str(self["function_name"])

    @property
    def started_at(self) -> datetime | None:
        """When it began."""
        return _moment(self["started_at_epoch_ms"])

    @property
    def completed_at(self) -> datetime | None:
        """When it was recorded."""
        return _moment(self["completed_at_epoch_ms"])

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a step has no {name!r}; it has {', '.join(self)}") from None

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return (dict, (dict(self),))  # what other releases read


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
