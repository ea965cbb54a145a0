"""What is kept of exceptions that cannot be pickled: their type before all."""

from __future__ import annotations

import pickletools
import threading
from base64 import b64decode
from typing import Any

import pytest

from dbos.error import DBOSMaxStepRetriesExceeded
from dbos.serialization.decoding import decode_error
from dbos.serialization.failures import encode_failure
from dbos.serialization.kept import encode_kept


class LockedError(Exception):
    """Holds what cannot be pickled, and what can."""

    def __init__(self, text: str, **attributes: Any) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        vars(self).update(attributes)


class KeywordError(Exception):
    """Pickles, and is not read: its constructor takes keywords only."""

    def __init__(self, *, order: int) -> None:
        super().__init__(f"order {order}")
        self.order = order


class LockArgumentError(Exception):
    """Has an argument that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("text", threading.Lock())


class FileError(OSError):
    """Of a builtin class that reads its arguments in __init__."""

    def __init__(self, *, path: str) -> None:
        super().__init__(2, "no such file")
        self.path = path


class RefusingError(Exception):
    """Refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


def _stored(error: BaseException) -> Any:
    return decode_error(encode_failure(error, "py_pickle"), "py_pickle")


@pytest.mark.parametrize(
    "error",
    [LockedError("text"), KeywordError(order=7), LockArgumentError(), FileError(path="/x"), RefusingError("text")],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_that_cannot_be_pickled_keeps_its_type_and_text(error: Exception) -> None:
    found = _stored(error)
    assert (type(found), str(found)) == (type(error), str(error))


def test_attributes_that_can_be_pickled_are_kept_and_others_are_missing() -> None:
    error = LockedError("text", order=[7], function=lambda: None)
    error.add_note("a note")
    assert vars(_stored(error)) == {"order": [7], "__notes__": ["a note"]}


def test_exceptions_within_an_exception_are_kept_as_well() -> None:
    spent = _stored(DBOSMaxStepRetriesExceeded("step", 2, [LockedError("one"), KeywordError(order=2)]))
    assert (spent.step_name, spent.max_retries) == ("step", 2)
    assert [repr(each) for each in spent.errors] == ["LockedError('one')", "KeywordError('order 2')"]
    group = _stored(ExceptionGroup("group", [LockedError("one"), ValueError("two")]))
    assert [type(each) for each in group.exceptions] == [LockedError, ValueError]


def test_an_exception_that_refers_to_itself_is_kept() -> None:
    error = LockedError("text")
    vars(error).update(me=error, among=[error])
    found = _stored(error)
    assert found.me is found.among[0] is found


def test_a_long_chain_of_exceptions_is_kept_in_no_time() -> None:
    error = LockedError("innermost")
    for depth in range(25):
        error = LockedError(f"{depth}", inner=error)
    found, depth = _stored(error), 0
    while hasattr(found, "inner"):
        found, depth = found.inner, depth + 1
    assert (depth, str(found)) == (25, "innermost")


def test_what_is_kept_is_read_without_dbos() -> None:
    stored = encode_kept(LockedError("text"), "text")
    assert stored is not None
    named = {argument for _, argument, _ in pickletools.genops(b64decode(stored)) if isinstance(argument, str)}
    assert named == {__name__, "LockedError", "text"}
