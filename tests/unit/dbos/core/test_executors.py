"""Who runs a workflow, and when another process counts as gone."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from dbos.core.executors import (
    LEFT_AT_MS,
    PROCESS_LENGTH,
    Executor,
    ProcessToken,
    is_gone,
    is_predecessor,
    lock_key,
    owner_token,
    process_token,
)
from dbos.core.ids import ExecutorId

GRACE, LEASE = 7_000, 30_000
LONG = 1_000_000
NOW = 1_000_000_000


def an_executor(*, silent_ms: int = 0, **fields: object) -> Executor:
    """Another process, which holds its lock; keywords replace fields."""
    given = {
        "process": ProcessToken("8f14e45f-ceea-4d38"),
        "executor_id": ExecutorId("local"),
        "host": "host",
        "pid": 7,
        "machine": "machine",
        "process_started": "1",
        "heartbeat_ms": NOW - silent_ms,
        "silent_ms": silent_ms,
        "grace_ms": GRACE,
        "lease_ms": LEASE,
        "locked": True,
        "gone_ms": None,
        "gone_for_ms": None,
    }
    return Executor(**{**given, **fields})  # type: ignore[arg-type]


def test_an_owner_token_is_a_uuid_that_begins_with_its_process() -> None:
    process = process_token(uuid4())
    first, second = owner_token(process, uuid4()), owner_token(process, uuid4())
    assert first != second
    assert {UUID(first).version, UUID(second).version} == {4}
    assert first[:PROCESS_LENGTH] == second[:PROCESS_LENGTH] == process


def test_each_process_has_a_lock_of_its_own_that_fits_a_bigint() -> None:
    keys = {lock_key(process_token(uuid4())) for _ in range(1000)}
    assert len(keys) == 1000
    assert all(0 <= key < 2**60 for key in keys)
    assert lock_key(process_token(UUID("ffffffff-ffff-4fff-bfff-ffffffffffff"))) == 2**60 - 1


@pytest.mark.parametrize(
    ("silent_ms", "locked", "steady_ms", "gone"),
    [
        (GRACE - 1, False, LONG, False),  # its connection broke: it has time to take the lock again
        (GRACE, False, LONG, True),
        (GRACE, True, LONG, False),  # busy, but connected
        (LEASE - 1, True, LONG, False),
        (LEASE, True, LONG, True),  # frozen, or its server has not noticed yet
        (GRACE, None, LONG, False),  # it cannot hold a lock: only heartbeats count
        (LEASE, None, LONG, True),
    ],
)
def test_silence_counts_from_the_grace_with_a_free_lock_and_from_the_lease_without(
    silent_ms: int, locked: bool | None, steady_ms: int, gone: bool
) -> None:
    other = an_executor(silent_ms=silent_ms, locked=locked)
    assert is_gone(other, steady_ms=steady_ms, ended=False) is gone


@pytest.mark.parametrize(
    ("silent_ms", "steady_ms", "gone"),
    [
        (60_000, 0, False),  # the database is just back
        (60_000, GRACE, False),  # others may need longer to find it
        (60_000, LEASE - 1, False),
        (60_000, LEASE, True),
        (GRACE, GRACE, True),  # heard while this process listened, then no more
        (2 * GRACE - 1, GRACE, True),  # heard so shortly before this process began that nothing was missed
        (2 * GRACE - 1, GRACE - 1, False),
        (2 * GRACE, GRACE, False),
    ],
)
def test_after_an_outage_everybody_has_a_lease_to_come_back(silent_ms: int, steady_ms: int, gone: bool) -> None:
    assert is_gone(an_executor(silent_ms=silent_ms, locked=False), steady_ms=steady_ms, ended=False) is gone


def test_a_process_that_says_so_is_gone_at_once() -> None:
    assert is_gone(an_executor(heartbeat_ms=LEFT_AT_MS), steady_ms=0, ended=False)


@pytest.mark.parametrize(
    ("silent_ms", "locked", "gone"),
    [
        (0, False, True),
        (0, True, False),  # its machine was copied: the other copy lives, with this pid
        (0, None, False),
        (GRACE, None, True),  # nobody can tell more where there are no locks
    ],
)
def test_a_pid_that_is_gone_tells_of_a_death_with_the_lock_or_the_heartbeats(
    silent_ms: int, locked: bool | None, gone: bool
) -> None:
    assert is_gone(an_executor(silent_ms=silent_ms, locked=locked), steady_ms=0, ended=True) is gone


@pytest.mark.parametrize(
    ("fields", "predecessor"),
    [
        ({}, False),
        ({"locked": False}, True),  # a container that was restarted under its name
        ({"locked": None}, True),
        ({"silent_ms": LEASE}, True),
        ({"gone_ms": NOW}, True),
        ({"heartbeat_ms": LEFT_AT_MS}, True),
        ({"executor_id": "local", "locked": False}, False),  # anybody is called so
        ({"executor_id": "local", "gone_ms": NOW}, True),
    ],
)
def test_an_id_of_ones_own_belongs_to_who_starts_with_it_unless_its_lock_is_held(
    fields: dict[str, object], predecessor: bool
) -> None:
    other = an_executor(**{"executor_id": ExecutorId("pod-1"), **fields})  # type: ignore[arg-type]
    assert is_predecessor(other, ended=False) is predecessor


@pytest.mark.parametrize(("locked", "predecessor"), [(True, False), (False, True), (None, True)])
def test_a_pid_that_is_gone_tells_who_starts_again_unless_the_lock_is_held(
    locked: bool | None, predecessor: bool
) -> None:
    assert is_predecessor(an_executor(locked=locked), ended=True) is predecessor
