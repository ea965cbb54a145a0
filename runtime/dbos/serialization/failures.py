"""Exceptions that cannot be stored as they are: their workflow still ends, with type and text kept."""

from __future__ import annotations

from dbos.serialization.decoding import UndecodableError, decode_error
from dbos.serialization.encoding import PORTABLE_JSON, PY_PICKLE, encode_error


def encode_failure(error: BaseException, serialization: str | None) -> str:
    """An exception as stored text that can be read back, whatever the exception holds.

    One that does not survive the round trip is stored as `Exception("<Type>: <text>")`; in a row whose
    format this process cannot write, as portable JSON.
    """
    if serialization not in {None, PY_PICKLE}:
        serialization = PORTABLE_JSON
    try:
        text = encode_error(error, serialization)
        if serialization != PORTABLE_JSON:
            decode_error(text, serialization)
    except (UndecodableError, Exception):  # noqa: BLE001 -- user classes raise anything when pickled
        return encode_error(Exception(f"{type(error).__name__}: {_text_of(error)}"), serialization)
    return text


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 -- user classes raise anything when asked for their text
        return f"(its text cannot be had: {type(failure).__name__})"
