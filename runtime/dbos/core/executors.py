"""Executors of an application: whose a workflow is, and when another process counts as gone.

The owner token of an execution begins with the token of its process. So a row tells which process runs it,
also where several share an executor ID, and nothing else has to be recorded.

    8f14e45f-ceea-4d38  -a3c0-5b1e6a8d2f47
    the process           this execution
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType
from uuid import UUID

from dbos.core.ids import ExecutorId, OwnerToken

ProcessToken = NewType("ProcessToken", str)

PROCESS_LENGTH = 18
"""How many characters of an owner token name the process; SQL compares as many."""
LEFT_AT_MS = 0
"""The heartbeat of a process that has said itself that it is gone."""
SHARED_ID: ExecutorId = ExecutorId("local")
"""The executor ID of every process that was given none."""


def process_token(random: UUID) -> ProcessToken:
    """The token of a process: 60 random bits of a UUID of version 4."""
    return ProcessToken(str(random)[:PROCESS_LENGTH])


def owner_token(process: ProcessToken, random: UUID) -> OwnerToken:
    """A fresh token for what a process begins to run: a UUID of version 4 as other SDKs write."""
    return OwnerToken(process + str(random)[PROCESS_LENGTH:])


def lock_key(process: ProcessToken) -> int:
    """The advisory lock that a process holds while it is connected: a positive bigint."""
    digits = process.replace("-", "")
    return int(digits[:12] + digits[13:], 16)  # without the digit of the version


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Another process of the application, as its row says; ages by the database's clock."""

    process: ProcessToken
    executor_id: ExecutorId
    host: str
    pid: int
    machine: str | None
    process_started: str | None
    heartbeat_ms: int
    silent_ms: int
    """How long ago its last heartbeat was."""
    grace_ms: int
    """How long it may be silent while its lock is free."""
    lease_ms: int
    """How long it may be silent at all."""
    locked: bool | None
    """Whether it holds its lock; None for one that has none, or when that was not looked at."""
    gone_ms: int | None
    """Since when it counts as gone."""
    gone_for_ms: int | None

    @property
    def left(self) -> bool:
        """Whether it said itself that it was gone."""
        return self.heartbeat_ms == LEFT_AT_MS


def is_gone(other: Executor, *, steady_ms: int, ended: bool) -> bool:
    """Whether a process is dead, or so silent that others go on with its workflows.

    `ended` says that its pid is gone from its machine; a copy of that machine may look like it, so that the lock or
    the heartbeats must be gone, too. `steady_ms` is for how long the one who asks has had its
    own heartbeats through without a gap: silence counts only while somebody could have heard, apart from less than a
    grace before it, which is no gap for anybody. After a restart of the database, or when all were frozen together,
    everybody has been silent for longer, and each gets a lease to come back.
    """
    if other.left or (ended and (other.locked is False or other.silent_ms >= other.grace_ms)):
        return True
    if min(other.silent_ms, steady_ms) >= other.lease_ms:
        return True
    heard = other.silent_ms - steady_ms < other.grace_ms
    return other.locked is False and heard and min(other.silent_ms, steady_ms) >= other.grace_ms


def is_predecessor(other: Executor, *, ended: bool) -> bool:
    """Whether a process of the same executor ID is gone, for one that starts.

    An ID of one's own belongs to whoever starts with it, unless the other one holds its lock. The ID that all
    share says nothing: there the other must be gone as for everybody else.
    """
    if other.left or other.gone_ms is not None or (ended and other.locked is not True):
        return True
    if other.executor_id == SHARED_ID:
        return False
    return other.locked is not True or other.silent_ms >= other.lease_ms
