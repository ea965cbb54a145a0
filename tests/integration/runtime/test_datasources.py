"""Datasources: the user's changes and the step are one commit, in threads and on event loops."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError, OperationalError
from sqlalchemy.pool import NullPool

from dbos import DBOS, AsyncSQLAlchemyDatasource, SetWorkflowID, SQLAlchemyDatasource
from dbos._error import DBOSException, DBOSInitializationError
from dbos.engine import transactions
from dbos.engine.forgetting import janitor
from dbos.store.checkpoint_removal import known_databases
from integration.runtime.conftest import Launch
from support.bystander import Bystander, bystander

pytestmark = pytest.mark.both_databases

INSERT = text("INSERT INTO accounts (owner, cents) VALUES (:owner, :cents)")


class Site:
    """A datasource and a workflow over it, in threads or on an event loop."""

    def __init__(self, url: str, *, is_async: bool, **options: Any) -> None:
        self.is_async = is_async
        self.calls: list[str] = []
        self.fail_after: Callable[[], None] = lambda: None
        create = AsyncSQLAlchemyDatasource.create if is_async else SQLAlchemyDatasource.create
        made: Any = create(url, **options)
        self.source: Any = asyncio.run(made) if inspect.isawaitable(made) else made
        if is_async:
            self._declare_async()
        else:
            self._declare()

    def _declare(self) -> None:
        source = self.source

        @source.transaction(name="open_account")
        def open_account(owner: str, cents: int) -> str:
            self.calls.append(owner)
            source.sql_session().execute(INSERT, {"owner": owner, "cents": cents})
            if cents < 0:
                raise ValueError("no debts")
            return f"{owner}: {cents}"

        @DBOS.workflow(name="open")
        def workflow(owner: str, cents: int) -> str:
            opened: str = open_account(owner, cents)
            self.fail_after()
            return opened

        self.transaction, self.workflow = open_account, workflow

    def _declare_async(self) -> None:
        source = self.source

        @source.transaction(name="open_account")
        async def open_account(owner: str, cents: int) -> str:
            self.calls.append(owner)
            await source.sql_session().execute(INSERT, {"owner": owner, "cents": cents})
            if cents < 0:
                raise ValueError("no debts")
            return f"{owner}: {cents}"

        @DBOS.workflow(name="open")
        async def workflow(owner: str, cents: int) -> str:
            opened: str = await open_account(owner, cents)
            self.fail_after()
            return opened

        self.transaction, self.workflow = open_account, workflow

    def run(self, workflow_id: str, owner: str, cents: int) -> Any:
        """Run the workflow to its end."""
        with SetWorkflowID(workflow_id):
            return self.call(self.workflow, owner, cents)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of either colour."""

        async def on_loop() -> Any:
            return await function(*args)

        return asyncio.run(on_loop()) if self.is_async else function(*args)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def site(user_url: str, request: pytest.FixtureRequest) -> Site:
    """The user's database as a datasource."""
    return Site(user_url, is_async=request.param)


def _accounts(user: Bystander) -> dict[str, int]:
    return {row["owner"]: row["cents"] for row in user.execute("SELECT owner, cents FROM accounts").fetchall()}


def _checkpoints(user: Bystander) -> list[dict[str, Any]]:
    query = "SELECT workflow_id, step_id, output, error, serialization FROM dbos.datasource_outputs ORDER BY 1, 2"
    return [dict(row) for row in user.execute(query).fetchall()]


def test_a_transaction_is_a_step_and_its_checkpoint_goes_when_the_workflow_ends(
    site: Site, launch: Launch, user: Bystander
) -> None:
    seen: list[dict[str, Any]] = []
    site.fail_after = lambda: seen.extend(_checkpoints(user))
    launch()

    assert site.run("w1", "ada", 1200) == "ada: 1200"

    (step,) = DBOS.list_workflow_steps("w1")
    assert (step["function_id"], step["function_name"], step["output"]) == (1, "open_account", "ada: 1200")
    assert [(row["workflow_id"], row["step_id"], row["serialization"]) for row in seen] == [("w1", 1, "py_pickle")]
    assert janitor.settle(30)
    assert _checkpoints(user) == []
    assert _accounts(user) == {"ada": 1200}


def test_what_raises_is_rolled_back_and_recorded(site: Site, launch: Launch, user: Bystander) -> None:
    launch()

    with pytest.raises(ValueError, match="no debts"):
        site.run("w1", "ada", -1)

    (step,) = DBOS.list_workflow_steps("w1")
    assert repr(step["error"]) == "ValueError('no debts')"
    assert _accounts(user) == {}


