"""Classes with workflows: whose method a call means, and which object a row means."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dbos._error import DBOSException

logger = logging.getLogger("dbos")

WORKFLOW_ATTRIBUTE = "_dbos_workflow"
"""Where the callable of a workflow, and every decorator around it, keeps its registration."""


class MethodKind(StrEnum):
    """What a workflow's function takes before its arguments."""

    INSTANCE = "instance"
    CLASS = "class"
    STATIC = "static"


@dataclass(frozen=True, slots=True)
class Target:
    """The object that a workflow is a method of, as its row names it."""

    class_name: str
    config_name: str | None
    receiver: Any


class Targets:
    """Registered classes and configured instances. Filled before launch, read afterwards."""

    def __init__(self) -> None:
        self._classes: dict[str, type] = {}
        self._names: dict[type, str] = {}
        self._instances: dict[tuple[str, str], Any] = {}
        self._methods: dict[str, MethodKind] = {}

    def add_class(self, cls: type, name: str) -> list[str]:
        """Make a class known under a name; the names of the workflows that it defines."""
        before = self._classes.get(name)
        if before is not None and before.__qualname__ != cls.__qualname__:
            logger.warning(
                "Class %r is registered twice; the one in %s is used from now on",
                name,
                cls.__module__,
            )
        self._classes[name], self._names[cls] = cls, name
        defined = dict(_methods(cls))
        self._methods |= defined
        return list(defined)

    def add_instance(self, instance: Any, config_name: str) -> None:
        """Make an instance known. Raises DBOSException for a class and name that another one has."""
        key = (self.class_name(type(instance)), config_name)
        if key in self._instances:
            raise DBOSException(
                f"An instance of class {key[0]!r} is already configured as {config_name!r}; each needs its own name"
            )
        self._instances[key] = instance

    def class_name(self, cls: type) -> str:
        """The name under which a class is, or will be, registered."""
        return self._names.get(cls, cls.__qualname__)

    def kind_of(self, workflow: str) -> MethodKind | None:
        """What a workflow's function takes before its arguments; None for a plain function."""
        return self._methods.get(workflow)

    def of_call(self, workflow: str, args: tuple[Any, ...]) -> tuple[Target | None, tuple[Any, ...]]:
        """Whose method a call means, and the arguments after that object.

        Raises DBOSException for a method whose object cannot be named in a row.
        """
        kind = self._methods.get(workflow)
        if kind is None or kind is MethodKind.STATIC or not args:
            return None, args
        receiver, rest = args[0], args[1:]
        if kind is MethodKind.CLASS:
            return Target(self.class_name(receiver), None, receiver), rest
        config_name = getattr(receiver, "config_name", None)
        class_name = self.class_name(type(receiver))
        if not isinstance(config_name, str):
            raise DBOSException(
                f"{workflow} is a method of {class_name!r}: its instances need a config_name that outlives the "
                "process; inherit from DBOSConfiguredInstance and call super().__init__(config_name=…)"
            )
        return Target(class_name, config_name, receiver), rest

    def of_row(self, class_name: str | None, config_name: str | None) -> Target | None:
        """The object that a row names. Raises LookupError when it is not here."""
        if class_name is None:
            if config_name is not None:
                raise LookupError(config_name)
            return None
        receiver = self._classes[class_name] if config_name is None else self._instances[class_name, config_name]
        return Target(class_name, config_name, receiver)

    def clear(self) -> None:
        """Forget everything."""
        self._classes.clear()
        self._names.clear()
        self._methods.clear()
        self._instances.clear()


def _methods(cls: type) -> Iterator[tuple[str, MethodKind]]:
    for attribute in vars(cls).values():
        kind = MethodKind.INSTANCE
        function = attribute
        if isinstance(attribute, staticmethod | classmethod):
            kind = MethodKind.STATIC if isinstance(attribute, staticmethod) else MethodKind.CLASS
            function = attribute.__func__
        workflow = getattr(function, WORKFLOW_ATTRIBUTE, None)
        if workflow is not None:
            yield workflow.name, kind
