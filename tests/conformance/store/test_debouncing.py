"""Workflows that wait under the key of a debouncer: put off together with their new arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbos.store.database import SystemDatabase
from dbos.store.debouncing import Bounce, extend_debounced, extend_or_enqueue
from dbos.store.rows import NewWorkflow
from support.bystander import Bystander
from support.store_records import a_workflow, writing

pytestmark = pytest.mark.both_databases

BOUNCE = Bounce(
    name="workflow",
    queue="work",
    key="workflow-k",
    application="orders",
    delay_until_ms=5000,
    inputs="second",
    serialization="portable_json",
)


def a_waiting_one(**fields: Any) -> NewWorkflow:
    """A workflow that waits under the key; keywords replace fields."""
    waiting = {
        "status": "DELAYED",
        "deduplication_id": "workflow-k",
        "debounced": True,
        "delay_until_ms": 1000,
        "inputs": "first",
    }
    return a_workflow("waiting", **{**waiting, **fields})


def _write(database: SystemDatabase, record: NewWorkflow) -> None:
    with writing(database) as writer:
        assert writer.write(record).created


def _row(sql: Bystander, workflow_id: str = "waiting") -> dict[str, Any]:
    [row] = sql.execute(
        "SELECT w.*, i.inputs AS payload FROM dbos.workflow_status w JOIN dbos.workflow_input i"
        " ON i.workflow_uuid = w.workflow_uuid WHERE w.workflow_uuid = %s",
        [workflow_id],
    ).fetchall()
    return row


@pytest.mark.parametrize(("deadline", "until"), [(None, 5000), (9000, 5000), (3000, 3000)])
def test_a_waiting_workflow_is_put_off_at_most_until_its_deadline(
    database: SystemDatabase, sql: Bystander, deadline: int | None, until: int
) -> None:
    _write(database, a_waiting_one(debounce_deadline_ms=deadline, application_name=None))
    result = database.transact(lambda: extend_debounced(BOUNCE))
    assert result["bounced_workflow_id"] == "waiting"
    row = _row(sql)
    assert (row["delay_until_epoch_ms"], row["debounce_deadline_epoch_ms"]) == (until, deadline)
    assert (row["payload"], row["serialization"], row["application_name"]) == ("second", "portable_json", "orders")


def test_a_key_that_nobody_holds_is_told(database: SystemDatabase) -> None:
    assert database.transact(lambda: extend_debounced(BOUNCE)) == {
        "bounced_workflow_id": None,
        "holder_workflow_id": None,
        "holder_is_debounced": False,
        "holder_workflow_name": None,
        "holder_application_name": None,
    }


@pytest.mark.parametrize(
    ("fields", "debounced"),
    [
        ({"debounced": False}, False),
        ({"name": "other"}, True),
        ({"application_name": "billing"}, True),
        ({"status": "ENQUEUED"}, True),
    ],
)
def test_what_is_not_the_debouncers_is_left_alone_and_told(
    database: SystemDatabase, sql: Bystander, fields: dict[str, Any], debounced: bool
) -> None:
    record = a_waiting_one(**fields)
    _write(database, record)
    before = _row(sql)
    assert database.transact(lambda: extend_debounced(BOUNCE)) == {
        "bounced_workflow_id": None,
        "holder_workflow_id": "waiting",
        "holder_is_debounced": debounced,
        "holder_workflow_name": record.name,
        "holder_application_name": record.application_name,
    }
    assert _row(sql) == before


def test_who_has_no_application_puts_off_anybodys(database: SystemDatabase, sql: Bystander) -> None:
    _write(database, a_waiting_one(application_name="billing"))
    bounce = replace(BOUNCE, application=None)
    assert database.transact(lambda: extend_debounced(bounce))["bounced_workflow_id"] == "waiting"
    assert _row(sql)["application_name"] == "billing"


def test_a_client_enqueues_when_nobody_waits_and_a_repeated_one_finds_its_own(
    database: SystemDatabase, sql: Bystander
) -> None:
    record = a_waiting_one(delay_until_ms=5000, inputs="second", serialization="portable_json", attributes={"a": 1})
    for _ in range(2):
        result = database.transact(lambda: extend_or_enqueue(BOUNCE, record))
        assert result["bounced_workflow_id"] == "waiting"
    row = _row(sql)
    assert (row["creator_xid"], row["payload"], bool(row["is_debounced"])) == (None, "second", True)


def test_an_id_that_is_taken_gives_its_workflow(database: SystemDatabase, sql: Bystander) -> None:
    _write(database, a_workflow("waiting", inputs="mine"))
    result = database.transact(lambda: extend_or_enqueue(BOUNCE, a_waiting_one()))
    assert result["bounced_workflow_id"] == "waiting"
    assert _row(sql)["payload"] == "mine"
