"""Options set around calls, and options of the client's calls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Literal, NotRequired, Required, TypedDict

from dbos._error import DBOSException
from dbos.core.ids import check_text
from dbos.core.limits import MAX_SECONDS
from dbos.engine.context import EnqueueSettings, PendingId, enqueue_settings, pending_id

DuplicationPolicy = Literal["reject", "return-existing"]
MAX_PRIORITY = 2**31 - 1
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")
"""NUL in JSON: its escape, unless the backslash is escaped itself."""


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
    Raises ValueError for text that is blank or cannot be stored, TypeError for other types.
    """

    def __init__(self, wfid: str) -> None:
        self._workflow_id = check_text(wfid, subject="workflow ID")
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
            deduplication_id=None
            if deduplication_id is None
            else check_text(deduplication_id, subject="deduplication_id"),
            duplication_policy=check_policy(duplication_policy),
            priority=check_priority(priority),
            app_version=app_version,
            delay_seconds=check_seconds(delay_seconds, subject="delay_seconds"),
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


def check_seconds(seconds: float | None, *, subject: str) -> float | None:
    """A number of seconds. Raises TypeError or ValueError saying what was expected."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{subject}: expected seconds, got {seconds!r}")
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"{subject}: expected 0 to {MAX_SECONDS} seconds, got {seconds}")
    return seconds


def check_policy(policy: str) -> str:
    """The duplication policy. Raises ValueError saying what was expected."""
    if policy not in {"reject", "return-existing"}:
        raise ValueError(f"duplication_policy: expected 'reject' or 'return-existing', got {policy!r}")
    return policy


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
