"""How the methods of the public classes are called, and what they are named when they are called otherwise."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])


def one_class(owner: C) -> C:
    """A class whose methods are named after it in errors and logs, not after the part of it that defines them."""
    for part in owner.__mro__:
        if not part.__module__.startswith("dbos."):
            continue
        for name, member in vars(part).items():
            function = getattr(member, "__func__", member)
            while inspect.isfunction(function):
                function.__qualname__ = f"{owner.__qualname__}.{name}"
                function = getattr(function, "__wrapped__", None)
    return owner


def with_parentheses(decorator: F) -> F:
    """A maker of decorators that says so when it is written without parentheses. Raises TypeError then."""

    @functools.wraps(decorator)
    def make(*bare: Any, **options: Any) -> Any:
        if bare:
            raise TypeError(
                f"{make.__qualname__} takes its options by name, and no function: write @{make.__qualname__}()"
            )
        return decorator(**options)

    return cast("F", make)
