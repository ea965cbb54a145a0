"""Claims and what gives workflows back: bounded, in order, within every limit, exactly as they were."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from dbos.core.ids import OwnerToken
from dbos.core.limits import QueueLimits
from dbos.store.catalog import Catalog
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import (
    ClaimRequest,
    background_lock_key,
    bury_workflow,
    claim_statement,
    recover_workflows,
    release_workflows,
    sweep_due_rows,
)
from dbos.store.dialects.postgres import PostgresConnection, is_conflict
from dbos.store.operation import Row
from dbos.store.rows import NewWorkflow
from support.bystander import Bystander
from support.postgres import PostgresServer
from support.store_records import (
    a_claimant,
    a_running_workflow,
    a_step,
    a_workflow,
    an_outcome,
    claim,
    opened,
    writing,
)


def _store(database: SystemDatabase, *records: Any) -> None:
    with writing(database) as writer:
        for future in [writer.submit(record) for record in records]:
            future.result(10)


def _many(count: int, **fields: Any) -> list[NewWorkflow]:
    return [a_workflow(f"w{number:03}", **fields) for number in range(count)]


def _age(sql: Bystander) -> None:
    """Give rows the creation times of their IDs' order."""
    sql.execute(
        "UPDATE dbos.workflow_status w SET created_at = o.n FROM (SELECT workflow_uuid, row_number() OVER"
        " (ORDER BY workflow_uuid) AS n FROM dbos.workflow_status) o WHERE o.workflow_uuid = w.workflow_uuid"
    )


def _row(sql: Bystander, workflow_id: str) -> dict[str, Any]:
    row = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row


def _ids(claimed: list[Any]) -> list[str]:
    return [workflow.workflow_id for workflow in claimed]


def test_a_claim_is_bounded_and_takes_the_oldest(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, *_many(10))
    _age(sql)
    assert _ids(claim(database, limit=4)) == ["w000", "w001", "w002", "w003"]
    assert _ids(claim(database, limit=100)) == [f"w{number:03}" for number in range(4, 10)]
    assert claim(database) == []


def test_priorities_come_before_age(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, *(a_workflow(f"w{number}", priority=priority) for number, priority in enumerate((5, 0, 1, 5))))
    _age(sql)
    assert _ids(claim(database)) == ["w1", "w2", "w0", "w3"]


