"""Classes and users, as every runtime knows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dbos import DBOS, DBOSConfiguredInstance, DBOSContextSetAuth, SetWorkflowID
from dbos import error as errors


@DBOS.dbos_class()
class Till(DBOSConfiguredInstance):
    """Methods of every kind."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(config_name=place)

    @DBOS.step()
    def receipt(self, item: str) -> str:
        """A step of an instance."""
        return f"{item} at {self.place}"

    @DBOS.workflow()
    def sell(self, item: str) -> str:
        """A workflow of an instance."""
        return self.receipt(item)

    @DBOS.workflow()
    async def sell_later(self, item: str) -> str:
        """A coroutine workflow of an instance."""
        return f"{item} later at {self.place}"

    @classmethod
    @DBOS.workflow()
    def count(cls, number: int) -> str:
        """A workflow of a class."""
        return f"{cls.__name__} {number}"

    @staticmethod
    @DBOS.workflow()
    def add(one: int, two: int) -> int:
        """A workflow that only lives in a class."""
        return one + two


@DBOS.dbos_class("Renamed")
class Other:
    """Known under another name."""

    @classmethod
    @DBOS.workflow()
    def count(cls, number: int) -> int:
        """A workflow of a class."""
        return number


def _identity() -> list[Any]:
    return [DBOS.authenticated_user, DBOS.authenticated_roles, DBOS.assumed_role]


@DBOS.step()
def identity() -> list[Any]:
    """Who runs the step."""
    return _identity()


@DBOS.workflow()
def relative() -> list[Any]:
    """Who runs a child."""
    return _identity()


@DBOS.workflow()
@DBOS.required_roles(["owner", "admin"])
def guarded() -> list[Any]:
    """Passes its user on."""
    enqueued = DBOS.enqueue_workflow("live", relative)
    return [identity(), relative(), DBOS.start_workflow(relative).get_result(), enqueued.get_result()]


def everything() -> None:
    """Each method called, started and enqueued; users with and without roles."""
    till = Till("door")
    methods: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "sell": (till.sell, ("tea",)),
        "step": (till.receipt, ("tea",)),
        "later": (till.sell_later, ("tea",)),
        "count": (Till.count, (1,)),
        "add": (Till.add, (1, 2)),
        "other": (Other.count, (1,)),
    }
    for name, (function, args) in methods.items():
        with SetWorkflowID(f"class-started-{name}"):
            DBOS.start_workflow(function, *args).get_result()
        with SetWorkflowID(f"class-enqueued-{name}"):
            DBOS.enqueue_workflow("live", function, *args).get_result()
    with SetWorkflowID("class-called"):
        till.sell("milk")
    for user, roles in (("ada", ["user", "admin"]), ("eve", ["user"]), (None, None)):
        refused = suppress(errors.DBOSNotAuthorizedError)
        with DBOSContextSetAuth(user, roles), refused, SetWorkflowID(f"role-called-{user}"):
            guarded()
        with DBOSContextSetAuth(user, roles):
            with SetWorkflowID(f"role-plain-{user}"):
                relative()
            if user == "ada":
                with SetWorkflowID("role-started"):
                    DBOS.start_workflow(guarded).get_result()
                with SetWorkflowID("role-enqueued"):
                    DBOS.enqueue_workflow("live", guarded).get_result()
