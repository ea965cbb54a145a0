"""WorkflowStatus and SendMessage, under the path that pickles of every DBOS for Python name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict


class WorkflowInputs(TypedDict):
    """The arguments of a workflow."""

    args: tuple[Any, ...]
    """The positional arguments."""
    kwargs: dict[str, Any]
    """Those given by name."""


@dataclass
class SendMessage:
    """A message to a workflow; of those with an idempotency key a workflow gets one."""

    destination_id: str
    """The ID of the workflow that gets it."""
    message: Any
    """Any value that the format has a form for."""
    topic: str | None = None
    """Which `recv` gets it; None: one without a topic."""
    idempotency_key: str | None = None
    """Of messages with one key the workflow gets one."""


class WorkflowStatus:
    """Everything known of a workflow. Times are epoch milliseconds."""

    workflow_id: str
    """The ID, which is an idempotency key."""
    status: str
    """ENQUEUED, DELAYED, PENDING, SUCCESS, ERROR, CANCELLED or MAX_RECOVERY_ATTEMPTS_EXCEEDED."""
    name: str
    """What the decorator calls the workflow: its `name`, else the qualified name of the function."""
    class_name: str | None
    """Of methods: the name of their class."""
    config_name: str | None
    """Of methods of instances: the instance's `config_name`."""
    authenticated_user: str | None
    """Who it runs for; None: nobody was authenticated."""
    assumed_role: str | None
    """The required role by which it runs."""
    authenticated_roles: list[str] | None
    """The roles of that user."""
    input: WorkflowInputs | None
    """The arguments; their stored text when they cannot be read here, None with `load_input=False`."""
    output: Any | None
    """What it returned; None until then and with `load_output=False`."""
    error: Exception | None
    """What it raised; None until then and with `load_output=False`."""
    created_at: int | None
    """When it was started or enqueued."""
    updated_at: int | None
    """When its row last changed."""
    queue_name: str | None
    """The queue it waits or waited on; None: it was started directly."""
    executor_id: str | None
    """The process that runs it, or that ran it last."""
    app_version: str | None
    """The application version that may run it; None: the latest one."""
    workflow_timeout_ms: int | None
    """The timeout it was given of its own, in milliseconds."""
    workflow_deadline_epoch_ms: int | None
    """When it is cancelled."""
    deduplication_id: str | None
    """The ID it holds on its queue; None once it has ended."""
    priority: int | None
    """0: none, which comes before all; else 1 to 2147483647, lower first."""
    queue_partition_key: str | None
    """Its lane of a partitioned queue."""
    forked_from: str | None
    """The workflow that this one is a fork of."""
    was_forked_from: bool
    """Whether this one was forked."""
    parent_workflow_id: str | None
    """The workflow that started it."""
    dequeued_at: int | None
    """When a worker took it from its queue; None for what is on none."""
    delay_until_epoch_ms: int | None
    """When its delay is or was over."""
    completed_at: int | None
    """When it ended, however it did."""
    attributes: dict[str, Any] | None
    """Its labels, a JSON object."""
    schedule_name: str | None
    """The schedule that started it."""
    application_name: str | None
    """The application that owns it; None: any may take it."""
    app_id: str | None
    """What the variable DBOS__APPID was where it was started."""
    recovery_attempts: int | None
    """How often an execution of it was begun."""
    undispatchable: str | None = None
    """Why nobody takes it although it waits: `unregistered queue`, `no partition key` or `unknown function`; None
    when nothing is known to keep it. Other releases do not have it."""

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
