"""Options set around calls, and options of the client's calls."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Literal, NotRequired, Required, TypedDict

from dbos.engine.context import EnqueueSettings, PendingId, enqueue_settings, pending_id

DuplicationPolicy = Literal["reject", "return-existing"]
MAX_PRIORITY = 2**31 - 1


class EnqueueOptions(TypedDict, total=False):
    """What the client enqueues; `workflow_name` and `queue_name` are required."""

    workflow_name: Required[str]
    queue_name: Required[str]
    workflow_id: NotRequired[str]
    app_version: NotRequired[str]
    workflow_timeout: NotRequired[float]
    delay_seconds: NotRequired[float]
    deduplication_id: NotRequired[str]
    duplication_policy: NotRequired[DuplicationPolicy]
    priority: NotRequired[int]
    class_name: NotRequired[str]
    instance_name: NotRequired[str]
    max_recovery_attempts: NotRequired[int]
    """Accepted from older code and not used: the decorator of the workflow says it."""


class SetWorkflowID:
    """Give the first workflow that is started in the block this ID.

    The ID is an idempotency key: a workflow with an ID that is taken is not started again.
    Raises ValueError for blank text.
    """

    def __init__(self, wfid: str) -> None:
        if not isinstance(wfid, str):
            raise TypeError(f"workflow ID: expected text, got {type(wfid).__name__}")
        if not wfid.strip():
            raise ValueError("workflow ID: expected text that is not blank")
        self._workflow_id = wfid
        self._token: Token[PendingId | None] | None = None

    def __enter__(self) -> SetWorkflowID:
        self._token = pending_id.set(PendingId(self._workflow_id))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            pending_id.reset(self._token)
            self._token = None


class SetEnqueueOptions:
    """Options for the workflows that are enqueued in the block.

    `deduplication_id`: at most one active workflow of the queue has it; another raises
    DBOSQueueDeduplicatedError, or with `duplication_policy="return-existing"` attaches to the first.
    `priority`: 1 to 2147483647, lower first; without one a workflow comes before all that have one.
    `delay_seconds`: not before that time. `app_version`: only workers of that version.
    """

    def __init__(
        self,
        *,
        deduplication_id: str | None = None,
        priority: int | None = None,
        app_version: str | None = None,
        delay_seconds: float | None = None,
        duplication_policy: DuplicationPolicy = "reject",
    ) -> None:
        self._settings = EnqueueSettings(
            deduplication_id=deduplication_id,
            duplication_policy=check_policy(duplication_policy),
            priority=check_priority(priority),
            app_version=app_version,
            delay_seconds=check_delay(delay_seconds),
        )
        self._token: Token[EnqueueSettings | None] | None = None

    def __enter__(self) -> SetEnqueueOptions:
        self._token = enqueue_settings.set(self._settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            enqueue_settings.reset(self._token)
            self._token = None


def check_priority(priority: int | None) -> int | None:
    """The priority. Raises TypeError or ValueError saying what was expected."""
    if priority is None:
        return None
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority: expected a whole number, got {priority!r}")
    if not 1 <= priority <= MAX_PRIORITY:
        raise ValueError(f"priority: expected 1 to {MAX_PRIORITY}, got {priority}")
    return priority


def check_delay(seconds: float | None) -> float | None:
    """The delay. Raises TypeError or ValueError saying what was expected."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"delay_seconds: expected seconds, got {seconds!r}")
    if seconds < 0:
        raise ValueError(f"delay_seconds: expected 0 or more, got {seconds}")
    return seconds


def check_policy(policy: str) -> str:
    """The duplication policy. Raises ValueError saying what was expected."""
    if policy not in {"reject", "return-existing"}:
        raise ValueError(f"duplication_policy: expected 'reject' or 'return-existing', got {policy!r}")
    return policy
