"""Stored text back to values: every format, and every way that it can fail."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbos import PortableWorkflowError
from dbos.serialization.decoding import UndecodableError, decode_error, decode_inputs, decode_value
from dbos.serialization.encoding import encode_error, encode_inputs, encode_value
from dbos.serialization.failures import encode_failure


class UnloadableError(Exception):
    """Its constructor wants more than the arguments that it hands to Exception."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


class UnpicklableError(Exception):
    """Refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class MuteError(UnpicklableError):
    """Refuses to be told, too."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class SwappingError(Exception):
    """A pickle of it loads as something that is no exception."""

    def __reduce__(self) -> Any:
        return (str, ("swapped",))


class StrictError(UnpicklableError):
    """Cannot even be made of its arguments."""

    def __new__(cls, *, text: str) -> StrictError:
        return super().__new__(cls, text)

    def __init__(self, *, text: str) -> None:
        super().__init__(text)


def _local_error(text: str) -> Exception:
    class LocalError(Exception):
        """A type that no other process can import."""

    return LocalError(text)


PORTABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PORTABLE)
def test_values_come_back_from_either_format(value: Any) -> None:
    assert decode_value(encode_value(value, "py_pickle"), "py_pickle") == value
    assert decode_value(encode_value(value, "portable_json"), "portable_json") == value


@given(st.lists(PORTABLE), st.dictionaries(st.text(), PORTABLE))
def test_arguments_come_back_from_either_format(args: list[Any], kwargs: dict[str, Any]) -> None:
    for serialization in ("py_pickle", "portable_json"):
        text = encode_inputs(args, kwargs, serialization)
        assert decode_inputs(text, serialization) == (tuple(args), kwargs)


def test_null_is_none_and_a_row_without_a_format_is_a_pickle() -> None:
    assert decode_value(None, "py_pickle") is None
    assert decode_value("gAROLg==", None) is None
    assert decode_value(encode_value({1: 2}, None), None) == {1: 2}


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ('{"positionalArgs" : [7], "namedArgs" : {}}', ((7,), {})),
        ('{ "namedArgs": {"a": 1} }', ((), {"a": 1})),
        ('{"positionalArgs": null, "namedArgs": null}', ((), {})),
        ("{}", ((), {})),
    ],
)
def test_portable_arguments_of_any_writer_are_read(text: str, inputs: Any) -> None:
    assert decode_inputs(text, "portable_json") == inputs


def _pickled(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()


@pytest.mark.parametrize(
    ("text", "serialization", "said"),
    [
        ("", "py_pickle", "cannot be read here: EOFError"),
        ("?", "py_pickle", "not a base64 pickle|cannot be read here"),
        ("AAAA", "py_pickle", "cannot be read here"),
        (base64.b64encode(b"cno_such_module\nthing\n.").decode(), "py_pickle", "ModuleNotFoundError"),
        ("{", "portable_json", "not JSON"),
        ("x", "js_superjson", "format 'js_superjson' is not available"),
    ],
)
def test_text_that_cannot_be_read_says_why(text: str, serialization: str, said: str) -> None:
    with pytest.raises(UndecodableError, match=said):
        decode_value(text, serialization)


@pytest.mark.parametrize(
    ("text", "serialization"),
    [
        (None, "py_pickle"),
        (_pickled([1, 2]), "py_pickle"),
        (_pickled({"args": 5}), "py_pickle"),
        (_pickled({"kwargs": 5}), "py_pickle"),
        ("[]", "portable_json"),
        ('{"positionalArgs": 5}', "portable_json"),
        ('{"namedArgs": [1]}', "portable_json"),
    ],
)
def test_arguments_of_another_shape_are_refused(text: str | None, serialization: str) -> None:
    with pytest.raises(UndecodableError, match="expected"):
        decode_inputs(text, serialization)


def test_errors_come_back_as_they_were_or_as_portable_ones() -> None:
    again = decode_error(encode_error(KeyError("x"), "py_pickle"), "py_pickle")
    assert isinstance(again, KeyError)
    assert again.args == ("x",)
    portable = decode_error('{"name":"Oops","message":"m","code":7,"data":[1]}', "portable_json")
    assert isinstance(portable, PortableWorkflowError)
    assert (portable.name, portable.message, portable.code, portable.data, str(portable)) == ("Oops", "m", 7, [1], "m")


@pytest.mark.parametrize(
    ("text", "serialization"), [(_pickled("text"), "py_pickle"), ("[]", "portable_json"), ("5", "portable_json")]
)
def test_what_is_no_error_is_refused(text: str, serialization: str) -> None:
    with pytest.raises(UndecodableError, match="expected an"):
        decode_error(text, serialization)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_local_error("text"), "LocalError: text"),
        (StrictError(text="text"), "StrictError: text"),
        (MuteError("x"), "MuteError: (its text cannot be had: RuntimeError)"),
    ],
)
def test_an_error_whose_type_cannot_be_stored_keeps_its_name_and_text(error: Exception, told: str) -> None:
    again = decode_error(encode_failure(error, "py_pickle"), "py_pickle")
    assert type(again) is Exception
    assert str(again) == told


@pytest.mark.parametrize("serialization", ["py_pickle", "portable_json", None])
def test_an_error_that_can_be_stored_is_stored_as_it_is(serialization: str | None) -> None:
    assert encode_failure(ValueError("v"), serialization) == encode_error(ValueError("v"), serialization)


def test_a_portable_error_of_any_class_is_told_by_its_name() -> None:
    again = decode_error(encode_failure(UnpicklableError("text"), "portable_json"), "portable_json")
    assert isinstance(again, PortableWorkflowError)
    assert (again.name, again.message) == ("UnpicklableError", "text")


@given(st.text(alphabet=st.characters(categories=["L", "Cs", "Cc"])))
def test_whatever_text_a_value_holds_its_stored_form_is_storable(text: str) -> None:
    for serialization in ("py_pickle", "portable_json"):
        stored = encode_value(text, serialization)
        assert "\0" not in stored
        stored.encode()
        assert decode_value(stored, serialization) == text
