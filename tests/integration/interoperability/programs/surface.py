"""The public names of the installed `dbos`, with all that a caller can rely on, as one JSON object of texts.

Run by both packages' interpreters; told by introspection alone.
"""

from __future__ import annotations

import abc
import enum
import inspect
import json
import re
import typing
from types import ModuleType
from typing import Any

import dbos

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "parameter",
    inspect.Parameter.VAR_POSITIONAL: "any more",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "any more by name",
}
_STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_EXAMPLES: dict[str, Any] = {
    "timeout_seconds": 1.5,
    "step_id": 3,
    "max_retries": 3,
    "dbos_error_code": 99,
    "errors": [],
}


def surface() -> dict[str, str]:
    """Every public name and what belongs to it, by its path."""
    told: dict[str, str] = {}
    for name in sorted({*dbos.__all__, "error"}):
        _tell(told, name, getattr(dbos, name))
    return told


def _tell(told: dict[str, str], path: str, value: Any) -> None:
    if isinstance(value, ModuleType):
        told[path] = "module"
        for name in (each for each in dir(value) if each.startswith(("DBOS", "Max", "is_"))):
            _tell(told, f"{path}.{name}", getattr(value, name))
    elif typing.is_typeddict(value):
        told[path] = "typed dictionary"
        told.update({f"{path}[{key}]": _need(value, key) for key in value.__annotations__})
    elif isinstance(value, type) and issubclass(value, enum.Enum):
        told[path] = "enumeration"
        told.update({f"{path}.{name}": repr(member.value) for name, member in value.__members__.items()})
    elif isinstance(value, type):
        _tell_class(told, path, value)
    elif typing.get_origin(value) is typing.Literal:
        told[path] = f"one of {sorted(typing.get_args(value))}"
    elif callable(value):
        _tell_call(told, path, value)
    else:
        told[path] = type(value).__name__


def _need(value: Any, key: str) -> str:
    """Whether a typed dictionary needs a key; what is written around its type goes before what its class says."""
    hint = value.__annotations__[key]
    written = re.match(r"(typing\.|typing_extensions\.)?(Required|NotRequired)\[", _text(hint))
    if written is not None:
        return "required" if written[2] == "Required" else "optional"
    return "required" if key in value.__required_keys__ else "optional"


def _text(hint: Any) -> str:
    """An annotation as it is written; names that are there for type checkers alone need not mean anything here."""
    return hint if isinstance(hint, str) else str(getattr(hint, "__forward_arg__", hint))


def _tell_class(told: dict[str, str], path: str, value: type) -> None:
    told[path] = "class"
    if issubclass(value, BaseException):
        _tell_error(told, path, value)
    constructor = inspect.getattr_static(value, "__new__" if "__new__" in vars(value) else "__init__")
    if isinstance(constructor, staticmethod):
        constructor = constructor.__func__
    if constructor is not object.__init__ and not getattr(value, "_is_protocol", False):
        _tell_parameters(told, path, constructor, bound=True)
    names = {name for owner in (value, type(value)) for name in dir(owner)}
    names |= {name for owner in value.__mro__ for name in inspect.get_annotations(owner)}
    for name in sorted(names - set(dir(abc.ABCMeta)) - set(dir(BaseException)) - set(dir(dict))):
        if name.startswith("_") or f"{path}.{name}" in told:
            continue
        static = inspect.getattr_static(value, name, None)
        if isinstance(static, classmethod | staticmethod):
            _tell_call(told, f"{path}.{name}", static.__func__, bound=isinstance(static, classmethod))
        elif inspect.isfunction(static):
            _tell_call(told, f"{path}.{name}", static, bound=True)
        else:
            told[f"{path}.{name}"] = "attribute"


def _tell_error(told: dict[str, str], path: str, value: type[BaseException]) -> None:
    bases = [base.__name__ for base in value.__mro__[1:] if not base.__name__.startswith("_")]
    told[f"{path}: base"] = bases[0]
    names = list(inspect.signature(value.__init__).parameters)[1:]
    example = value(*(_EXAMPLES.get(name, name) for name in names))
    told[f"{path}: code"] = str(getattr(example, "dbos_error_code", None))
    for name, given in sorted(vars(example).items()):
        if not name.startswith("_"):
            told[f"{path}.{name}"] = "attribute" if name == "message" else f"attribute like {given!r}"


def _tell_call(told: dict[str, str], path: str, call: Any, *, bound: bool = False) -> None:
    told[path] = _manner(call)
    _tell_parameters(told, path, call, bound=bound)


def _manner(call: Any) -> str:
    returns = str(getattr(call, "__annotations__", {}).get("return", ""))
    if inspect.isasyncgenfunction(call) or "AsyncGenerator" in returns:
        return "asynchronous generator"
    if inspect.iscoroutinefunction(call):
        return "coroutine function"
    return "generator" if inspect.isgeneratorfunction(call) or "Generator" in returns else "function"


def _tell_parameters(told: dict[str, str], path: str, call: Any, *, bound: bool) -> None:
    parameters = list(inspect.signature(call).parameters.values())[1 if bound else 0 :]
    place = 0
    for each in parameters:
        text = _KINDS[each.kind]
        unpacked = re.search(r"Unpack\[(?:[\w.]*\.)?(\w+)\]", _text(each.annotation))
        if unpacked is not None:
            record = call.__globals__[unpacked[1]]
            told.update({f"{path}({key})": "keyword, may be left out" for key in record.__annotations__})
            continue
        if each.kind in {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}:
            place += 1
            text = f"{text} {place}"
        if each.default is not inspect.Parameter.empty:
            text = f"{text} = {_default(each.default)}"
        told[f"{path}({_STARS.get(each.kind, '')}{'' if each.kind in _STARS else each.name})"] = text


def _default(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    plain = value is None or isinstance(value, str | int | float | bool | tuple | list)
    return repr(value) if plain else type(value).__name__


if __name__ == "__main__":
    print(json.dumps(surface()))
