"""Arguments checked before a workflow that came from a queue begins."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
ValidateArgs: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Arguments]


def pydantic_args_validator(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:  # noqa: ARG001 -- its signature
    """Stands for a validator made from the annotations of the workflow: `@DBOS.workflow(validate_args=…)`.

    It is never called itself. Needs pydantic: the extra `validation`.
    """
    raise RuntimeError("give pydantic_args_validator to @DBOS.workflow(validate_args=…); it is not called directly")


def make_pydantic_args_validator(func: Callable[..., Any]) -> ValidateArgs:
    """A validator that turns arguments into what a function's annotations ask for.

    It raises pydantic's ValidationError for what they do not allow. Raises ImportError without pydantic.
    """
    try:
        from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415 -- an extra that most do without
    except ImportError as error:
        raise ImportError("pydantic_args_validator needs pydantic: pip install 'dbos-operator[validation]'") from error
    parameters = [
        parameter
        for place, parameter in enumerate(inspect.signature(func).parameters.values())
        if place > 0 or parameter.name not in {"self", "cls"}
    ]
    signature = inspect.Signature(parameters)
    adapters: dict[str, TypeAdapter[Any]] = {}

    def adapter(name: str) -> TypeAdapter[Any] | None:
        if not adapters:  # on first use: by now the names in the annotations are known
            hints = typing.get_type_hints(func, include_extras=True)
            for parameter in parameters:
                if parameter.name in hints:
                    kind = hints[parameter.name]
                    plain = isinstance(kind, type) and not hasattr(kind, "__pydantic_core_schema__")
                    config = ConfigDict(arbitrary_types_allowed=True) if plain else None
                    adapters[parameter.name] = TypeAdapter(kind, config=config) if config else TypeAdapter(kind)
        return adapters.get(name)

    def validate(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            known = adapter(name)
            if known is None:
                continue
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(known.validate_python(item) for item in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {key: known.validate_python(item) for key, item in value.items()}
            else:
                bound.arguments[name] = known.validate_python(value)
        return bound.args, bound.kwargs

    return validate
