"""Executors: heartbeats, and what is made runnable again when one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest

from dbos.core.executors import Executor, ProcessToken, is_gone, owner_token, process_token
from dbos.core.ids import INTERNAL_QUEUE, ExecutorId
from dbos.store.database import SystemDatabase
from dbos.store.executors import Identity, Observation, forget, leave, note_heartbeat, take_over
from support.bystander import Bystander, bystander
from support.store_records import opened

pytestmark = pytest.mark.both_databases
GRACE, LEASE = 70_000, 300_000
LONG = 1_000_000


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """A system database with the tables of the runtime."""
    with opened(database_url) as store:
        assert store.prepare_runtime_tables()
        yield store


@pytest.fixture
def sql(database: SystemDatabase, database_url: str) -> Iterator[Bystander]:
    """A connection of a bystander."""
    with bystander(database_url) as connection:
        yield connection


def a_process(executor: str = "local", **fields: object) -> Identity:
    """What a process says of itself; keywords replace fields."""
    given = {
        "system_schema": "dbos",
        "process": process_token(uuid4()),
        "application": "orders",
        "executor_id": ExecutorId(executor),
        "version": "v1",
        "host": "host",
        "pid": 7,
        "machine": None,
        "process_started": None,
        "lock_key": None,
        "grace_ms": GRACE,
        "lease_ms": LEASE,
    }
    return Identity(**{**given, **fields})  # type: ignore[arg-type]


def beat(database: SystemDatabase, identity: Identity, *, closely: bool = False) -> Observation:
    """One heartbeat, and what it saw."""
    return database.run(partial(note_heartbeat, identity, closely=closely))


def age(sql: Bystander, identity: Identity, milliseconds: int, *columns: str) -> None:
    """Let times of a process be longer ago."""
    for column in columns or ("heartbeat_ms",):
        sql.execute(
            f"UPDATE dbos_runtime.executors SET {column} = {column} - %s WHERE process_token = %s",
            (milliseconds, identity.process),
        )


def seen(observed: Observation, identity: Identity) -> Executor:
    """A process as another one sees it."""
    [executor] = [other for other in observed.others if other.process == identity.process]
    return executor


def run(sql: Bystander, process: ProcessToken, workflow_id: str, *, queue: str | None = None) -> str:
    """A workflow that a process runs; its owner token."""
    owner = owner_token(process, uuid4())
    sql.execute(
        "INSERT INTO dbos.workflow_status (workflow_uuid, status, name, executor_id, application_version,"
        " application_name, owner_xid, queue_name, recovery_attempts, started_at_epoch_ms)"
        " VALUES (%s, 'PENDING', 'work', 'local', 'v1', 'orders', %s, %s, 1, 5)",
        (workflow_id, owner, queue),
    )
    return owner


def workflows(sql: Bystander) -> dict[str, tuple[object, ...]]:
    """Each workflow's status, queue, owner, attempts, version and time of its start."""
    rows = sql.execute("SELECT * FROM dbos.workflow_status").fetchall()
    columns = ("status", "queue_name", "owner_xid", "recovery_attempts", "application_version", "started_at_epoch_ms")
    return {row["workflow_uuid"]: tuple(row[column] for column in columns) for row in rows}


def test_who_speaks_is_no_suspect_and_who_is_silent_is(database: SystemDatabase, sql: Bystander) -> None:
    survivor, other = a_process(), a_process()
    beat(database, other)
    assert beat(database, survivor).others == []
    age(sql, other, GRACE)
    silent = seen(beat(database, survivor), other)
    assert silent.silent_ms >= GRACE
    assert (silent.executor_id, silent.pid, silent.gone_ms, silent.locked) == ("local", 7, None, None)
    beat(database, other)
    assert beat(database, survivor).others == []


def test_who_starts_sees_everybody_of_its_executor_id(database: SystemDatabase) -> None:
    survivor, same, different = a_process("pod-1"), a_process("pod-1"), a_process("pod-2")
    beat(database, same)
    beat(database, different)
    assert [other.process for other in beat(database, survivor, closely=True).others] == [same.process]


def test_processes_of_one_machine_are_always_seen(database: SystemDatabase) -> None:
    survivor, other = a_process(machine="here"), a_process(machine="here", process_started="3")
    beat(database, other)
    neighbour = seen(beat(database, survivor), other)
    assert (neighbour.machine, neighbour.process_started) == ("here", "3")


def test_other_applications_and_system_schemas_are_nobodys_business(database: SystemDatabase, sql: Bystander) -> None:
    survivor = a_process(machine="here")
    for other in (
        a_process(machine="here", application="shop"),
        a_process(machine="here", system_schema="dbos_2"),
    ):
        beat(database, other)
        age(sql, other, LEASE)
    assert beat(database, survivor, closely=True).others == []


def test_a_gap_in_ones_own_heartbeats_begins_a_new_steady_time(database: SystemDatabase, sql: Bystander) -> None:
    survivor = a_process()
    assert beat(database, survivor).steady_ms == 0
    age(sql, survivor, GRACE - 30_000)
    age(sql, survivor, LONG, "steady_since_ms")
    assert beat(database, survivor).steady_ms >= LONG
    age(sql, survivor, GRACE + 1)
    assert beat(database, survivor).steady_ms == 0


