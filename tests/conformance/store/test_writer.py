"""The group-commit writer: few commits, every caller answered for its own record, nothing lost and nothing twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from dbos.core.ids import OwnerToken, WorkflowId
from dbos.core.outcome import Outcome
from dbos.store.database import SystemDatabase
from dbos.store.dialects.postgres import PoolSettings
from dbos.store.operation import DatabaseClosedError
from dbos.store.records import StartAnswer, StepAnswer
from dbos.store.rows import ParentStep
from dbos.store.writer import MAX_RECORDS, STOPPING_SECONDS, GroupCommitWriter
from support.bystander import Bystander
from support.store_records import a_running_workflow, a_step, a_workflow, an_outcome, opened, writing

CREATED = StartAnswer(allowed=True, created=True)


@pytest.fixture
def writer(database: SystemDatabase) -> Iterator[GroupCommitWriter]:
    """A running writer."""
    with writing(database) as running:
        yield running


def _one(sql: Bystander, query: str, *parameters: Any) -> Any:
    row = sql.execute(query, parameters).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return next(iter(row.values()))


def _commits(sql: Bystander) -> int:
    """How many transactions wrote the rows of workflow_status."""
    return int(_one(sql, "SELECT count(DISTINCT xmin::text) FROM dbos.workflow_status"))


def _kill_others(sql: Bystander) -> None:
    sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_ctrl_c_in_a_thread_that_writes_for_others_leaves_nobody_without_an_answer(
    database: SystemDatabase, sql: Bystander
) -> None:
    writer = GroupCommitWriter(database.source)
    told: list[Outcome] = []

    def interrupted_once(outcome: Outcome) -> None:
        told.append(outcome)
        if len(told) == 1:
            raise KeyboardInterrupt

    before = writer.submit(a_workflow())
    writer.post(a_workflow(), interrupted_once)
    after = writer.submit_all([a_workflow(), a_workflow()])
    with pytest.raises(KeyboardInterrupt):
        writer.write(a_workflow())
    writer.start()
    assert before.result(20) == CREATED
    assert [outcome.value.allowed for outcome in after.result(20)] == [True] * 2
    writer.stop()
    assert told[0] == Outcome(CREATED)
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_status") == 5


def test_what_gathers_while_a_statement_runs_shares_a_commit(database: SystemDatabase, sql: Bystander) -> None:
    writer = GroupCommitWriter(database.source)
    futures = [writer.submit(a_workflow()) for _ in range(1200)]
    writer.start()
    assert {future.result(20) for future in futures} == {CREATED}
    writer.stop()
    assert _commits(sql) == -(-1200 // MAX_RECORDS)


def test_many_threads_share_few_commits(writer: GroupCommitWriter, sql: Bystander) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: writer.write(a_workflow()), range(1000)))
    assert answers == [CREATED] * 1000
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_status") == 1000
    assert _commits(sql) < 900  # how few is a matter of how busy the machine is


def test_a_batch_is_bounded_in_bytes(database: SystemDatabase, sql: Bystander) -> None:
    writer = GroupCommitWriter(database.source)
    futures = [writer.submit(a_workflow(inputs="x" * 1_500_000)) for _ in range(6)]
    writer.start()
    wait(futures, 20)
    writer.stop()
    assert _commits(sql) == 3


def test_a_lone_record_is_written_by_its_caller(writer: GroupCommitWriter, sql: Bystander) -> None:
    assert writer.write(a_workflow("one")) == CREATED
    assert _one(sql, "SELECT inputs FROM dbos.workflow_input") != ""


def test_a_callers_own_records_keep_their_order(writer: GroupCommitWriter, sql: Bystander) -> None:
    futures: list[Future[Any]] = []
    for number in range(50):
        name = f"w{number}"
        futures.append(writer.submit(a_running_workflow(name)))
        futures[-1].result(10)
        futures.append(writer.submit(a_step(name)))
        futures.append(writer.submit(an_outcome(name)))
    assert [future.result(10) for future in futures[1::3]] == [StepAnswer(True, True, "PENDING")] * 50
    assert [future.result(10) for future in futures[2::3]] == [True] * 50


POISON = [
    a_workflow("nul\0"),
    a_workflow("surrogate\ud800"),
    a_workflow("attributes", attributes={"not": {"json"}}),
    a_workflow("too-large", priority=2**40),
    a_step("nul\0"),
    an_outcome("surrogate\ud800"),
]


@pytest.mark.parametrize("poison", POISON, ids=[f"{number}" for number in range(len(POISON))])
def test_a_record_that_cannot_be_written_fails_alone(database: SystemDatabase, sql: Bystander, poison: Any) -> None:
    writer = GroupCommitWriter(database.source)
    before = [writer.submit(a_workflow(f"before{number}")) for number in range(5)]
    bad = writer.submit(poison)
    after = [writer.submit(a_workflow(f"after{number}")) for number in range(5)]
    writer.start()
    assert [future.result(10) for future in before + after] == [CREATED] * 10
    assert bad.exception(10) is not None
    assert writer.write(a_workflow("later")) == CREATED
    writer.stop()
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_status") == 11


def test_a_row_that_somebody_holds_delays_only_its_own_record(writer: GroupCommitWriter, database_url: str) -> None:
    for name in ("held", "free"):
        writer.write(a_running_workflow(name))
    with psycopg.connect(database_url) as somebody:
        somebody.execute("SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = 'held' FOR UPDATE")
        held = [writer.submit(a_step("held", 1)), writer.submit(an_outcome("held"))]
        waits = []
        for number in range(1, 30):
            started = time.monotonic()
            assert writer.write(a_step("free", number)).written
            waits.append(time.monotonic() - started)
        assert not any(future.done() for future in held)
        assert sorted(waits)[10] < 0.1, waits  # each would be as late as a batch is patient if they waited with it
        assert sum(waits) < 30, waits
    assert held[0].result(10) == StepAnswer(True, True, "PENDING")
    assert held[1].result(10) is True


def test_two_inserts_of_one_id_do_not_stop_each_other(writer: GroupCommitWriter, database_url: str) -> None:
    with psycopg.connect(database_url) as somebody:
        somebody.execute("INSERT INTO dbos.workflow_status (workflow_uuid) VALUES ('same')")
        same = writer.submit(a_workflow("same"))
        assert writer.write(a_workflow("other")) == CREATED
        assert not same.done()
        somebody.rollback()
    assert same.result(10) == CREATED


def test_a_lost_connection_is_replaced_and_every_record_is_written_once(
    writer: GroupCommitWriter, sql: Bystander
) -> None:
    writer.write(a_workflow())
    _kill_others(sql)
    assert writer.write(a_workflow("after")) == CREATED
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = 'after'") == 1


def test_connections_killed_under_load_lose_and_double_nothing(writer: GroupCommitWriter, sql: Bystander) -> None:
    stop = threading.Event()
    written: list[str] = []

    def write(thread: int) -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            name = f"{thread}-{number}"
            answer = writer.write(a_running_workflow(name))
            # A start whose commit was in doubt is found by its creator: this answer leaves it to a look.
            assert answer.allowed
            step = writer.write(a_step(name))
            assert step.owned
            writer.write(an_outcome(name))
            written.append(name)

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(write, thread) for thread in range(8)]
        for _ in range(8):
            time.sleep(0.15)
            _kill_others(sql)
        stop.set()
        for future in working:
            future.result(20)
    rows = sql.execute(
        "SELECT workflow_uuid, status, o.output IS NOT NULL AS told, count(s.function_id) AS steps"
        "  FROM dbos.workflow_status LEFT JOIN dbos.workflow_output o USING (workflow_uuid)"
        "  LEFT JOIN dbos.operation_outputs s USING (workflow_uuid) GROUP BY 1, 2, 3"
    ).fetchall()
    assert {row["workflow_uuid"] for row in rows} == set(written)
    assert {(row["status"], row["told"], row["steps"]) for row in rows} == {("SUCCESS", True, 1)}


def test_without_retries_a_lost_connection_is_told_to_the_caller(database: SystemDatabase, sql: Bystander) -> None:
    with writing(database, retry=False) as writer:
        writer.write(a_workflow())
        _kill_others(sql)
        with pytest.raises(OperationalError) as told:
            writer.write(a_workflow())
        assert isinstance(told.value.orig, psycopg.OperationalError)
        assert writer.write(a_workflow()) == CREATED


def test_stop_writes_what_was_submitted(database: SystemDatabase, sql: Bystander) -> None:
    writer = GroupCommitWriter(database.source)
    writer.start()
    futures = [writer.submit(a_workflow()) for _ in range(500)]
    writer.stop()
    assert all(future.done() for future in futures)
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_status") == 500


def test_after_stop_nothing_is_taken(writer: GroupCommitWriter) -> None:
    writer.stop()
    writer.stop()
    for call in (writer.submit, writer.write):
        with pytest.raises(DatabaseClosedError):
            call(a_workflow())


def test_a_stopped_writer_answers_who_waits_for_a_held_row(database: SystemDatabase, database_url: str) -> None:
    with writing(database) as writer:
        writer.write(a_running_workflow("held"))
        with psycopg.connect(database_url) as somebody:
            somebody.execute("SELECT 1 FROM dbos.workflow_status FOR UPDATE")
            held = writer.submit(a_step("held"))
            started = time.monotonic()
            writer.stop()
            assert time.monotonic() - started < STOPPING_SECONDS - 1
            assert held.exception(10) is not None


def test_a_step_is_written_once_and_only_for_the_owner(writer: GroupCommitWriter, sql: Bystander) -> None:
    writer.write(a_running_workflow("w"))
    assert writer.write(a_step("w", 1)) == StepAnswer(owned=True, written=True, status="PENDING")
    assert writer.write(a_step("w", 1, output="other")) == StepAnswer(owned=True, written=False, status="PENDING")
    assert writer.write(a_step("w", 2, owner=OwnerToken("thief"))).owned is False
    assert writer.write(a_step("nobody")) == StepAnswer(owned=False, written=False, status=None)
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL")
    assert writer.write(a_step("w", 2)) == StepAnswer(owned=False, written=False, status="CANCELLED")
    assert _one(sql, "SELECT count(*) FROM dbos.operation_outputs") == 1


def test_an_outcome_is_recorded_once_and_only_for_the_owner(writer: GroupCommitWriter, sql: Bystander) -> None:
    writer.write(a_running_workflow("w", deduplication_id="d", queue_name="work"))
    assert writer.write(an_outcome("w", owner=OwnerToken("thief"))) is False
    assert writer.write(an_outcome("w", status="ERROR", output=None, error="e")) is True
    assert writer.write(an_outcome("w")) is False
    row = sql.execute("SELECT * FROM dbos.workflow_status JOIN dbos.workflow_output USING (workflow_uuid)").fetchone()
    assert row is not None
    wanted = {"status": "ERROR", "deduplication_id": None, "owner_xid": None, "queue_name": "work"}
    assert {name: row[name] for name in wanted} == wanted
    assert row["completed_at"] == row["updated_at"]


def test_a_child_goes_in_with_its_parents_step_or_not_at_all(writer: GroupCommitWriter, sql: Bystander) -> None:
    writer.write(a_running_workflow("p"))

    def child(name: str, owner: str) -> StartAnswer:
        step = ParentStep(
            workflow_id=WorkflowId("p"), owner=OwnerToken(owner), function_id=int(name[-1]), started_at_ms=5
        )
        answer = writer.write(a_workflow(name, parent_workflow_id=WorkflowId("p"), parent_step=step))
        assert isinstance(answer, StartAnswer)
        return answer

    assert child("p-1", "owner") == CREATED
    assert child("p-1", "owner") == StartAnswer(allowed=True, created=False)
    assert child("p-2", "thief") == StartAnswer(allowed=False, created=False)
    assert _one(sql, "SELECT string_agg(workflow_uuid, ' ' ORDER BY 1) FROM dbos.workflow_status") == "p p-1"
    row = sql.execute("SELECT function_id, function_name, child_workflow_id FROM dbos.operation_outputs").fetchall()
    assert [tuple(found.values()) for found in row] == [(1, "workflow", "p-1")]


def test_of_starts_with_one_id_or_deduplication_id_one_goes_in(database: SystemDatabase, sql: Bystander) -> None:
    writer = GroupCommitWriter(database.source)
    same_id = [writer.submit(a_workflow("same")) for _ in range(10)]
    same_key = [writer.submit(a_workflow(deduplication_id="key")) for _ in range(10)]
    writer.start()
    for futures in (same_id, same_key):
        assert [future.result(10).created for future in futures].count(True) == 1
    writer.stop()
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_status") == 2
    assert _one(sql, "SELECT count(*) FROM dbos.workflow_input") == 2


def test_news_are_sent_together_and_soon(database: SystemDatabase, database_url: str) -> None:
    def told(queues: set[str], ended: list[str]) -> list[str]:
        return [f"{sorted(queues)} {sorted(ended)}"]

    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN news")
        writer = GroupCommitWriter(database.source, channel="news", payloads=told)
        for name in ("b", "a", "a"):
            writer.announce(queue=name)
        writer.announce(workflow="w")
        writer.start()
        heard = [notification.payload for notification in listener.notifies(timeout=30, stop_after=1)]
        writer.announce(queue="c")
        heard += [notification.payload for notification in listener.notifies(timeout=30, stop_after=1)]
        writer.stop()
    assert heard == ["['a', 'b'] ['w']", "['c'] []"]


def test_a_deadlock_between_two_writers_batches_cannot_arise(database: SystemDatabase, database_url: str) -> None:
    names = [f"w{number}" for number in range(40)]
    with opened(database_url) as other, writing(database) as one, writing(other) as two:
        for name in names:
            one.write(a_running_workflow(name))
        futures = []
        for round_ in range(1, 20):
            futures += [one.submit(a_step(name, 2 * round_)) for name in names]
            futures += [two.submit(a_step(name, 2 * round_ + 1)) for name in reversed(names)]
        assert all(future.result(20).written for future in futures)


def test_behind_a_proxy_that_pools_transactions_sessions_stay_as_they_are(database_url: str, sql: Bystander) -> None:
    settings = (
        "lock_timeout",
        "enable_seqscan",
        "plan_cache_mode",
        "jit",
        "idle_in_transaction_session_timeout",
        "statement_timeout",
    )
    before = {name: _one(sql, f"SHOW {name}") for name in settings}
    with opened(database_url, pool=PoolSettings(prepared=False)) as database, writing(database) as writer:
        assert writer.write(a_running_workflow("w")) == CREATED
        assert writer.write(a_step("w")).written
        with pytest.raises(psycopg.Error):
            writer.write(a_workflow("too-large", priority=2**40))
        assert writer.write(an_outcome("w")) is True
        connection = writer._connected().driver
        assert {name: connection.execute(f"SHOW {name}".encode()).fetchone()[0] for name in settings} == before  # type: ignore[index]
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        with database.source.connection() as pooled:
            shown = {name: pooled.driver.execute(f"SHOW {name}".encode()).fetchone()[0] for name in settings}  # type: ignore[index]
        assert shown == before


def test_behind_such_a_proxy_a_held_row_delays_only_its_own_record_too(database_url: str) -> None:
    with opened(database_url, pool=PoolSettings(prepared=False)) as database, writing(database) as writer:
        for name in ("held", "free"):
            writer.write(a_running_workflow(name))
        with psycopg.connect(database_url) as somebody:
            somebody.execute("SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = 'held' FOR UPDATE")
            held = writer.submit(a_step("held", 1))
            started = time.monotonic()
            for number in range(1, 10):
                assert writer.write(a_step("free", number)).written
            assert time.monotonic() - started < 20
            assert not held.done()
        assert held.result(10).written


def test_a_server_that_vanishes_without_a_word_is_noticed(database: SystemDatabase) -> None:
    with database.source.connection() as connection:
        parameters = connection.driver.info.get_parameters()
    assert int(parameters["tcp_user_timeout"]) <= 30_000
    idle, interval, count = (int(parameters[f"keepalives_{name}"]) for name in ("idle", "interval", "count"))
    assert idle + interval * count <= 30
