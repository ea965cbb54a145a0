"""Exceptions that pickling refuses, as pickles that keep what can be: their type, arguments and attributes."""

from __future__ import annotations

import pickle
from base64 import b64encode
from copyreg import __newobj__  # type: ignore[attr-defined]
from io import BytesIO
from typing import Any


def encode_kept(error: BaseException, text: str) -> str | None:
    """An exception as stored text that has its type and, where that can be, says `text`; None when it cannot be.

    Reading it makes the exception without a call of its `__init__`, from its arguments and those attributes that can be
    pickled; the others are missing. What is stored names the classes of the exception and of its values alone, so
    everybody who has them reads it. Never raises.
    """
    found: str | None = None
    for args, attributes in ((error.args, {}), ((text,), {"args": (text,)})):
        try:
            stored = _dumps(error, _Plans(error, args, attributes))
            read = pickle.loads(stored)  # noqa: S301 -- what was just written
            says = str(read)
        except Exception:  # noqa: BLE001, S112 -- user classes raise anything when stored, made and asked for their text
            continue
        if type(read) is type(error) and (says == text or found is None):
            found = b64encode(stored).decode("ascii")
            if says == text:
                break
    return found


class _Plans:
    """How exceptions are made anew: without their `__init__`, of arguments and attributes that can be pickled."""

    def __init__(self, error: BaseException, args: tuple[Any, ...], attributes: dict[str, Any]) -> None:
        self._made: dict[int, tuple[BaseException, tuple[Any, ...]]] = {}
        self._open(error)
        self._add(error, args, attributes)

    def of(self, error: BaseException) -> Any:
        """The reduction of an exception; NotImplemented for one that can be pickled as it is."""
        if id(error) not in self._made:
            if _survives(error):
                return NotImplemented
            self._open(error)
            self._add(error, error.args if self._is_kept(error.args) else (str(error),), {})
        return self._made[id(error)][1]

    def _open(self, error: BaseException) -> None:
        """Let its parts refer to an exception while they are looked at. It is held, so that its id stays its own."""
        self._made[id(error)] = (error, (__newobj__, (type(error),)))

    def _add(self, error: BaseException, args: tuple[Any, ...], attributes: dict[str, Any]) -> None:
        kept = {name: value for name, value in vars(error).items() if self._is_kept(value)} | attributes
        self._made[id(error)] = (error, (__newobj__, (type(error), *args), kept or None))

    def _is_kept(self, value: Any) -> bool:
        try:
            pickle.loads(_dumps(value, self))  # noqa: S301 -- what was just written
        except Exception:  # noqa: BLE001 -- user classes raise anything when stored
            return False
        return True


class _Keeper(pickle.Pickler):
    """Pickles values, and the exceptions in them that pickling refuses as planned."""

    def __init__(self, file: BytesIO, plans: _Plans) -> None:
        super().__init__(file)
        self._plans = plans

    def reducer_override(self, value: Any) -> Any:
        """How to make a value; NotImplemented: as pickling does."""
        return self._plans.of(value) if isinstance(value, BaseException) else NotImplemented


def _dumps(value: Any, plans: _Plans) -> bytes:
    file = BytesIO()
    _Keeper(file, plans).dump(value)
    return file.getvalue()


def _survives(error: BaseException) -> bool:
    try:
        return isinstance(pickle.loads(pickle.dumps(error)), BaseException)  # noqa: S301 -- what was just written
    except Exception:  # noqa: BLE001 -- user classes raise anything when stored
        return False