@pytest.mark.postgresql_only
def test_of_who_is_silent_it_is_told_whether_its_lock_is_held(database: SystemDatabase, sql: Bystander) -> None:
    key = 2**60 - 7
    survivor, other = a_process(), a_process(lock_key=key)
    beat(database, other)
    age(sql, other, GRACE)
    sql.execute("SELECT pg_advisory_lock(%s)", (key,))
    assert seen(beat(database, survivor), other).locked is True
    sql.execute("SELECT pg_advisory_unlock(%s)", (key,))
    assert seen(beat(database, survivor), other).locked is False


def test_what_one_process_left_goes_back_and_nothing_else_is_touched(database: SystemDatabase, sql: Bystander) -> None:
    survivor, dead, living = a_process(), a_process(), a_process()
    for process in (dead, living):
        beat(database, process)
    run(sql, dead.process, "queued", queue="work")
    run(sql, dead.process, "direct")
    kept = run(sql, living.process, "living", queue="work")
    foreign = run(sql, process_token(uuid4()), "foreign", queue="work")
    sql.execute(
        "INSERT INTO dbos.workflow_status (workflow_uuid, status, owner_xid) VALUES ('ended', 'CANCELLED', %s)",
        (owner_token(dead.process, uuid4()),),
    )
    before = workflows(sql)["ended"]
    age(sql, dead, LEASE)
    executor = seen(beat(database, survivor), dead)
    assert is_gone(executor, steady_ms=LONG, ended=False)
    [taken] = database.run(partial(take_over, "dbos", [executor]))
    assert taken.process == dead.process
    assert sorted(taken.workflows) == [("direct", INTERNAL_QUEUE), ("queued", "work")]
    assert workflows(sql) == {
        "queued": ("ENQUEUED", "work", None, 1, "v1", None),
        "direct": ("ENQUEUED", INTERNAL_QUEUE, None, 1, "v1", None),
        "living": ("PENDING", "work", kept, 1, "v1", 5),
        "foreign": ("PENDING", "work", foreign, 1, "v1", 5),
        "ended": before,
    }


def test_of_two_that_take_over_the_second_finds_nothing(database: SystemDatabase, sql: Bystander) -> None:
    survivor, dead = a_process(), a_process()
    beat(database, dead)
    age(sql, dead, LEASE)
    run(sql, dead.process, "workflow")
    executor = seen(beat(database, survivor), dead)
    assert [len(taken.workflows) for taken in database.run(partial(take_over, "dbos", [executor]))] == [1]
    assert database.run(partial(take_over, "dbos", [executor])) == []


def test_a_heartbeat_since_the_look_saves_the_process(database: SystemDatabase, sql: Bystander) -> None:
    survivor, frozen = a_process(), a_process()
    beat(database, frozen)
    age(sql, frozen, LEASE)
    owner = run(sql, frozen.process, "workflow")
    executor = seen(beat(database, survivor), frozen)
    beat(database, frozen)
    assert database.run(partial(take_over, "dbos", [executor])) == []
    assert workflows(sql)["workflow"][2] == owner


def test_a_process_that_comes_back_lives_again(database: SystemDatabase, sql: Bystander) -> None:
    survivor, frozen = a_process(), a_process()
    beat(database, frozen)
    age(sql, frozen, LEASE)
    database.run(partial(take_over, "dbos", [seen(beat(database, survivor), frozen)]))
    assert seen(beat(database, survivor), frozen).gone_ms is not None
    assert beat(database, frozen).steady_ms == 0
    assert beat(database, survivor).others == []


def test_what_a_process_claimed_after_it_was_gone_is_found_at_the_second_look(
    database: SystemDatabase, sql: Bystander
) -> None:
    survivor, dead = a_process(), a_process()
    beat(database, dead)
    age(sql, dead, LEASE)
    database.run(partial(take_over, "dbos", [seen(beat(database, survivor), dead)]))
    run(sql, dead.process, "late")
    age(sql, dead, LEASE, "gone_ms")
    executor = seen(beat(database, survivor), dead)
    assert executor.gone_for_ms is not None
    assert executor.gone_for_ms >= LEASE
    assert database.run(partial(forget, "dbos", [executor])) == []
    [taken] = database.run(partial(take_over, "dbos", [executor]))
    assert [workflow_id for workflow_id, _ in taken.workflows] == ["late"]
    assert database.run(partial(forget, "dbos", [executor])) == [dead.process]
    assert beat(database, survivor).others == []


def test_who_stops_with_nothing_left_is_removed(database: SystemDatabase, sql: Bystander) -> None:
    survivor, leaving = a_process(), a_process()
    beat(database, leaving)
    assert database.run(partial(leave, leaving))
    assert beat(database, survivor, closely=True).others == []


def test_what_is_left_by_who_stops_is_for_others_at_once(database: SystemDatabase, sql: Bystander) -> None:
    survivor, leaving = a_process(), a_process()
    beat(database, leaving)
    run(sql, leaving.process, "workflow")
    assert not database.run(partial(leave, leaving))
    observed = beat(database, survivor)
    executor = seen(observed, leaving)
    assert observed.steady_ms == 0
    assert is_gone(executor, steady_ms=0, ended=False)
    [taken] = database.run(partial(take_over, "dbos", [executor]))
    assert [workflow_id for workflow_id, _ in taken.workflows] == ["workflow"]
