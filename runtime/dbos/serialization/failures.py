"""Exceptions that cannot be stored as they are: their workflow still ends, with type and text kept."""

from __future__ import annotations

import json

from dbos.serialization.decoding import UndecodableError, decode_error
from dbos.serialization.encoding import (
    PORTABLE_JSON,
    PY_PICKLE,
    can_write,
    encode_error,
    encode_value,
    portable_error,
)
from dbos.serialization.kept import encode_kept


def encode_failure(error: BaseException, serialization: str | None) -> str:
    """An exception as stored text that can be read back, whatever the exception holds.

    One that does not survive the round trip is stored as a pickle without what cannot be pickled, so that a replay
    still catches it by its type; where the type itself cannot be pickled, or the format is another one, only its type
    and text are kept: as `Exception("<Type>: <text>")`, in an application's own format as what portable JSON tells
    of it. A row whose format this process cannot write gets portable JSON.
    """
    if not can_write(serialization):
        serialization = PORTABLE_JSON
    try:
        text = encode_error(error, serialization)
        if serialization != PORTABLE_JSON:
            decode_error(text, serialization)
    except (UndecodableError, Exception):  # noqa: BLE001 -- user classes raise anything when stored
        return _encode_told(error, serialization)
    return text


def _encode_told(error: BaseException, serialization: str | None) -> str:
    if serialization in {None, PY_PICKLE} and (kept := encode_kept(error, _text_of(error))) is not None:
        return kept
    if serialization in {None, PY_PICKLE, PORTABLE_JSON}:
        return encode_error(Exception(f"{type(error).__name__}: {_text_of(error)}"), serialization)
    told = {"name": type(error).__name__, "message": _text_of(error), "code": None}
    try:
        told = portable_error(error)
        return encode_value(told, serialization)
    except Exception:  # noqa: BLE001 -- a serializer of the application's that refuses plain dictionaries too
        return json.dumps(told, default=str)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 -- user classes raise anything when asked for their text
        return f"(its text cannot be had: {type(failure).__name__})"
