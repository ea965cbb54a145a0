"""@DBOS.transaction: the former decorator, on the application's database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select, text

from dbos import DBOS, Queue, SetWorkflowID
from dbos._error import DBOSException, DBOSInitializationError
from dbos.engine.forgetting import janitor
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

accounts = Table("accounts", MetaData(), Column("owner", String), Column("cents", Integer))


class Program:
    """Transactions in raw SQL and in expressions, and workflows over them."""

    def __init__(self) -> None:
        @DBOS.transaction()
        def insert(owner: str, cents: int) -> None:
            sql = text("INSERT INTO accounts (owner, cents) VALUES (:owner, :cents)")
            DBOS.sql_session.execute(sql, {"owner": owner, "cents": cents})
            if cents < 0:
                raise ValueError("no debts")

        @DBOS.transaction(isolation_level="READ COMMITTED", name="read")
        def read(owner: str) -> int | None:
            query = select(accounts.c.cents).where(accounts.c.owner == owner)
            row = DBOS.sql_session.execute(query).first()
            return row[0] if row else None

        @DBOS.workflow()
        def both(owner: str, cents: int) -> int | None:
            insert(owner, cents)
            return read(owner)

        @DBOS.workflow()
        async def on_loop(owner: str, cents: int) -> int | None:
            await asyncio.to_thread(insert, owner, cents)
            return await asyncio.to_thread(read, owner)

        @DBOS.step()
        def in_step(owner: str, cents: int) -> None:
            insert(owner, cents)

        @DBOS.workflow()
        def by_step(owner: str, cents: int) -> None:
            in_step(owner, cents)

        self.insert, self.read, self.both, self.on_loop, self.by_step = insert, read, both, on_loop, by_step


@pytest.fixture
def program() -> Program:
    """The transactions, declared before launch."""
    return Program()


@pytest.fixture
def launched(program: Program, launch: Launch, user_url: str) -> Program:
    """The application on two databases: the system's and the user's."""
    launch(application_database_url=user_url)
    return program


def _steps(workflow_id: str) -> list[tuple[int, str, Any]]:
    return [
        (step["function_id"], step["function_name"], step["output"]) for step in DBOS.list_workflow_steps(workflow_id)
    ]


def test_in_a_workflow_they_are_steps(launched: Program, user: Bystander) -> None:
    with SetWorkflowID("w1"):
        assert launched.both("ada", 1200) == 1200

    assert [(number, name.rpartition(".")[2], output) for number, name, output in _steps("w1")] == [
        (1, "insert", None),
        (2, "read", 1200),
    ]
    assert janitor.settle(60)
    assert user.execute("SELECT * FROM dbos.transaction_outputs").fetchall() == []


def test_coroutine_workflows_call_them_in_threads(launched: Program) -> None:
    async def run() -> int | None:
        with SetWorkflowID("w1"):
            return await launched.on_loop("ada", 1200)

    assert asyncio.run(run()) == 1200
    assert len(_steps("w1")) == 2


def test_outside_of_workflows_they_are_workflows_of_their_own(launched: Program) -> None:
    with SetWorkflowID("w1"):
        launched.insert("ada", 5)

    status = DBOS.get_workflow_status("w1")
    assert status is not None
    assert status.name == "<temp>.Program.__init__.<locals>.insert"
    assert status.status == "SUCCESS"
    assert len(_steps("w1")) == 1
    assert launched.read("ada") == 5


def test_a_failure_is_rolled_back_and_raised(launched: Program, user: Bystander) -> None:
    with SetWorkflowID("w1"), pytest.raises(ValueError, match="no debts"):
        launched.both("ada", -5)

    assert repr(DBOS.list_workflow_steps("w1")[0]["error"]) == "ValueError('no debts')"
    assert user.execute("SELECT * FROM accounts").fetchall() == []


def test_in_a_step_they_are_transactions_that_nobody_records(launched: Program, user: Bystander) -> None:
    with SetWorkflowID("w1"):
        launched.by_step("ada", 5)

    assert len(_steps("w1")) == 1
    assert user.execute("SELECT * FROM dbos.transaction_outputs").fetchall() == []
    assert len(user.execute("SELECT * FROM accounts").fetchall()) == 1


def test_they_can_be_started_and_enqueued(program: Program, launch: Launch, user_url: str) -> None:
    queue = Queue("bookings")
    launch(application_database_url=user_url)

    DBOS.start_workflow(program.insert, "ada", 5).get_result()

    assert queue.enqueue(program.read, "ada").get_result() == 5


def test_a_recorded_checkpoint_stands_in_for_a_step_row_that_was_lost(
    launched: Program, user: Bystander, sql: Bystander
) -> None:
    with SetWorkflowID("w1"):
        launched.both("ada", 5)
    assert janitor.settle(60)
    output = sql.execute("SELECT output FROM dbos.operation_outputs WHERE function_id = 2").fetchone()
    assert output is not None
    user.execute(
        "INSERT INTO dbos.transaction_outputs (workflow_uuid, function_id, output, txn_id, txn_snapshot)"
        " VALUES (%s, %s, %s, '', '')",
        ("w2", 1, output["output"]),
    )

    with SetWorkflowID("w2"):
        assert launched.read("nobody") == 5  # not what the database says now


def test_the_session_is_for_transactions(launched: Program) -> None:
    with pytest.raises(DBOSException, match=r"DBOS\.sql_session is for functions"):
        _ = DBOS.sql_session


def test_coroutine_functions_and_unknown_levels_are_refused() -> None:
    with pytest.raises(DBOSException, match="is a coroutine function"):

        @DBOS.transaction()
        async def pay() -> None: ...

    with pytest.raises(DBOSException, match="isolation_level: expected one of"):
        DBOS.transaction(isolation_level="DIRTY")  # type: ignore[arg-type]


def test_before_launch_the_call_says_so(program: Program) -> None:
    with pytest.raises(DBOSException, match="not configured"):
        program.read("ada")


def test_without_a_database_of_its_own_the_system_database_serves(
    program: Program, launch: Launch, sql: Bystander
) -> None:
    sql.execute("CREATE TABLE accounts (owner text PRIMARY KEY, cents int NOT NULL)")
    launch()

    assert program.both("ada", 7) == 7
    assert program.on_loop is not None
    assert sql.execute("SELECT cents FROM accounts").fetchall() == [{"cents": 7}]


def test_a_database_that_cannot_be_used_is_told_at_launch(launch: Launch) -> None:
    with pytest.raises(DBOSInitializationError, match="application_database_url: expected a postgresql"):
        launch(application_database_url="mysql://here/books")