def test_a_claim_writes_what_says_who_runs_it(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("w", application_version=None, application_name=None, timeout_ms=500))
    [claimed] = claim(database, a_claimant("pod-1"), now_ms=1_000_000)
    row = _row(sql, "w")
    wanted = {
        "status": "PENDING",
        "executor_id": "pod-1",
        "application_version": "v1",
        "application_name": "orders",
        "recovery_attempts": 1,
        "rate_limited": False,
        "owner_xid": claimed.owner,
        "workflow_deadline_epoch_ms": 1_000_500,
        "workflow_timeout_ms": 500,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["started_at_epoch_ms"] == row["updated_at"]
    assert claimed.inputs is not None
    assert (claimed.recovery_attempts, claimed.replayed, claimed.deadline_ms) == (1, False, 1_000_500)


def test_a_deadline_that_is_set_stays_and_a_huge_timeout_does_not_overflow(
    database: SystemDatabase, sql: Bystander
) -> None:
    _store(database, a_workflow("set", timeout_ms=500, deadline_ms=7), a_workflow("huge", timeout_ms=2**63 - 1))
    claim(database, now_ms=1_000_000)
    assert _row(sql, "set")["workflow_deadline_epoch_ms"] == 7
    assert _row(sql, "huge")["workflow_deadline_epoch_ms"] == 2**63 - 1


def test_a_claim_tells_whether_steps_are_recorded(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("fresh"), a_running_workflow("replayed", queue_name="work"))
    _store(database, a_step("replayed"))
    sql.execute("UPDATE dbos.workflow_status SET status = 'ENQUEUED'")
    assert {workflow.workflow_id: workflow.replayed for workflow in claim(database)} == {
        "fresh": False,
        "replayed": True,
    }


def test_inputs_of_older_releases_are_read_from_their_old_place(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("old"))
    sql.execute("DELETE FROM dbos.workflow_input")
    sql.execute("UPDATE dbos.workflow_status SET inputs = 'legacy'")
    assert [workflow.inputs for workflow in claim(database)] == ["legacy"]


@pytest.mark.parametrize(
    ("version", "latest", "claimed"),
    [("v1", "v1", True), (None, "v1", True), (None, "v2", False), (None, None, True), ("v2", "v1", False)],
)
def test_only_rows_of_ones_version_or_for_the_latest_are_claimed(
    database: SystemDatabase, sql: Bystander, version: str | None, latest: str | None, claimed: bool
) -> None:
    if latest is not None:
        sql.execute(
            "INSERT INTO dbos.application_versions (version_id, version_name, version_timestamp, application_name)"
            " VALUES ('a', %s, 9, 'orders'), ('b', 'old', 5, NULL), ('c', 'theirs', 99, 'shop')",
            [latest],
        )
    _store(database, a_workflow("w", application_version=version))
    assert bool(claim(database)) is claimed


@pytest.mark.parametrize(("name", "claimed"), [("orders", True), (None, True), ("shop", False)])
def test_rows_of_other_applications_are_never_claimed(
    database: SystemDatabase, name: str | None, claimed: bool
) -> None:
    _store(database, a_workflow("w", application_name=name))
    assert bool(claim(database)) is claimed


def test_skipped_functions_are_left_and_hide_nothing_behind_them(database: SystemDatabase) -> None:
    _store(
        database,
        *(a_workflow(f"strange{number}", name="strange") for number in range(5)),
        a_workflow("method", name="strange", class_name="Class"),
        a_workflow("known"),
    )
    skipped = next(workflow for workflow in claim(database, limit=1)).function_key
    claimed = claim(database, skipped=(skipped,), limit=2)
    assert set(_ids(claimed)) == {"method", "known"}


def test_claims_side_by_side_never_share_a_workflow(database: SystemDatabase) -> None:
    _store(database, *_many(400))

    def drain(number: int) -> list[str]:
        mine: list[str] = []
        while claimed := claim(database, a_claimant(f"executor-{number}"), limit=7):
            mine += _ids(claimed)
        return mine

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(drain, range(8)))
    assert sorted(workflow_id for share in shares for workflow_id in share) == [
        f"w{number:03}" for number in range(400)
    ]


def test_a_shared_concurrency_leaves_what_runs_elsewhere_out_of_the_budget(
    database: SystemDatabase, sql: Bystander
) -> None:
    _store(database, *_many(10))
    limits = QueueLimits(concurrency=4)
    assert len(claim(database, a_claimant("one"), limits=limits, limit=3)) == 3
    assert len(claim(database, a_claimant("two", version="v1"), limits=limits)) == 1
    assert claim(database, a_claimant("one"), limits=limits) == []
    sql.execute("UPDATE dbos.workflow_status SET status = 'SUCCESS' WHERE executor_id = 'one'")
    assert len(claim(database, a_claimant("two"), limits=limits)) == 3


def test_a_rate_limit_counts_starts_within_the_period_whatever_became_of_them(
    database: SystemDatabase, sql: Bystander
) -> None:
    _store(database, *_many(10))
    limits = QueueLimits(rate_limit=3, rate_period_seconds=60)
    first = claim(database, limits=limits)
    assert len(first) == 3
    sql.execute("UPDATE dbos.workflow_status SET status = 'SUCCESS' WHERE status = 'PENDING'")
    assert claim(database, limits=limits) == []
    sql.execute(
        "UPDATE dbos.workflow_status SET started_at_epoch_ms = started_at_epoch_ms - 61000 WHERE workflow_uuid = %s",
        [first[0].workflow_id],
    )
    assert len(claim(database, limits=limits)) == 1


def test_released_workflows_give_their_rate_back(database: SystemDatabase) -> None:
    _store(database, *_many(5))
    limits = QueueLimits(rate_limit=3, rate_period_seconds=60)
    claimed = claim(database, limits=limits)
    database.run(lambda: release_workflows(claimed))
    assert len(claim(database, limits=limits)) == 3


