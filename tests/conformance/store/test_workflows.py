"""What became of a start, how a workflow ended, and the rows that starts write."""

from __future__ import annotations

from typing import Any

from dbos.core.ids import OwnerToken
from dbos.store.database import SystemDatabase
from dbos.store.rows import Insertion, NewWorkflow, RecordedResult
from dbos.store.steps import load_step, load_steps
from dbos.store.workflows import created, load_result, resolve_insertion
from support.bystander import Bystander
from support.store_records import a_running_workflow, a_step, a_workflow, an_outcome, opened, writing


def _store(database: SystemDatabase, *records: Any) -> None:
    with writing(database) as writer:
        for record in records:
            writer.write(record)


def _resolve(database: SystemDatabase, record: NewWorkflow) -> Insertion | None:
    return database.run(lambda: resolve_insertion(record))


def test_every_field_of_a_start_is_in_its_row(database: SystemDatabase, sql: Bystander) -> None:
    record = a_workflow(
        "w",
        status="DELAYED",
        owner=OwnerToken("o"),
        class_name="Class",
        config_name="instance",
        executor_id="pod",
        application_id="app",
        recovery_attempts=2,
        timeout_ms=3,
        deadline_ms=4,
        delay_until_ms=5,
        deduplication_id="d",
        priority=6,
        partition_key="p",
        authenticated_user="eve",
        authenticated_roles='["r"]',
        attributes={"a": [1, "ä"]},
    )
    _store(database, record)
    row = sql.execute("SELECT * FROM dbos.workflow_status").fetchone()
    assert row is not None
    wanted = {
        "workflow_uuid": "w",
        "status": "DELAYED",
        "name": "workflow",
        "owner_xid": "o",
        "creator_xid": record.creator,
        "class_name": "Class",
        "config_name": "instance",
        "queue_name": "work",
        "executor_id": "pod",
        "application_id": "app",
        "application_name": "orders",
        "application_version": "v1",
        "recovery_attempts": 2,
        "workflow_timeout_ms": 3,
        "workflow_deadline_epoch_ms": 4,
        "delay_until_epoch_ms": 5,
        "deduplication_id": "d",
        "priority": 6,
        "queue_partition_key": "p",
        "authenticated_user": "eve",
        "authenticated_roles": '["r"]',
        "attributes": {"a": [1, "ä"]},
        "serialization": "py_pickle",
        "inputs": None,
        "output": None,
        "error": None,
        "request": None,
        "started_at_epoch_ms": None,
        "completed_at": None,
        "rate_limited": False,
        "was_forked_from": False,
        "is_debounced": False,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["created_at"] == row["updated_at"]
    inputs = sql.execute("SELECT workflow_uuid, inputs FROM dbos.workflow_input").fetchall()
    assert inputs == [{"workflow_uuid": "w", "inputs": record.inputs}]


def test_without_attributes_the_column_holds_json_null(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow())
    row = sql.execute("SELECT attributes::text AS text FROM dbos.workflow_status").fetchone()
    assert row == {"text": "null"}


def test_a_second_start_changes_nothing(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_workflow("w"))
    before = sql.execute("SELECT * FROM dbos.workflow_status JOIN dbos.workflow_input USING (workflow_uuid)").fetchall()
    _store(database, a_workflow("w", name="another", inputs="x", priority=9))
    after = sql.execute("SELECT * FROM dbos.workflow_status JOIN dbos.workflow_input USING (workflow_uuid)").fetchall()
    assert after == before


def test_a_start_that_did_not_go_in_learns_what_is_there(database: SystemDatabase) -> None:
    holder = a_workflow("w", name="holder", class_name="Class", queue_name="q")
    _store(database, holder)
    assert _resolve(database, a_workflow("w")) == Insertion(
        created=False,
        status="ENQUEUED",
        name="holder",
        class_name="Class",
        config_name=None,
        queue_name="q",
        serialization="py_pickle",
    )


def test_a_start_whose_commit_was_in_doubt_finds_its_own_row(database: SystemDatabase) -> None:
    record = a_workflow("w")
    _store(database, record)
    assert _resolve(database, record) == created(record)


def test_a_start_learns_who_holds_its_deduplication_id(database: SystemDatabase, sql: Bystander) -> None:
    _store(
        database, a_workflow("holder", deduplication_id="d"), a_workflow("other", queue_name="q", deduplication_id="d")
    )
    found = _resolve(database, a_workflow("w", deduplication_id="d"))
    assert found is not None
    assert found.deduplicated_by == "holder"
    sql.execute("UPDATE dbos.workflow_status SET deduplication_id = NULL WHERE workflow_uuid = 'holder'")
    assert _resolve(database, a_workflow("w", deduplication_id="d")) is None


def test_the_holder_of_the_id_is_told_before_the_holder_of_the_deduplication_id(database: SystemDatabase) -> None:
    _store(database, a_workflow("w"), a_workflow("holder", deduplication_id="d"))
    found = _resolve(database, a_workflow("w", deduplication_id="d"))
    assert found is not None
    assert found.deduplicated_by is None


def test_a_result_is_there_once_the_workflow_ended(database: SystemDatabase, sql: Bystander) -> None:
    def result(workflow_id: str) -> RecordedResult | None:
        return database.run(lambda: load_result(workflow_id))

    assert result("w") is None
    _store(database, a_running_workflow("w"))
    assert result("w") == RecordedResult(status="PENDING", output=None, error=None, serialization="py_pickle")
    _store(database, an_outcome("w", output="x"))
    assert result("w") == RecordedResult(status="SUCCESS", output="x", error=None, serialization="py_pickle")
    sql.execute("DELETE FROM dbos.workflow_output")
    sql.execute("UPDATE dbos.workflow_status SET output = 'old place', serialization = NULL")
    assert result("w") == RecordedResult(status="SUCCESS", output="old place", error=None, serialization=None)


def test_a_rerun_overwrites_the_outcome_of_the_run_before(database: SystemDatabase, sql: Bystander) -> None:
    _store(database, a_running_workflow("w"), an_outcome("w", status="ERROR", output=None, error="first"))
    sql.execute("UPDATE dbos.workflow_status SET status = 'PENDING', owner_xid = 'owner'")
    _store(database, an_outcome("w", output="second"))
    row = sql.execute("SELECT output, error FROM dbos.workflow_output").fetchall()
    assert row == [{"output": "second", "error": None}]


def test_recorded_steps_are_loaded_by_their_ids(database: SystemDatabase) -> None:
    _store(database, a_running_workflow("w"), a_step("w", 2, error="e", output=None), a_step("w", 1, output="o"))
    _store(database, a_running_workflow("other"), a_step("other", 1))
    steps = database.run(lambda: load_steps(a_step("w").workflow_id))
    assert {number: (step.output, step.error) for number, step in steps.items()} == {1: ("o", None), 2: (None, "e")}
    assert database.run(lambda: load_step(a_step("w").workflow_id, 2)) == steps[2]
    assert database.run(lambda: load_step(a_step("w").workflow_id, 3)) is None


def test_any_schema_name_works(empty_database_url: str) -> None:
    with opened(empty_database_url, schema='My "Schema" %s 100%') as database:
        database.prepare()
        _store(database, a_running_workflow("w"), a_step("w"), an_outcome("w"))
        assert database.run(lambda: load_result("w")) is not None
