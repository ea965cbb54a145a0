"""Classes with workflows, and who may run what."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

from dbos._error import DBOSException
from dbos.api.options import Block
from dbos.api.runtime import process, registry
from dbos.core.ids import STEP_WORKFLOW_PREFIX, check_text
from dbos.engine.authorization import Authentication, authorize
from dbos.engine.context import authenticated, authentication, current_user, set_user
from dbos.engine.targets import WORKFLOW_ATTRIBUTE, MethodKind

logger = logging.getLogger("dbos")

P = ParamSpec("P")
R = TypeVar("R")
ClassT = TypeVar("ClassT", bound=type)

ROLES_ATTRIBUTE = "_dbos_required_roles"


class DBOSConfiguredInstance:
    """The base of classes whose workflows are methods of instances.

    `config_name` tells the instances of a class apart in rows: after a restart the same name must mean
    the same instance, made before `DBOS.launch()`. Raises DBOSException for a name that is taken.
    """

    def __init__(self, config_name: str) -> None:
        self.config_name = check_text(config_name, subject="config_name")
        registry.targets.add_instance(self, config_name)
        if process.application is not None and process.application.engine is not None:
            logger.warning(
                "Instance %r of class %r was made after DBOS.launch(): workflows that wait for it may have been "
                "looked for already",
                config_name,
                type(self).__qualname__,
            )


class Classes:
    """The part of DBOS that is about classes, users and roles."""

    @staticmethod
    def dbos_class(class_name: str | None = None) -> Callable[[ClassT], ClassT]:
        """Make a class known whose methods are workflows, under its own name or `class_name`.

        The name is what rows say, so keep it when the class is renamed.
        """

        def decorate(cls: ClassT) -> ClassT:
            for workflow in registry.targets.add_class(cls, class_name or cls.__name__):
                if workflow in registry.scheduled and registry.targets.kind_of(workflow) is not MethodKind.STATIC:
                    raise DBOSException(
                        f"{workflow} is a method: @DBOS.scheduled runs functions and static methods; use "
                        "DBOS.create_schedule for a class method"
                    )
            return cls

        return decorate

    @staticmethod
    def default_required_roles(roles: Sequence[str]) -> Callable[[ClassT], ClassT]:
        """Require one of these roles of whoever runs a workflow of the class, unless the workflow says which."""
        wanted = _checked(roles)

        def decorate(cls: ClassT) -> ClassT:
            for attribute in vars(cls).values():
                workflow = getattr(getattr(attribute, "__func__", attribute), WORKFLOW_ATTRIBUTE, None)
                if workflow is not None:
                    registry.roles.setdefault(workflow.name, wanted)
            return cls

        return decorate

    @staticmethod
    def required_roles(roles: Sequence[str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Require one of these roles of whoever runs the function, above or below @DBOS.workflow().

        Who has none gets DBOSNotAuthorizedError: a call before anything is stored, a workflow that was
        enqueued or started as its outcome.
        """
        wanted = _checked(roles)

        def decorate(func: Callable[P, R]) -> Callable[P, R]:
            workflow = getattr(func, WORKFLOW_ATTRIBUTE, None)
            if workflow is not None:
                registry.roles[workflow.name] = wanted
                if not workflow.name.startswith(STEP_WORKFLOW_PREFIX):
                    return func
            return cast("Callable[P, R]", _guarded(func, wanted))

        return decorate

    @classmethod
    def set_authentication(cls, authenticated_user: str | None, authenticated_roles: list[str] | None) -> None:
        """Let what runs in this context from now on run as a user with these roles; for middleware of servers.

        Workflows that are started there carry both, on queues too. None for both: nobody. It ends with a
        surrounding DBOSContextEnsure.
        """
        set_user(_identity(authenticated_user, authenticated_roles))


class DBOSContextEnsure(Block[Authentication]):
    """A context for the block: what `DBOS.set_authentication` sets inside ends with it."""

    def __init__(self) -> None:
        super().__init__(authentication)

    def _value(self) -> Authentication:
        return replace(current_user())  # an own one, even of nobody: what is set inside does not leave the block


class DBOSContextSetAuth(DBOSContextEnsure):
    """Run the block as a user with these roles: workflows that are started inside carry them, on queues too."""

    def __init__(self, user: str | None, roles: list[str] | None) -> None:
        super().__init__()
        self._identity = _identity(user, roles)

    def _value(self) -> Authentication:
        return self._identity


def take_required_roles(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Note the roles that a decorator below asked for under the workflow's name; the function without its guard."""
    roles = getattr(func, ROLES_ATTRIBUTE, None)
    if roles is None:
        return func
    registry.roles[name] = roles
    bare: Callable[..., Any] = inspect.unwrap(func, stop=lambda inner: not hasattr(inner, ROLES_ATTRIBUTE))
    return bare


def _guarded(func: Callable[..., Any], roles: tuple[str, ...]) -> Callable[..., Any]:
    def user() -> Authentication:
        known = current_user()
        role = authorize(func.__qualname__, roles, known)
        return known if role is None else Authentication(known.user, known.roles, role)

    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def call_on_loop(*args: Any, **kwargs: Any) -> Any:
            with authenticated(user()):
                return await func(*args, **kwargs)

        guarded: Callable[..., Any] = call_on_loop
    else:

        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            with authenticated(user()):
                return func(*args, **kwargs)

        guarded = call
    setattr(guarded, ROLES_ATTRIBUTE, roles)
    return guarded


def _identity(user: str | None, roles: Sequence[str] | None) -> Authentication:
    if user is not None:
        check_text(user, subject="authenticated user")
    return Authentication(user, None if roles is None else _checked(roles))


def _checked(roles: Sequence[str]) -> tuple[str, ...]:
    if isinstance(roles, str) or not all(isinstance(role, str) for role in roles):
        raise TypeError(f"roles: expected a list of names, got {roles!r}")
    return tuple(roles)
