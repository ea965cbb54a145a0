"""Stored text back to values. The only modules that unpickle are this one and what imports it.

`serialization` is the column beside the value; NULL stands for the reader's own format.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from dbos._serialization import PortableWorkflowError
from dbos.serialization.encoding import PORTABLE_JSON, PY_PICKLE


class UndecodableError(ValueError):
    """Stored text that this process cannot turn into a value. Pickles as ValueError, which every process has."""

    def __reduce__(self) -> tuple[type[ValueError], tuple[str]]:
        return (ValueError, (str(self),))


_READERS: dict[str, Callable[[str], Any]] = {}


class _Unnamed:
    """How rows that name no format are read in this process."""

    serialization = PY_PICKLE


def read_unnamed_as(serialization: str) -> None:
    """Read rows that name no format as this application writes: what schedules and other clients store."""
    _Unnamed.serialization = serialization


def add_reader(name: str, read: Callable[[str], Any]) -> None:
    """Make a format known by the name that rows give it."""
    _READERS[name] = read


def decode_value(text: str | None, serialization: str | None) -> Any:
    """The value of a stored text; None for NULL. Raises UndecodableError naming the format."""
    if text is None:
        return None
    match serialization or _Unnamed.serialization:
        case "py_pickle":
            return _unpickle(text)
        case "portable_json":
            return _parse(text)
        case other:
            read = _READERS.get(other)
            if read is None:
                raise UndecodableError(f"the format {other!r} is not available in this process")
            try:
                return read(text)
            except Exception as error:
                raise UndecodableError(
                    f"the serializer {other!r} cannot read it: {type(error).__name__}: {error}"
                ) from error


def decode_inputs(text: str | None, serialization: str | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of a workflow. Raises UndecodableError."""
    value = decode_value(text, serialization)
    if not isinstance(value, Mapping):
        raise UndecodableError(f"expected the arguments of a workflow, got {type(value).__name__}")
    if serialization == PORTABLE_JSON:
        positional, named = value.get("positionalArgs"), value.get("namedArgs")
    else:
        positional, named = value.get("args"), value.get("kwargs")
    try:
        return tuple(positional or ()), dict(named or {})
    except (TypeError, ValueError) as error:
        raise UndecodableError(f"expected lists of arguments: {error}") from error


def decode_error(text: str, serialization: str | None) -> BaseException:
    """The exception that a workflow or step recorded. Raises UndecodableError."""
    value = decode_value(text, serialization)
    if isinstance(value, BaseException):
        return value
    if (serialization or _Unnamed.serialization) == PY_PICKLE:
        raise UndecodableError(f"expected an exception, got {type(value).__name__}")
    if not isinstance(value, Mapping) or "message" not in value:
        raise UndecodableError(f"expected an error object, got {type(value).__name__}")
    return PortableWorkflowError(
        str(value.get("message")), str(value.get("name")), value.get("code"), value.get("data")
    )


def _unpickle(text: str) -> Any:
    try:
        return pickle.loads(base64.b64decode(text, validate=False))  # noqa: S301 -- the documented default format
    except (binascii.Error, ValueError) as error:
        raise UndecodableError(f"not a base64 pickle: {error}") from error
    except Exception as error:
        raise UndecodableError(f"the pickle cannot be read here: {type(error).__name__}: {error}") from error


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UndecodableError(f"not JSON: {error}") from error
