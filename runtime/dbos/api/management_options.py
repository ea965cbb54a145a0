"""What management calls are given, checked: IDs, delays, attributes, forks and rewinds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from dbos._error import DBOSException
from dbos.api.options import check_seconds
from dbos.core.ids import INTERNAL_QUEUE, WorkflowId, check_name, check_text
from dbos.core.refusals import said_by
from dbos.engine.context import take_pending_id
from dbos.engine.services import epoch_ms
from dbos.engine.uuids import new_workflow_id
from dbos.store.filters import StepFilter
from dbos.store.forks import Fork, Rewind


class _Handle(Protocol):
    workflow_id: str


HandleT = TypeVar("HandleT", bound=_Handle)


def check_ids(workflow_ids: Sequence[str]) -> list[str]:
    """The IDs. Raises TypeError for what is no list of text, ValueError for blank text."""
    if isinstance(workflow_ids, str) or not isinstance(workflow_ids, Sequence):
        raise TypeError(f"workflow_ids: expected a list of workflow IDs, got {workflow_ids!r}")
    return [check_text(workflow_id, subject="workflow ID") for workflow_id in workflow_ids]


def check_count(subject: str, count: int | None) -> int | None:
    """How many rows to give, or to pass over. Raises TypeError or ValueError saying what was expected."""
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{subject}: expected a whole number, got {count!r}")
    if count < 0:
        raise ValueError(f"{subject}: expected 0 or more, got {count}")
    return count


def check_page(workflow_id: str, *, load_output: bool, limit: int | None, offset: int | None) -> StepFilter:
    """Which steps to list. Raises TypeError or ValueError naming what cannot be."""
    rows = {"limit": check_count("limit", limit), "offset": check_count("offset", offset)}
    (only,) = check_ids([workflow_id])
    return StepFilter(workflow_id=only, load_output=load_output, **rows)


def ids_of(handles: Sequence[HandleT]) -> dict[str, HandleT]:
    """Handles by their IDs.

    Raises TypeError for what is no list of handles, ValueError for none at all, and for two of one workflow.
    """
    if not isinstance(handles, Collection) or not all(hasattr(each, "workflow_id") for each in handles):
        raise TypeError(f"handles: expected a list of handles to workflows, got {handles!r}")
    by_id = {handle.workflow_id: handle for handle in handles}
    if not by_id:
        raise ValueError("handles: expected at least one handle, got none")
    if len(by_id) < len(handles):
        raise ValueError("handles: expected a handle of each workflow once, got several of one")
    return by_id


def check_queue(name: str | None) -> str:
    """The queue to run on: the internal one unless named. Raises as check_name."""
    return INTERNAL_QUEUE if name is None else check_name(name, subject="queue_name")


def delay_until(seconds: float | None, epoch: int | None) -> Callable[[], int]:
    """When a delay ends, computed when it is asked for. That raises DBOSException unless one time was given."""

    def until() -> int:
        if (seconds is None) == (epoch is None):
            raise DBOSException("Expected either delay_seconds or delay_until_epoch_ms")
        if epoch is not None:
            return epoch
        try:
            checked = check_seconds(seconds, subject="delay_seconds")
        except (TypeError, ValueError) as error:
            raise DBOSException(said_by(error)) from error
        return epoch_ms() + int((checked or 0) * 1000)

    return until


def fork_of(
    workflow_id: str,
    start_step: int,
    *,
    application_version: str | None,
    queue_name: str | None,
    queue_partition_key: str | None,
    replacement_children: Mapping[str, str] | None,
    timeout_seconds: float | None,
) -> Fork:
    """What a fork is to be; its ID is new, or that of SetWorkflowID.

    Raises TypeError or ValueError naming what cannot be.
    """
    timeout = check_seconds(timeout_seconds, subject="timeout_seconds")
    if timeout == 0:
        raise ValueError("timeout_seconds: expected more than 0 seconds, got 0")
    if replacement_children is not None and not isinstance(replacement_children, Mapping):
        raise TypeError(
            f"replacement_children: expected a dictionary of workflow IDs to others, got {replacement_children!r}"
        )
    return Fork(
        workflow_id=check_text(workflow_id, subject="workflow ID"),
        fork_id=WorkflowId(take_pending_id() or new_workflow_id()),
        start_step=_check_step(start_step, least=0),
        queue=check_queue(queue_name),
        partition_key=queue_partition_key,
        version=application_version,
        timeout_ms=None if timeout is None else int(timeout * 1000),
        replacement_children=dict(replacement_children or {}),
    )


def rewind_of(
    workflow_id: str,
    start_step: int | None,
    application_version: str | None,
    queue_name: str | None,
    queue_partition_key: str | None,
) -> Rewind:
    """What a rewind is to be. Raises TypeError or ValueError naming what cannot be."""
    return Rewind(
        workflow_id=check_text(workflow_id, subject="workflow ID"),
        start_step=1 if start_step is None else _check_step(start_step, least=1),
        queue=check_queue(queue_name),
        partition_key=queue_partition_key,
        version=application_version,
    )


def _check_step(step: object, *, least: int) -> int:
    if isinstance(step, bool) or not isinstance(step, int):
        raise TypeError(f"start_step: expected a function_id, got {step!r}")
    if step < least:
        raise ValueError(f"start_step: expected at least {least}, got {step}")
    return step
