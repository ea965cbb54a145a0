"""Whatever a value, an argument or an exception holds: it comes back, or what is stored can be read all the same."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbos import PortableWorkflowError
from dbos.serialization.decoding import UndecodableError, decode_error, decode_inputs, decode_value
from dbos.serialization.encoding import encode_error, encode_inputs, encode_value
from dbos.serialization.failures import encode_failure

FORMATS = ("py_pickle", "portable_json")
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NATIVE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary()
    | st.datetimes(timezones=st.none() | OFFSETS)
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT | st.integers(), inner)
        | st.sets(st.integers() | TEXT)
        | st.frozensets(st.integers())
    ),
    max_leaves=12,
)
PORTABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)


class Refusing:
    """Cannot be pickled, and is no JSON."""

    def __reduce__(self) -> Any:
        raise TypeError("not to be stored")


ANYTHING = NATIVE | st.builds(Refusing)
CLASSES = st.sampled_from([ValueError, KeyError, RuntimeError, OSError, StopIteration, ArithmeticError])


@given(NATIVE)
def test_a_pickle_gives_back_the_same_value_of_the_same_type(value: Any) -> None:
    found = decode_value(encode_value(value, "py_pickle"), "py_pickle")
    assert (found, type(found)) == (value, type(value))


@given(PORTABLE)
def test_portable_json_gives_back_what_json_has(value: Any) -> None:
    text = encode_value(value, "portable_json")
    assert decode_value(text, "portable_json") == json.loads(json.dumps(value))
    assert json.loads(text) == json.loads(json.dumps(value)), "others read it as JSON"


@given(st.datetimes(timezones=st.none() | OFFSETS, min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)))  # noqa: DTZ001 -- naive ones are part of it
def test_portable_times_are_told_in_utc_to_the_millisecond(moment: datetime) -> None:
    text = decode_value(encode_value(moment, "portable_json"), "portable_json")
    assert text.endswith("Z")
    assert len(text.rpartition(".")[2]) == len("123Z")
    exact = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    assert timedelta(0) <= exact - datetime.fromisoformat(text) < timedelta(milliseconds=1)


@given(st.dates(), st.decimals(allow_nan=False, allow_infinity=False, places=3), st.sets(st.integers(0, 9)))
def test_portable_json_takes_dates_decimals_and_sets(day: date, amount: Decimal, members: set[int]) -> None:
    found = decode_value(encode_value([day, amount, members], "portable_json"), "portable_json")
    assert date.fromisoformat(found[0]) == day
    assert Decimal(found[1]) == amount
    assert set(found[2]) == members


@given(st.lists(NATIVE, max_size=4), st.dictionaries(TEXT, NATIVE, max_size=4))
def test_arguments_come_back_as_they_were(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert decode_inputs(encode_inputs(args, kwargs, "py_pickle"), "py_pickle") == (tuple(args), kwargs)


@given(st.lists(PORTABLE, max_size=4), st.dictionaries(TEXT, PORTABLE, max_size=4), st.randoms())
def test_portable_arguments_are_read_in_any_order_and_with_any_space(
    args: list[Any], kwargs: dict[str, Any], random: Any
) -> None:
    members = list(json.loads(encode_inputs(args, kwargs, "portable_json")).items())
    random.shuffle(members)
    respaced = json.dumps(dict(members), indent=random.choice([None, 1]), separators=(" , ", " : "))
    found_args, found_kwargs = decode_inputs(respaced, "portable_json")
    assert json.dumps([found_args, found_kwargs]) == json.dumps([args, kwargs])


@given(CLASSES, st.lists(NATIVE, max_size=3))
def test_an_exception_comes_back_with_its_type_and_arguments(kind: type[Exception], args: list[Any]) -> None:
    error = kind(*args)
    found = decode_error(encode_error(error, "py_pickle"), "py_pickle")
    assert (type(found), found.args) == (type(error), error.args)


@given(CLASSES, TEXT, st.none() | st.integers() | TEXT, PORTABLE)
def test_a_portable_exception_comes_back_with_name_message_code_and_data(
    kind: type[Exception], message: str, code: int | str | None, data: Any
) -> None:
    error: Any = kind(message)
    if not isinstance(error, OSError):  # whose own numbers come first
        error.code, error.data = code, data
    found = decode_error(encode_error(error, "portable_json"), "portable_json")
    assert isinstance(found, PortableWorkflowError)
    assert (found.name, found.message) == (kind.__name__, str(error))
    if not isinstance(error, OSError):
        assert found.code == code
        assert found.data == json.loads(json.dumps(data))


@pytest.mark.parametrize("serialization", FORMATS)
@given(kind=CLASSES, args=st.lists(ANYTHING, max_size=3))
def test_whatever_an_exception_holds_its_workflow_ends_with_its_name(
    serialization: str, kind: type[Exception], args: list[Any]
) -> None:
    found = decode_error(encode_failure(kind(*args), serialization), serialization)
    told = found.name if isinstance(found, PortableWorkflowError) else f"{type(found).__name__} {found}"
    assert kind.__name__ in told or isinstance(found, kind)


@pytest.mark.parametrize("serialization", FORMATS)
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_a_text_that_is_nothing_raises_one_error_and_no_other(serialization: str, text: str) -> None:
    for decode in (decode_value, decode_inputs, decode_error):
        with suppress(UndecodableError):
            decode(text, serialization)
