"""A batch of records as statements, and the rows that come back as the records' own answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbos.core.ids import OwnerToken, WorkflowId
from dbos.store.batches import answers_of, payload_size, statements_of
from dbos.store.operation import Operation, Row, Statement, perform
from dbos.store.records import StartAnswer, StepAnswer
from dbos.store.rows import ParentStep
from support.store_records import a_step, a_workflow, an_outcome


def _child(workflow_id: str, parent: str) -> Any:
    step = ParentStep(workflow_id=WorkflowId(parent), owner=OwnerToken("o"), function_id=1, started_at_ms=1)
    return a_workflow(workflow_id, parent_workflow_id=WorkflowId(parent), parent_step=step)


def test_a_batch_is_one_statement_for_each_kind_in_the_order_that_lets_steps_see_their_workflow() -> None:
    records = [an_outcome("d"), a_workflow("a"), a_step("c"), _child("b", "p"), a_workflow("e")]
    assert [statement.name for statement in statements_of(records)] == [
        "record_steps",
        "insert_workflows",
        "insert_children",
        "record_outcomes",
    ]


def test_locked_rows_are_named_in_order() -> None:
    steps = statements_of([a_step("b"), a_step("a", 1), a_step("a", 2)])[0]
    assert steps.parameters["ids"] == ["a", "b"]
    children = statements_of([_child("x", "q"), _child("y", "p")])[0]
    assert children.parameters["parents"] == ["p", "q"]


def test_each_record_gets_its_own_answer_whatever_the_order_of_the_rows() -> None:
    one, two = a_workflow("one"), a_workflow("two")
    records = [an_outcome("x"), two, a_step("s", 2), one, a_step("s", 1), an_outcome("y")]
    answers = answers_of(
        records,
        [
            [
                {"workflow_uuid": "s", "function_id": 1, "owned": True, "written": False, "status": "PENDING"},
                {"workflow_uuid": "s", "function_id": 2, "owned": False, "written": False, "status": None},
            ],
            [{"creator_xid": two.creator, "created": True, "allowed": True}],
            [{"workflow_uuid": "y"}],
        ],
    )
    assert answers == [
        False,
        StartAnswer(allowed=True, created=True),
        StepAnswer(owned=False, written=False, status=None),
        StartAnswer(allowed=True, created=False),
        StepAnswer(owned=True, written=False, status="PENDING"),
        True,
    ]


def test_a_child_without_a_row_was_not_allowed() -> None:
    allowed, refused = _child("a", "p"), _child("b", "p")
    rows = [{"creator_xid": allowed.creator, "created": False, "allowed": True}]
    assert answers_of([allowed, refused], [rows]) == [
        StartAnswer(allowed=True, created=False),
        StartAnswer(allowed=False, created=False),
    ]


def test_every_record_of_a_statement_is_in_its_parameter() -> None:
    [statement] = statements_of([a_step("w", 1, output="o"), a_step("w", 2, error="e")])
    rows = json.loads(statement.parameters["records"])
    assert [(row["function_id"], row.get("error")) for row in rows] == [(1, None), (2, "e")]


def test_a_size_follows_the_payload() -> None:
    assert payload_size(a_workflow(inputs="x" * 5000)) > 5000
    assert payload_size(a_step("w", output="x" * 5000)) > 5000
    assert payload_size(an_outcome("w", output=None, error="x" * 5000)) > 5000


def test_an_operation_is_performed_to_its_end() -> None:
    def operation() -> Operation[list[str]]:
        first = yield Statement("first")
        second = yield Statement("second", {"after": first[0]["name"]})
        return [first[0]["name"], second[0]["after"]]

    def execute(statement: Statement) -> list[Row]:
        return [{"name": statement.name, **statement.parameters}]

    assert perform(operation(), execute) == ["first", "first"]


def test_an_operation_may_answer_an_error_with_another_statement() -> None:
    def operation() -> Operation[str]:
        try:
            yield Statement("fails")
        except OSError:
            rows = yield Statement("instead")
            return str(rows[0]["name"])
        return "no error"

    def execute(statement: Statement) -> list[Row]:
        if statement.name == "fails":
            raise OSError
        return [{"name": statement.name}]

    assert perform(operation(), execute) == "instead"


def test_an_error_that_an_operation_does_not_catch_comes_out() -> None:
    def operation() -> Operation[None]:
        yield Statement("fails")

    def execute(_statement: Statement) -> list[Row]:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        perform(operation(), execute)
