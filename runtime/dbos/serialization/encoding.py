"""Values to the text that the system database stores. This module writes and cannot read.

Whoever only writes (the operator) imports nothing else of this package, so stored pickles stay bytes to it.
`serialization` is the column beside a value; None stands for the default of an application, pickle.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pickle import dumps
from typing import Any, Final

PY_PICKLE: Final = "py_pickle"
PORTABLE_JSON: Final = "portable_json"

_CODES: Final = ("code", "error_code", "errno", "status", "status_code")
_DATA: Final = ("data", "details", "payload", "extra", "meta", "metadata")
_ABSENT: Final = object()


_WRITERS: Final[dict[str, Callable[[Any], str]]] = {}


def add_writer(name: str, write: Callable[[Any], str]) -> None:
    """Make a format known by the name that rows give it."""
    _WRITERS[name] = write


def can_write(serialization: str | None) -> bool:
    """Whether this process has a format."""
    return serialization in {None, PY_PICKLE, PORTABLE_JSON} or serialization in _WRITERS


def portable_error(error: BaseException) -> dict[str, Any]:
    """What portable JSON tells of an exception: its name, message and code, and the data that it carries."""
    told: dict[str, Any] = {"name": type(error).__name__, "message": str(error), "code": _code_of(error)}
    data = _data_of(error)
    if data is not _ABSENT:
        told["data"] = data
    return told


def encode_value(value: Any, serialization: str | None) -> str:
    """One value as stored text.

    Raises TypeError for a value that portable JSON has no form for, whatever
    pickling raises for one that cannot be pickled, and ValueError for a format
    that this process does not have.
    """
    match serialization or PY_PICKLE:
        case "py_pickle":
            return b64encode(dumps(value)).decode("ascii")
        case "portable_json":
            return _json(_portable(value))
        case other:
            write = _WRITERS.get(other)
            if write is None:
                raise ValueError(f"expected the format {PY_PICKLE} or {PORTABLE_JSON}, got {other!r}")
            return write(value)


def encode_inputs(args: Sequence[Any], kwargs: Mapping[str, Any], serialization: str | None) -> str:
    """The arguments of a workflow, in the form that goes with a row of that `serialization`."""
    if serialization == PORTABLE_JSON:
        return encode_value({"namedArgs": dict(kwargs), "positionalArgs": list(args)}, serialization)
    return encode_value({"args": tuple(args), "kwargs": dict(kwargs)}, serialization)


def encode_error(error: BaseException, serialization: str | None) -> str:
    """An exception as stored text: the pickled object, or a portable object that tells name, message and code."""
    if serialization != PORTABLE_JSON:
        return encode_value(error, serialization)
    return encode_value(portable_error(error), serialization)


def encode_context(context: Any, serializer: str | None) -> str:
    """The context of a schedule, in the format of the application that owns it."""
    return encode_value(context, serializer)


def encode_scheduled_inputs(moment: datetime, context: Any, serializer: str | None) -> str:
    """The arguments of a scheduled run, byte for byte those that a worker would write.

    Such rows name no format, so the application reads them with its own
    serializer and expects that one's form of arguments, portable or not.
    """
    return encode_value({"args": (moment, context), "kwargs": {}}, serializer)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only its escape can be stored
        return json.dumps(value, separators=(",", ":"))
    return text


def _portable(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case list() | tuple() | set():
            return [_portable(item) for item in value]
        case Mapping():
            return {_portable_key(key): _portable(item) for key, item in value.items()}
        case _:
            raise TypeError(f"portable JSON has no form for a value of type {type(value).__name__}")


def _portable_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"portable JSON needs text as the keys of a mapping, got {key!r}")
    return key


def _code_of(error: BaseException) -> int | str | None:
    for name in _CODES:
        code = getattr(error, name, _ABSENT)
        if code is None or isinstance(code, int | str):
            return code
    return None


def _data_of(error: BaseException) -> Any:
    for name in _DATA:
        data = getattr(error, name, _ABSENT)
        if data is _ABSENT or callable(data):
            continue
        try:
            return _portable(data)
        except TypeError:
            return str(data)
    return _ABSENT
