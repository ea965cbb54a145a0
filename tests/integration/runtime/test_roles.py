"""Users and roles: carried by workflows to their children, and required before anything runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbos import DBOS, DBOSContextEnsure, DBOSContextSetAuth, SetWorkflowID
from dbos.error import DBOSNotAuthorizedError
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

Sql = Bystander
Identity = tuple[str | None, list[str] | None, str | None]


def _identity() -> Identity:
    return DBOS.authenticated_user, DBOS.authenticated_roles, DBOS.assumed_role


def _rows(sql: Sql) -> dict[str, tuple[Any, ...]]:
    rows = sql.execute(
        "SELECT workflow_uuid, status, authenticated_user, authenticated_roles, assumed_role FROM dbos.workflow_status"
    ).fetchall()
    return {
        row["workflow_uuid"]: (
            row["status"],
            row["authenticated_user"],
            row["authenticated_roles"],
            row["assumed_role"],
        )
        for row in rows
    }


def test_nobody_is_authenticated_until_somebody_is_set() -> None:
    assert _identity() == (None, None, None)
    with DBOSContextSetAuth("ada", ["admin"]):
        assert _identity() == ("ada", ["admin"], None)
        with DBOSContextSetAuth(None, None):
            assert _identity() == (None, None, None)
    assert _identity() == (None, None, None)


def test_what_is_set_in_a_context_ends_with_it() -> None:
    with DBOSContextEnsure():
        DBOS.set_authentication("ada", ["admin"])
        assert DBOS.authenticated_user == "ada"
    assert DBOS.authenticated_user is None


def test_a_workflow_carries_its_user_to_steps_and_children(launch: Launch, sql: Sql) -> None:
    @DBOS.step()
    def step() -> Identity:
        return _identity()

    @DBOS.workflow()
    def child() -> Identity:
        return _identity()

    @DBOS.workflow()
    @DBOS.required_roles(["owner", "admin"])
    def parent() -> list[Identity]:
        enqueued = DBOS.enqueue_workflow("children", child)
        return [step(), child(), DBOS.start_workflow(child).get_result(), enqueued.get_result()]

    launch()
    DBOS.register_queue("children")

    with DBOSContextSetAuth("ada", ["user", "admin"]), SetWorkflowID("parent"):
        seen = parent()

    user = ("ada", ["user", "admin"])
    assert seen == [(*user, "admin")] * 3 + [(*user, None)], "what comes from a queue assumes what it requires"
    stored = ("SUCCESS", "ada", '["user", "admin"]', "admin")
    assert _rows(sql) == dict.fromkeys(["parent", "parent-1", "parent-3", "parent-5"], stored)


@pytest.mark.parametrize("order", ["below", "above"])
def test_a_call_without_the_role_is_refused_before_anything_is_stored(launch: Launch, sql: Sql, order: str) -> None:
    def act() -> str:
        return "done"

    guard, workflow = DBOS.required_roles(["admin"]), DBOS.workflow(name="act")
    guarded = workflow(guard(act)) if order == "below" else guard(workflow(act))
    launch()

    with pytest.raises(DBOSNotAuthorizedError, match=r"act requires one of the roles admin, and nobody"):
        guarded()
    with DBOSContextSetAuth("eve", ["user"]), pytest.raises(DBOSNotAuthorizedError, match="'eve' has user"):
        guarded()
    assert _rows(sql) == {}
    with DBOSContextSetAuth("ada", ["admin"]):
        assert guarded() == "done"


@pytest.mark.parametrize(
    ("user", "roles", "said"),
    [
        (None, None, "nobody is authenticated here"),
        ("bob", None, "'bob' has none"),
        ("bob", ["user"], "'bob' has user"),
    ],
)
def test_a_refusal_says_who_lacks_the_role(
    launch: Launch, user: str | None, roles: list[str] | None, said: str
) -> None:
    @DBOS.workflow()
    @DBOS.required_roles(["admin"])
    def guarded() -> None: ...

    launch()
    with DBOSContextSetAuth(user, roles), pytest.raises(DBOSNotAuthorizedError, match=said):
        guarded()


def test_a_workflow_that_was_started_or_enqueued_without_the_role_ends_in_error(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    @DBOS.required_roles(["admin"])
    def act() -> str:
        return "done"

    launch()
    DBOS.register_queue("acts")

    with DBOSContextSetAuth("eve", ["user"]):
        with SetWorkflowID("started"), pytest.raises(DBOSNotAuthorizedError):
            DBOS.start_workflow(act).get_result()
        with SetWorkflowID("enqueued"), pytest.raises(DBOSNotAuthorizedError):
            DBOS.enqueue_workflow("acts", act).get_result()

    assert _rows(sql) == dict.fromkeys(["started", "enqueued"], ("ERROR", "eve", '["user"]', None))


def test_a_class_requires_roles_unless_a_workflow_says_otherwise(launch: Launch) -> None:
    @DBOS.dbos_class()
    @DBOS.default_required_roles(["admin"])
    class Vault:
        @staticmethod
        @DBOS.workflow(name="open")
        def open() -> str:
            return "open"

        @classmethod
        @DBOS.required_roles([])
        @DBOS.workflow(name="look")
        def look(cls) -> str:
            return cls.__name__

    launch()

    assert Vault.look() == "Vault"
    with pytest.raises(DBOSNotAuthorizedError):
        Vault.open()


def test_a_step_can_require_a_role(launch: Launch) -> None:
    @DBOS.step()
    @DBOS.required_roles(["admin"])
    def act() -> str | None:
        return DBOS.assumed_role

    @DBOS.workflow()
    def work() -> str | None:
        return act()

    launch()

    with DBOSContextSetAuth("ada", ["admin"]):
        assert work() == "admin"
    with DBOSContextSetAuth("eve", []), pytest.raises(DBOSNotAuthorizedError):
        work()


def test_a_coroutine_workflow_can_require_a_role(launch: Launch) -> None:
    @DBOS.workflow()
    @DBOS.required_roles(["admin"])
    async def act() -> Identity:
        return _identity()

    launch()

    async def main() -> None:
        with pytest.raises(DBOSNotAuthorizedError):
            await act()
        with DBOSContextSetAuth("ada", ["admin"]):
            assert await act() == ("ada", ["admin"], "admin")
            handle = await DBOS.start_workflow_async(act)
        assert await handle.get_result() == ("ada", ["admin"], "admin")

    asyncio.run(main())


@pytest.mark.parametrize("roles", ["admin", [1], None])
def test_roles_that_are_no_list_of_names_are_refused(roles: Any) -> None:
    with pytest.raises(TypeError):
        DBOS.required_roles(roles)
