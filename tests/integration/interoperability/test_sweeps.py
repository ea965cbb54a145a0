"""Delays end and deadlines cancel while workers of both kinds take turns at the sweep of one application."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from dbos import DBOSClient
from dbos.store.dequeue import background_lock_key
from integration.interoperability.parties import ENDED, Database, OfficialClient, official_worker, our_worker
from support.waiting import eventually

APPLICATION = "sweeps"
NAMES = {"APP": APPLICATION, "DBOS__APPVERSION": "v1"}
LATE_MS = 20_000
"""Two sweepers that each look once a second are never later, even on a busy machine."""


@pytest.fixture(scope="module")
def official_process(database: Database, official: OfficialClient) -> Iterator[subprocess.Popen[str]]:
    """A worker of the published package, beside one of ours."""
    official.register_queue(database.url, "due", application=APPLICATION)
    with (
        official_worker(database.url, DBOS__VMID="theirs", **NAMES) as process,
        our_worker(database.url, DBOS__VMID="ours", **NAMES),
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def test_both_kinds_of_worker_wait_for_the_same_lock(
    database: Database, client: DBOSClient, official_process: subprocess.Popen[str]
) -> None:
    with psycopg.connect(database.url, autocommit=True) as sweeper:
        sweeper.execute("SELECT pg_advisory_lock(%s)", (background_lock_key("dbos", APPLICATION),))
        delayed, timed = _enqueue(client, "locked", 1)
        database.wait_for_note(timed[0], "entered")
        eventually(
            lambda: database.rows(
                "SELECT (EXTRACT(epoch FROM clock_timestamp()) * 1000)::bigint"
                "       - max(coalesce(delay_until_epoch_ms, workflow_deadline_epoch_ms)) AS late"
                "  FROM dbos.workflow_status WHERE workflow_uuid IN (%s, %s)",
                delayed[0],
                timed[0],
            )[0]["late"],
            lambda late: late > 2500,  # both have looked twice since
            what="time past the delay and the deadline",
        )
        assert database.workflow(delayed[0])["status"] == "DELAYED"
        assert database.workflow(timed[0])["status"] == "PENDING"
    _wait_for_all(database, delayed, timed)


def test_all_that_is_due_is_swept_while_both_live(
    database: Database, client: DBOSClient, official_process: subprocess.Popen[str]
) -> None:
    delayed, timed = _enqueue(client, "both", 20)
    _wait_for_all(database, delayed, timed)
    _check_times(database, delayed, timed)
    database.open_gate("both")


def test_ours_sweeps_alone_when_the_other_is_killed(
    database: Database, client: DBOSClient, official_process: subprocess.Popen[str]
) -> None:
    official_process.kill()  # before anything is due: it could be quick enough to take part
    official_process.wait(timeout=10)
    delayed, timed = _enqueue(client, "alone", 5)
    _wait_for_all(database, delayed, timed)
    _check_times(database, delayed, timed)
    database.open_gate("alone")
    assert {database.workflow(workflow_id)["executor_id"] for workflow_id in delayed} == {"ours"}


def _enqueue(client: DBOSClient, gate: str, count: int) -> tuple[list[str], list[str]]:
    """Workflows with a delay, and workflows that outlast their timeout."""
    delayed = [
        client.enqueue({"workflow_name": "sign", "queue_name": "due", "delay_seconds": 0.5 + number / 40}).workflow_id
        for number in range(count)
    ]
    timed = [
        client.enqueue(
            {"workflow_name": "pass_gate", "queue_name": "due", "workflow_timeout": 0.5 + number / 40}, gate
        ).workflow_id
        for number in range(count)
    ]
    return delayed, timed


def _wait_for_all(database: Database, delayed: list[str], timed: list[str]) -> None:
    for workflow_id in delayed:
        row = database.wait_for_status(workflow_id, *ENDED)
        assert (row["status"], row["recovery_attempts"]) == ("SUCCESS", 1)
        assert database.notes(workflow_id) == ["signed"]
    for workflow_id in timed:
        assert database.wait_for_status(workflow_id, *ENDED)["status"] == "CANCELLED"


def _check_times(database: Database, delayed: list[str], timed: list[str]) -> None:
    for workflow_id in delayed:
        row = database.workflow(workflow_id)
        assert 0 <= row["started_at_epoch_ms"] - row["delay_until_epoch_ms"] < LATE_MS
    for workflow_id in timed:
        row = database.workflow(workflow_id)
        assert 0 <= row["completed_at"] - row["workflow_deadline_epoch_ms"] < LATE_MS