def test_a_stop_iteration_of_a_transaction_is_an_error_like_others(
    user_url: str, launch: Launch, user: Bystander
) -> None:
    source = SQLAlchemyDatasource.create(user_url)

    @source.transaction(name="first")
    def first() -> str:
        source.sql_session().execute(INSERT, {"owner": "ada", "cents": 1})
        return next(iter(""))

    @DBOS.workflow(name="work")
    def work() -> str:
        try:
            return first()
        except StopIteration:
            return "nothing there"

    launch()
    with SetWorkflowID("w1"):
        assert work() == "nothing there"
    assert isinstance(DBOS.list_workflow_steps("w1")[0]["error"], StopIteration)
    assert DBOS.fork_workflow("w1", 100).get_result() == "nothing there"
    with pytest.raises(StopIteration):
        first()
    assert _accounts(user) == {}


@pytest.mark.parametrize("way", ["returned", "kept by an error"])
def test_a_result_that_was_not_read_locks_nothing_once_its_transaction_failed(
    user_url: str, launch: Launch, user: Bystander, way: str
) -> None:
    user.execute("INSERT INTO accounts SELECT 'ada', 1 UNION SELECT 'bob', 2 UNION SELECT 'cyd', 3")
    source = SQLAlchemyDatasource.create(user_url)

    @source.transaction(name="read")
    def read() -> Any:
        result = source.sql_session().execute(text("SELECT owner FROM accounts"))
        if way == "returned":
            return result
        raise LookupError(result)

    @DBOS.workflow(name="work")
    def work() -> Any:
        return read()

    launch()
    with pytest.raises(Exception, match="ickle" if way == "returned" else "CursorResult") as raised:
        DBOS.start_workflow(work).get_result()
    user.execute("DELETE FROM accounts")
    assert _accounts(user) == {}
    assert raised.tb is not None  # it was there all the time, and so was the result


@pytest.mark.parametrize("in_workflow", [True, False])
def test_a_file_that_stays_locked_fails_who_waits_for_it_in_the_end(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_workflow: bool
) -> None:
    monkeypatch.setattr(transactions, "LONGEST_BUSY_SECONDS", 0.2)
    url = f"sqlite:///{tmp_path / 'locked.sqlite'}"
    source = SQLAlchemyDatasource.create(url, engine_kwargs={"connect_args": {"timeout": 0.05}})

    @source.transaction(name="read")
    def read() -> Any:
        return source.sql_session().execute(text("SELECT 1")).scalar()

    @DBOS.workflow(name="work")
    def work() -> Any:
        return read()

    launch()
    with bystander(url) as other:
        other.execute("BEGIN IMMEDIATE")
        with SetWorkflowID("w1"), pytest.raises(OperationalError, match="locked"):
            work() if in_workflow else read()
        other.execute("ROLLBACK")
    known_databases.clear()
    if in_workflow:
        assert [type(step["error"]).__name__ for step in DBOS.list_workflow_steps("w1")] == ["OperationalError"]
    assert read() == 1


def test_a_lost_step_row_is_written_from_the_checkpoint_without_a_call(
    site: Site, launch: Launch, sql: Bystander, user: Bystander
) -> None:
    class Died(BaseException):
        """What ends a process, as far as this workflow is concerned."""

    def die() -> None:
        raise Died

    launch()
    site.fail_after = die
    with pytest.raises(Died):
        site.run("w1", "ada", 1200)
    assert len(_checkpoints(user)) == 1
    sql.execute("DELETE FROM dbos.operation_outputs WHERE workflow_uuid = %s", ("w1",))
    site.fail_after = lambda: None
    DBOS.cancel_workflow("w1")

    assert DBOS.resume_workflow("w1").get_result() == "ada: 1200"

    assert site.calls == ["ada"]
    assert [step["output"] for step in DBOS.list_workflow_steps("w1")] == ["ada: 1200"]
    assert _accounts(user) == {"ada": 1200}


def test_a_rewound_workflow_does_not_find_its_former_checkpoints(site: Site, launch: Launch, user: Bystander) -> None:
    launch()
    site.run("w1", "ada", 1200)
    assert janitor.settle(30)
    user.execute("DELETE FROM accounts")
    user.execute(
        "INSERT INTO dbos.datasource_outputs (workflow_id, step_id, output, serialization) VALUES (%s, %s, %s, %s)",
        ("w1", 1, '"stale"', "portable_json"),
    )

    DBOS.rewind_workflow("w1", start_step=1)

    assert DBOS.retrieve_workflow("w1").get_result() == "ada: 1200"
    assert site.calls == ["ada", "ada"]
    assert _accounts(user) == {"ada": 1200}


