"""What @DBOS.transaction makes of a function; imported by the first one, for it needs SQLAlchemy."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy.orm import Session

from dbos._error import DBOSException
from dbos.api.runtime import engine, process, registry
from dbos.core.ids import STEP_WORKFLOW_PREFIX, check_text
from dbos.engine.commands import call_workflow
from dbos.engine.context import current_step, recording_execution
from dbos.engine.interpreters import run_blocking
from dbos.engine.registry import WorkflowFunction
from dbos.engine.targets import WORKFLOW_ATTRIBUTE
from dbos.engine.transactions import TransactionFunction, refuse_level, run_plainly, run_transaction, session_of
from dbos.store.checkpoints import ISOLATION_LEVELS

P = ParamSpec("P")
R = TypeVar("R")


def decorator(name: str | None, isolation_level: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function a transaction; see DBOS.transaction. Raises DBOSException for an unknown level."""
    refuse_level(isolation_level, ISOLATION_LEVELS)

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(func):
            raise DBOSException(
                f"{func.__qualname__} is a coroutine function; @DBOS.transaction is for plain ones (call them by "
                "asyncio.to_thread), AsyncSQLAlchemyDatasource for coroutines"
            )
        known = func.__qualname__ if name is None else check_text(name, subject="name")
        return cast("Callable[P, R]", _wrap(known, func, isolation_level))

    return decorate


def current_session() -> Session:
    """The session of the transaction that runs here. Raises DBOSException outside of transactions."""
    application = process.application
    database = None if application is None else application.user_database.opened
    session: Session | None = None if database is None else session_of(database)
    if session is None:
        raise DBOSException("DBOS.sql_session is for functions that @DBOS.transaction() decorates, while they run")
    return session


def _wrap(name: str, func: Callable[..., Any], isolation_level: str) -> Callable[..., Any]:
    def transaction() -> TransactionFunction:
        application = process.application
        assert application is not None, "there is an engine"
        database = application.user_database.open()
        return TransactionFunction(name=name, function=func, database=database, isolation_level=isolation_level)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        services, execution = engine().services, recording_execution()
        if execution is not None:
            return run_blocking(run_transaction(services, execution, transaction(), args, kwargs), services).unwrap()
        if current_step.get() is not None:
            return run_blocking(run_plainly(transaction(), args, kwargs), services).unwrap()
        return run_blocking(call_workflow(services, registry.call(as_workflow, args, kwargs)), services).unwrap()

    def run_here(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    as_workflow = WorkflowFunction(name=STEP_WORKFLOW_PREFIX + name, function=run_here, is_async=False)
    registry.add_workflow(as_workflow)
    setattr(call, WORKFLOW_ATTRIBUTE, as_workflow)
    return call