class Turns:
    """Transactions of several executors, stepped by hand."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._catalog = Catalog.load("dbos.store.sql", schema="dbos")

    def begin(self) -> psycopg.Connection[Any]:
        """A transaction whose view of the database is taken now."""
        connection = psycopg.connect(self._url)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        return connection

    def claim(self, connection: psycopg.Connection[Any], limits: QueueLimits, *, version: str = "v1") -> list[Row]:
        """Claim in a transaction that has begun."""
        request = ClaimRequest(queue="work", limits=limits, owner=OwnerToken("o"), limit=100, skipped=[])
        statement = claim_statement(request, a_claimant(version=version), now_ms=0)
        return PostgresConnection(connection, self._catalog).execute(statement)


@pytest.mark.parametrize(
    "limits",
    [QueueLimits(concurrency=1), QueueLimits(rate_limit=1, rate_period_seconds=60)],
    ids=["concurrency", "rate"],
)
@pytest.mark.parametrize(
    "late", [{"priority": 0}, {"priority": 2, "application_version": "v2"}], ids=["first", "other"]
)
def test_executors_that_look_at_once_and_see_different_rows_first_still_share_one_limit(
    database: SystemDatabase, database_url: str, sql: Bystander, limits: QueueLimits, late: dict[str, Any]
) -> None:
    sql.execute("INSERT INTO dbos.queues (name, updated_at) VALUES ('work', 0)")
    turns = Turns(database_url)
    _store(database, a_workflow("early", priority=1))
    with turns.begin() as one:
        _store(database, a_workflow("late", **late))
        with turns.begin() as two:
            assert len(turns.claim(one, limits)) == 1
            one.commit()
            version = late.get("application_version", "v1")
            with pytest.raises(errors.SerializationFailure) as caught:
                turns.claim(two, limits, version=version)
            assert is_conflict(caught.value)


def test_whoever_meets_a_claim_in_progress_does_not_wait(
    database: SystemDatabase, database_url: str, sql: Bystander
) -> None:
    sql.execute("INSERT INTO dbos.queues (name, updated_at) VALUES ('work', 0)")
    turns = Turns(database_url)
    limits = QueueLimits(concurrency=1)
    _store(database, *_many(2))
    with turns.begin() as one, turns.begin() as two:
        turns.claim(one, limits)
        with pytest.raises(errors.LockNotAvailable):
            turns.claim(two, limits)


def test_a_claim_is_later_than_the_completion_that_made_room_for_it(
    database: SystemDatabase, database_url: str, sql: Bystander
) -> None:
    sql.execute("INSERT INTO dbos.queues (name, updated_at) VALUES ('work', 0)")
    limits = QueueLimits(concurrency=1)
    _store(database, *_many(2))
    _age(sql)
    [first] = claim(database, limits=limits)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")  # arrives before its claim does
        sql.execute("SELECT pg_sleep(0.005)")  # the columns count milliseconds
        _store(database, an_outcome(first.workflow_id, owner=first.owner))
        [second] = Turns(database_url).claim(connection, limits)
        connection.execute("COMMIT")

    assert second["started_at_epoch_ms"] >= _row(sql, first.workflow_id)["completed_at"]


def test_a_claim_leaves_the_row_of_its_queue_as_it_was(database: SystemDatabase, sql: Bystander) -> None:
    sql.execute("INSERT INTO dbos.queues (name, updated_at, concurrency) VALUES ('work', 0, 5)")
    before = sql.execute("SELECT * FROM dbos.queues").fetchall()
    _store(database, *_many(2))
    assert len(claim(database, limits=QueueLimits(concurrency=5))) == 2
    assert sql.execute("SELECT * FROM dbos.queues").fetchall() == before


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    concurrency=st.none() | st.integers(1, 6),
    rate=st.none() | st.integers(1, 8),
    claimers=st.lists(st.tuples(st.sampled_from(["v1", "v2"]), st.integers(1, 9)), min_size=2, max_size=8),
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["v1", "v2", None])), min_size=1, max_size=40),
)
def test_no_interleaving_of_claims_breaks_a_shared_limit(
    postgres_server: PostgresServer,
    concurrency: int | None,
    rate: int | None,
    claimers: list[tuple[str, int]],
    rows: list[tuple[int, str | None]],
) -> None:
    limits = QueueLimits(concurrency=concurrency, rate_limit=rate, rate_period_seconds=None if rate is None else 3600.0)
    with postgres_server.database() as url, opened(url) as database, psycopg.connect(url, autocommit=True) as sql:
        sql.execute("INSERT INTO dbos.queues (name, updated_at) VALUES ('work', 0)")
        half = len(rows) // 2
        records = [a_workflow(priority=priority, application_version=version) for priority, version in rows]
        _store(database, *records[:half])

        def attempt(claimer: tuple[int, tuple[str, int]]) -> None:
            number, (version, limit) = claimer
            for _ in range(3):
                try:
                    claim(database, a_claimant(f"e{number}", version=version), limits=limits, limit=limit)
                except psycopg.Error as error:
                    if not is_conflict(error):
                        raise

        with ThreadPoolExecutor(len(claimers) + 1) as pool:
            working = [pool.submit(attempt, claimer) for claimer in enumerate(claimers)]
            working.append(pool.submit(_store, database, *records[half:]))
            for future in working:
                future.result(20)
        row = sql.execute("SELECT count(*) FROM dbos.workflow_status WHERE status = 'PENDING'").fetchone()
        assert row is not None
        bounds = [bound for bound in (concurrency, rate) if bound is not None]
        assert row[0] <= min(bounds, default=len(rows))


def test_a_release_restores_exactly_what_the_claim_changed(database: SystemDatabase, sql: Bystander) -> None:
    _store(
        database,
        a_workflow("plain", application_version=None, application_name=None),
        a_workflow("full", executor_id="sender", timeout_ms=5, priority=3, recovery_attempts=2, deduplication_id="d"),
        a_workflow("deadline", deadline_ms=10**15),
    )
    names = ("plain", "full", "deadline")
    before = {name: {**_row(sql, name), "updated_at": 0} for name in names}
    for limits in (QueueLimits(), QueueLimits(rate_limit=5, rate_period_seconds=60)):
        claimed = claim(database, a_claimant("pod-9"), limits=limits)
        assert len(claimed) == 3
        assert sorted(database.run(lambda claimed=claimed: release_workflows(claimed))) == sorted(names)  # type: ignore[misc]
        assert {name: {**_row(sql, name), "updated_at": 0} for name in names} == before


def test_a_release_leaves_what_is_no_longer_ones_own(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, *_many(3))
    claimed = claim(database)
    sql.execute("UPDATE dbos.workflow_status SET owner_xid = 'another' WHERE workflow_uuid = 'w000'")
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL WHERE workflow_uuid = 'w001'")
    assert database.run(lambda: release_workflows(claimed)) == ["w002"]
    assert [_row(sql, f"w00{number}")["status"] for number in range(3)] == ["PENDING", "CANCELLED", "ENQUEUED"]


def test_a_recovery_makes_runnable_what_this_executor_and_version_left(
    database: SystemDatabase, sql: Bystander
) -> None:
    mine = {"executor_id": "pod-1"}
    _store(
        database,
        a_running_workflow("direct", **mine),
        a_running_workflow("queued", queue_name="work", recovery_attempts=4, deadline_ms=99, **mine),
        a_running_workflow("unclaimed", application_name=None, **mine),
        a_running_workflow("version", application_version="v2", **mine),
        a_running_workflow("application", application_name="shop", **mine),
        a_running_workflow("executor", executor_id="pod-2"),
        a_workflow("waiting", **mine),
    )
    sql.execute("UPDATE dbos.workflow_status SET started_at_epoch_ms = 5")
    recovered = database.run(lambda: recover_workflows(a_claimant("pod-1")))
    assert sorted(recovered) == ["direct", "queued", "unclaimed"]
    row = _row(sql, "queued")
    wanted = {
        "status": "ENQUEUED",
        "queue_name": "work",
        "owner_xid": None,
        "started_at_epoch_ms": None,
        "recovery_attempts": 4,
        "workflow_deadline_epoch_ms": 99,
        "executor_id": "pod-1",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert _row(sql, "direct")["queue_name"] == "_dbos_internal_queue"
    assert {_row(sql, name)["status"] for name in ("version", "application", "executor")} == {"PENDING"}
    assert database.run(lambda: recover_workflows(a_claimant("pod-1"))) == []


def test_a_dead_letter_frees_its_keys_and_is_final(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("w", recovery_attempts=9, deduplication_id="d"))
    [claimed] = claim(database)
    assert database.run(lambda: bury_workflow(claimed)) is True
    assert database.run(lambda: bury_workflow(claimed)) is False
    row = _row(sql, "w")
    wanted = {
        "status": "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
        "recovery_attempts": 10,
        "owner_xid": None,
        "deduplication_id": None,
        "queue_name": None,
        "started_at_epoch_ms": None,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["completed_at"] == row["updated_at"]


def test_only_the_owner_buries(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("w"))
    [claimed] = claim(database)
    sql.execute("UPDATE dbos.workflow_status SET owner_xid = 'another'")
    assert database.run(lambda: bury_workflow(claimed)) is False
    assert _row(sql, "w")["status"] == "PENDING"


def test_a_sweep_ends_delays_and_cancels_what_is_late(database: SystemDatabase, sql: Bystander) -> None:
    delayed = {"status": "DELAYED"}
    _store(
        database,
        a_workflow("due", delay_until_ms=100, deduplication_id="keep", **delayed),
        a_workflow("not-yet", delay_until_ms=101, **delayed),
        a_workflow("elsewhere", delay_until_ms=1, queue_name="other", **delayed),
        a_workflow("theirs", delay_until_ms=1, application_name="shop", **delayed),
        a_workflow("late", deadline_ms=100, deduplication_id="free"),
        a_workflow("late-delayed", deadline_ms=50, delay_until_ms=10, **delayed),
        a_running_workflow("late-running", deadline_ms=1),
        a_running_workflow("in-time", deadline_ms=101),
    )
    updated = _row(sql, "due")["updated_at"]
    assert sorted(database.run(lambda: sweep_due_rows("orders", "dbos", now_ms=100)).queues) == ["other", "work"]
    statuses = {row["workflow_uuid"]: row["status"] for row in sql.execute("SELECT * FROM dbos.workflow_status")}
    assert statuses == {
        "due": "ENQUEUED",
        "not-yet": "DELAYED",
        "elsewhere": "ENQUEUED",
        "theirs": "DELAYED",
        "late": "CANCELLED",
        "late-delayed": "CANCELLED",
        "late-running": "CANCELLED",
        "in-time": "PENDING",
    }
    due, late = _row(sql, "due"), _row(sql, "late")
    assert (due["deduplication_id"], due["updated_at"], due["delay_until_epoch_ms"]) == ("keep", updated, 100)
    assert (late["deduplication_id"], late["queue_name"], late["completed_at"] is not None) == (None, None, True)


def test_a_debounced_workflow_gives_its_key_back_when_its_delay_ends(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("w", status="DELAYED", delay_until_ms=1, deduplication_id="d"))
    sql.execute("UPDATE dbos.workflow_status SET is_debounced = true")
    database.run(lambda: sweep_due_rows("orders", "dbos", now_ms=100))
    assert _row(sql, "w")["deduplication_id"] is None


def test_one_process_of_an_application_sweeps_at_a_time(database: SystemDatabase, database_url: str) -> None:
    _store(database, a_workflow("w", status="DELAYED", delay_until_ms=1))
    with psycopg.connect(database_url) as peer:
        peer.execute("SELECT pg_advisory_xact_lock(%s)", [background_lock_key("dbos", "orders")])
        assert database.run(lambda: sweep_due_rows("orders", "dbos", now_ms=100)).queues == []
    assert database.run(lambda: sweep_due_rows("orders", "dbos", now_ms=100)).queues == ["work"]
