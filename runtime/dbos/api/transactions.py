"""@DBOS.transaction: steps in the application's database that happen exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from dbos.api.calling import with_parentheses

P = ParamSpec("P")
R = TypeVar("R")


class Transactions:
    """The class methods of DBOS about transactions."""

    @staticmethod
    @with_parentheses
    def transaction(
        *,
        name: str | None = None,
        isolation_level: Literal["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"] = "SERIALIZABLE",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a transaction of the application's database: a step that happens exactly once.

        `DBOS.sql_session` is its session. It commits when the function returns and is rolled back when it
        raises. Conflicts with other transactions are tried again: the function may be called several times,
        and only the last call counts. Outside of workflows it runs as a workflow of its own, and in a step
        as a transaction that nobody records. Raises DBOSException for a coroutine function.
        """
        from dbos.api.transaction_calls import decorator  # noqa: PLC0415 -- a process without transactions saves SQLAlchemy

        return decorator(name, isolation_level)
