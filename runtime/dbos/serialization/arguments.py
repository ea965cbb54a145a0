"""Portable arguments: JSON has no form for times, so a function's annotations tell which texts are some."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


def restore_times(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments, with ISO 8601 text as what a parameter asks for that is annotated `datetime` or `date`.

    Everything else stays as it is: other annotations, other values, and text that is no such time.
    """
    try:
        annotations = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
    except (NameError, TypeError, ValueError):  # an annotation that cannot be resolved here asks for nothing
        return args, dict(kwargs)
    positional = [name for name, known in parameters.items() if known.kind in _POSITIONAL]
    others = next((name for name, known in parameters.items() if known.kind is known.VAR_POSITIONAL), "")
    kinds = [annotations.get(name) for name in positional] + [annotations.get(others)] * len(args)
    return (
        tuple(_restore(value, kind) for value, kind in zip(args, kinds, strict=False)),
        {name: _restore(value, annotations.get(name)) for name, value in kwargs.items()},
    )


def _restore(value: Any, kind: object) -> Any:
    if not isinstance(value, str) or (kind is not datetime and kind is not date):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment if kind is datetime else moment.date()
