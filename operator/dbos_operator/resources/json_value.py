"""Any JSON, in one form: equal values become equal bytes whichever way they were written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dbos_operator.errors import InvalidResourceError

DEEPEST = 100


def read_json(path: str, value: object) -> Any:
    """A fresh copy of a JSON value: keys sorted, equal texts one object, nothing else shared.

    The API server hands out keys in this order too, and a pickle notes which
    texts are the same object; so the encoded value changes only when the value
    does. Raises InvalidResourceError for what YAML can say and JSON cannot.
    """
    return _copy(path, value, {}, DEEPEST)


def _copy(path: str, value: object, texts: dict[str, str], depth: int) -> Any:
    if depth == 0:
        raise InvalidResourceError(path, "…", expected=f"JSON of at most {DEEPEST} levels")
    match value:
        case None | bool() | int():
            return value
        case str():
            return texts.setdefault(value, value)
        case float() if math.isfinite(value):
            return value
        case list():
            return [_copy(f"{path}[{index}]", item, texts, depth - 1) for index, item in enumerate(value)]
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise InvalidResourceError(path, key, expected="text as every key")
            return {
                texts.setdefault(key, key): _copy(f"{path}.{key}", value[key], texts, depth - 1)
                for key in sorted(value)
            }
        case _:
            raise InvalidResourceError(path, value, expected="JSON (a date must be in quotes)")
