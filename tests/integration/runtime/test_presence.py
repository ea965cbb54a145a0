"""One process in this interpreter that looks after others, which are rows alone."""

from __future__ import annotations

import threading
import urllib.request
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbos import DBOS
from dbos.api.runtime import process
from dbos.core.executors import LEFT_AT_MS, owner_token, process_token
from dbos.store.database import SystemDatabase
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases
QUICK = {"heartbeat_sec": 0.2, "grace_sec": 1, "lease_sec": 60}


def _left_by_another(sql: Bystander, workflow_id: str) -> None:
    """Let a workflow be one that another process ran when it stopped."""
    DBOS.retrieve_workflow(workflow_id).get_result()
    token = process_token(uuid4())
    sql.execute("DELETE FROM dbos.workflow_output WHERE workflow_uuid = %s", (workflow_id,))
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'PENDING', owner_xid = %s, executor_id = 'two', completed_at = NULL"
        " WHERE workflow_uuid = %s",
        (owner_token(token, uuid4()), workflow_id),
    )
    sql.execute(
        "INSERT INTO dbos_runtime.executors (system_schema, process_token, application, executor_id, version, host,"
        " pid, grace_ms, lease_ms, started_ms, heartbeat_ms, steady_since_ms)"
        " VALUES ('dbos', %s, 'orders', 'two', 'v1', 'elsewhere', 7, 1000, 60000, 1, %s, 1)",
        (token, LEFT_AT_MS),
    )


def _executors(sql: Bystander) -> set[str]:
    return {row["executor_id"] for row in sql.execute("SELECT * FROM dbos_runtime.executors").fetchall()}


def _recoveries() -> list[float]:
    """What Prometheus is told of recovered workflows."""
    assert process.application is not None
    with urllib.request.urlopen(f"http://{process.application.metrics_address}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    [family] = [each for each in text_string_to_metric_families(text) if each.name == "dbos_recoveries"]
    return [sample.value for sample in family.samples if sample.name == "dbos_recoveries_total"]


def test_what_others_left_is_finished_here_and_counted(launch: Launch, sql: Bystander) -> None:
    runs: list[str | None] = []

    @DBOS.workflow()
    def work() -> int:
        runs.append(DBOS.workflow_id)
        return len(runs)

    launch(recovery=QUICK, metrics_port=0, metrics_host="127.0.0.1")
    workflow_id = DBOS.start_workflow(work).workflow_id
    _left_by_another(sql, workflow_id)
    assert eventually(lambda: len(runs), lambda times: times == 2)
    assert DBOS.retrieve_workflow(workflow_id).get_result() == 2
    eventually(_recoveries, lambda counts: counts == [1])  # a poll may take it up before it is counted


def test_a_process_enters_itself_and_signs_off(launch: Launch, sql: Bystander) -> None:
    launch(recovery=QUICK)
    [row] = sql.execute("SELECT * FROM dbos_runtime.executors").fetchall()
    assert (row["executor_id"], row["application"], row["version"]) == ("one", "orders", "v1")
    eventually(
        lambda: sql.execute("SELECT heartbeat_ms - started_ms AS age FROM dbos_runtime.executors").fetchall(),
        lambda rows: rows[0]["age"] > 0,
    )
    DBOS.destroy()
    assert _executors(sql) == set()


def test_what_still_runs_when_a_process_stops_is_left_to_others(launch: Launch, sql: Bystander) -> None:
    begun, over = threading.Event(), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        begun.set()
        over.wait(60)

    launch(recovery=QUICK)
    DBOS.start_workflow(work)
    assert begun.wait(30)
    DBOS.destroy()
    over.set()
    [row] = sql.execute("SELECT * FROM dbos_runtime.executors").fetchall()
    assert row["heartbeat_ms"] == LEFT_AT_MS


def test_a_process_that_is_not_to_recover_is_not_entered_and_takes_nothing(launch: Launch, sql: Bystander) -> None:
    before = set(threading.enumerate())
    launch(recovery={"enabled": False})
    assert _executors(sql) == set()
    begun = {thread.name for thread in set(threading.enumerate()) - before}
    assert "dbos-presence" not in begun


def test_without_the_tables_everything_else_works(
    launch: Launch, sql: Bystander, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemDatabase, "prepare_runtime_tables", lambda _self: False)

    @DBOS.workflow()
    def work() -> str:
        return "done"

    launch(recovery=QUICK)
    assert DBOS.start_workflow(work).get_result() == "done"