def test_conflicts_with_other_transactions_are_tried_again(user_url: str, launch: Launch, user: Bystander) -> None:
    source = SQLAlchemyDatasource.create(user_url)
    user.execute("INSERT INTO accounts (owner, cents) VALUES (%s, %s)", ("ada", 0))

    @source.transaction()
    def add(cents: int) -> int:
        session = source.sql_session()
        held = session.execute(text("SELECT cents FROM accounts WHERE owner = 'ada'")).scalar_one()
        session.execute(text("UPDATE accounts SET cents = :cents WHERE owner = 'ada'"), {"cents": held + cents})
        return int(held)

    @DBOS.workflow()
    def save(cents: int) -> int:
        return add(cents)

    launch()
    handles = [DBOS.start_workflow(save, 1) for _ in range(12)]

    assert sorted(handle.get_result() for handle in handles) == list(range(12))
    assert _accounts(user) == {"ada": 12}


def test_a_session_ends_with_its_transaction_only(site: Site, launch: Launch, user: Bystander) -> None:
    source, insert = site.source, {"owner": "ada", "cents": 5}
    if site.is_async:

        @source.transaction(name="early")
        async def early_on_loop() -> None:
            await source.sql_session().execute(INSERT, insert)
            await source.sql_session().commit()

        early: Callable[..., Any] = early_on_loop
    else:

        @source.transaction(name="early")
        def early_in_thread() -> None:
            source.sql_session().execute(INSERT, insert)
            source.sql_session().commit()

        early = early_in_thread
    launch()

    with pytest.raises(InvalidRequestError, match="ends with its function"):
        site.call(early)
    assert _accounts(user) == {}


def test_a_transaction_inside_a_transaction_is_a_part_of_it(user_url: str, launch: Launch, user: Bystander) -> None:
    source = SQLAlchemyDatasource.create(user_url)

    @source.transaction()
    def inner(owner: str) -> None:
        source.sql_session().execute(INSERT, {"owner": owner, "cents": 1})

    @source.transaction()
    def outer() -> None:
        inner("ada")
        raise ValueError("all or nothing")

    @DBOS.workflow()
    def run() -> None:
        outer()

    launch()
    with pytest.raises(ValueError, match="all or nothing"):
        run()
    assert _accounts(user) == {}


def test_an_execution_that_lost_its_workflow_changes_nothing(user_url: str, launch: Launch, user: Bystander) -> None:
    source = SQLAlchemyDatasource.create(user_url)

    @source.transaction()
    def cancel_while_running() -> None:
        source.sql_session().execute(INSERT, {"owner": "ada", "cents": 1})
        DBOS.cancel_workflow("w1")

    @DBOS.workflow()
    def run() -> None:
        cancel_while_running()

    launch()
    with SetWorkflowID("w1"):
        handle = DBOS.start_workflow(run)
    with pytest.raises(DBOSException, match="cancelled"):
        handle.get_result()

    assert _accounts(user) == {}
    assert _checkpoints(user) == []


def test_outside_of_workflows_it_is_a_transaction_that_nobody_records(site: Site, user: Bystander) -> None:
    assert site.call(site.transaction, "ada", 5) == "ada: 5"
    with pytest.raises(ValueError, match="no debts"):
        site.call(site.transaction, "bob", -5)

    assert _accounts(user) == {"ada": 5}
    assert _checkpoints(user) == []


def test_the_session_is_for_transactions(site: Site) -> None:
    with pytest.raises(DBOSException, match="transactions of this datasource"):
        site.source.sql_session()


def test_a_wrong_isolation_level_and_the_wrong_colour_are_refused(site: Site) -> None:
    with pytest.raises(DBOSException, match="isolation_level: expected one of SERIALIZABLE"):
        site.source.transaction(isolation_level="DIRTY")(site.transaction)

    def plain() -> None: ...

    async def coroutine() -> None: ...

    with pytest.raises(DBOSException, match="coroutine function"):
        site.source.transaction()(plain if site.is_async else coroutine)


def test_a_datasource_is_created_before_launch(launch: Launch, user_url: str) -> None:
    launch()
    with pytest.raises(DBOSException, match=r"before DBOS\.launch"):
        SQLAlchemyDatasource.create(user_url)


def test_without_migrations_the_tables_must_be_there(user_url: str) -> None:
    with pytest.raises(DBOSInitializationError, match="absent or outdated"):
        SQLAlchemyDatasource.create(user_url, run_migrations=False)
    SQLAlchemyDatasource.migrate(user_url)
    SQLAlchemyDatasource.create(user_url, run_migrations=False)


def test_a_pool_of_the_users_choice_need_not_have_a_size(launch: Launch, user_url: str) -> None:
    source = SQLAlchemyDatasource.create(user_url, engine_kwargs={"poolclass": NullPool})

    @source.transaction(name="one")
    def one() -> Any:
        return source.sql_session().execute(text("SELECT 1")).scalar()

    @DBOS.workflow(name="work")
    def work() -> Any:
        return one()

    launch()
    assert work() == 1
