"""What stored text looks like. The golden texts were written by the published package (3.4.0)."""

from __future__ import annotations

import ast
import base64
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import dbos
from dbos.serialization.encoding import (
    PORTABLE_JSON,
    PY_PICKLE,
    encode_context,
    encode_error,
    encode_inputs,
    encode_scheduled_inputs,
    encode_value,
)

CONTEXT = {"a": [1, 2.5, True, None], "ü": 'ö\u2028"\\\n\t\x01😀'}


def pickled(golden: str) -> str:
    """A golden pickle (protocol 4) in the default protocol of this Python."""
    again = pickle.dumps(pickle.loads(base64.b64decode(golden)))
    return base64.b64encode(again).decode("ascii")


# --- pickle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("serialization", [PY_PICKLE, None])
@pytest.mark.parametrize(
    ("value", "golden"),
    [
        (None, "gAROLg=="),
        (7, "gARLBy4="),
        ("x", "gASVBQAAAAAAAACMAXiULg=="),
        ({"b": {"z": 1, "a": 2}, "a": [[], {}]}, "gASVIwAAAAAAAAB9lCiMAWKUfZQojAF6lEsBjAFhlEsCdWgEXZQoXZR9lGV1Lg=="),
    ],
)
def test_pickles_are_those_of_the_published_package(value: Any, golden: str, serialization: str | None) -> None:
    assert encode_value(value, serialization) == pickled(golden)


def test_pickled_inputs_are_a_dictionary_of_args_and_kwargs() -> None:
    assert encode_inputs([], {}, PY_PICKLE) == pickled("gASVGAAAAAAAAAB9lCiMBGFyZ3OUKYwGa3dhcmdzlH2UdS4=")
    text = encode_inputs([1, "two"], {"three": 3}, None)
    assert pickle.loads(base64.b64decode(text)) == {"args": (1, "two"), "kwargs": {"three": 3}}


def test_a_pickled_error_is_the_exception_itself() -> None:
    error = pickle.loads(base64.b64decode(encode_error(KeyError("nokey"), PY_PICKLE)))
    assert isinstance(error, KeyError)
    assert error.args == ("nokey",)


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        encode_value(lambda: None, PY_PICKLE)


# --- portable JSON --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2**70, "1180591620717411303424"),
        (1e16, "1e+16"),
        (1.0, "1.0"),
        ("</script>\x7f", '"</script>\x7f"'),
        (CONTEXT, '{"a":[1,2.5,true,null],"ü":"ö\u2028\\"\\\\\\n\\t\\u0001😀"}'),
        (datetime(2024, 1, 2, 3, 4, 5, 678999), '"2024-01-02T03:04:05.678Z"'),  # noqa: DTZ001
        (datetime(2024, 1, 2, 3, 4, 5, 999999, tzinfo=ZoneInfo("Europe/Berlin")), '"2024-01-02T02:04:05.999Z"'),
        (datetime(99, 1, 2, 3, tzinfo=UTC), '"0099-01-02T03:00:00.000Z"'),
        (date(2024, 1, 2), '"2024-01-02"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("1E-10"), '"0.0000000001"'),
        ((1, (2,)), "[1,[2]]"),
        ({3}, "[3]"),
        (OrderedDict(z=1, a={"k": ()}), '{"z":1,"a":{"k":[]}}'),
    ],
)
def test_portable_values_are_compact_json_in_the_order_given(value: Any, text: str) -> None:
    assert encode_value(value, PORTABLE_JSON) == text


@pytest.mark.parametrize("value", [b"x", timedelta(1), frozenset([1]), object(), {1: 2}, {None: 1}, [{"a": b""}]])
def test_a_value_without_a_portable_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="portable JSON"):
        encode_value(value, PORTABLE_JSON)


def test_portable_inputs_name_the_named_arguments_first() -> None:
    assert encode_inputs((7,), {"to": "x"}, PORTABLE_JSON) == '{"namedArgs":{"to":"x"},"positionalArgs":[7]}'
    assert encode_inputs((), {}, PORTABLE_JSON) == '{"namedArgs":{},"positionalArgs":[]}'


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="js_superjson"):
        encode_value(1, "js_superjson")


# --- portable errors ------------------------------------------------------------------------------


class CarryingError(Exception):
    """An exception that carries the attributes it is given."""

    def __init__(self, message: str, **attributes: Any) -> None:
        super().__init__(message)
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("nokey"), '{"name":"KeyError","message":"\'nokey\'","code":null}'),
        (ValueError("nö"), '{"name":"ValueError","message":"nö","code":null}'),
        (FileNotFoundError(2, "gone"), '{"name":"FileNotFoundError","message":"[Errno 2] gone","code":2}'),
    ],
)
def test_a_portable_error_tells_name_message_and_code(error: Exception, text: str) -> None:
    assert encode_error(error, PORTABLE_JSON) == text


@pytest.mark.parametrize(
    ("attributes", "tail"),
    [
        ({"code": 7, "data": {"a": (1, date(2024, 1, 2))}}, '"code":7,"data":{"a":[1,"2024-01-02"]}'),
        ({"error_code": "A1", "details": object}, '"code":"A1"'),
        ({"code": 1.5, "status": 404, "data": print, "extra": {1: 2}}, '"code":404,"data":"{1: 2}"'),
        ({"code": None, "status": 404, "data": None, "extra": 5}, '"code":null,"data":null'),
        ({"code": print, "status_code": "z"}, '"code":"z"'),
        ({"code": True, "meta": {1}}, '"code":true,"data":[1]'),
        ({"payload": Decimal("1.50")}, '"code":null,"data":"1.50"'),
    ],
)
def test_a_portable_error_takes_the_first_usable_code_and_data(attributes: dict[str, Any], tail: str) -> None:
    text = encode_error(CarryingError("x", **attributes), PORTABLE_JSON)
    assert text == '{"name":"CarryingError","message":"x",' + tail + "}"


# --- schedules ------------------------------------------------------------------------------------


NO_ZONE = (
    "gASVcAAAAAAAAAB9lCiMBGFyZ3OUjAhkYXRldGltZZSMCGRhdGV0aW1llJOUQwoH6gsVBxMKAAAAlGgCjAh0aW1lem9uZZST"
    "lGgCjAl0aW1lZGVsdGGUk5RLAEsASwCHlFKUhZRSlIaUUpROhpSMBmt3YXJnc5R9lHUu"
)
NAMED_UTC = (
    "gASVjgAAAAAAAAB9lCiMBGFyZ3OUjAhkYXRldGltZZSMCGRhdGV0aW1llJOUQwoH6gsVBxMGAAAAlIwIYnVpbHRpbnOUjAdn"
    "ZXRhdHRylJOUjAh6b25laW5mb5SMCFpvbmVJbmZvlJOUjAlfdW5waWNrbGWUhpRSlIwDVVRDlEsBhpRSlIaUUpROhpSMBmt3"
    "YXJnc5R9lHUu"
)
IN_BERLIN = (
    "gASVmAAAAAAAAAB9lCiMBGFyZ3OUjAhkYXRldGltZZSMCGRhdGV0aW1llJOUQwoH6gsVCBMIAAAAlIwIYnVpbHRpbnOUjAdn"
    "ZXRhdHRylJOUjAh6b25laW5mb5SMCFpvbmVJbmZvlJOUjAlfdW5waWNrbGWUhpRSlIwNRXVyb3BlL0JlcmxpbpRLAYaUUpSG"
    "lFKUToaUjAZrd2FyZ3OUfZR1Lg=="
)
WITH_CONTEXT = (
    "gASVkQAAAAAAAAB9lCiMBGFyZ3OUjAhkYXRldGltZZSMCGRhdGV0aW1llJOUQwoH6gsVBxMIAAAAlGgCjAh0aW1lem9uZZST"
    "lGgCjAl0aW1lZGVsdGGUk5RLAEsASwCHlFKUhZRSlIaUUpR9lCiMAWKUfZQojAF6lEsBjAFhlEsCdWgUXZQoXZR9lGV1hpSM"
    "Bmt3YXJnc5R9lHUu"
)


@pytest.mark.parametrize(
    ("moment", "context", "golden"),
    [
        (datetime(2026, 11, 21, 7, 19, 10, tzinfo=UTC), None, NO_ZONE),
        (datetime(2026, 11, 21, 7, 19, 6, tzinfo=ZoneInfo("UTC")), None, NAMED_UTC),
        (datetime(2026, 11, 21, 8, 19, 8, tzinfo=ZoneInfo("Europe/Berlin")), None, IN_BERLIN),
        (datetime(2026, 11, 21, 7, 19, 8, tzinfo=UTC), {"b": {"z": 1, "a": 2}, "a": [[], {}]}, WITH_CONTEXT),
    ],
)
def test_pickled_inputs_of_a_scheduled_run_are_those_of_a_worker(moment: datetime, context: Any, golden: str) -> None:
    assert encode_scheduled_inputs(moment, context, PY_PICKLE) == pickled(golden)


def test_portable_inputs_of_a_scheduled_run_keep_the_form_of_the_serializer() -> None:
    moment = datetime(2026, 11, 21, 8, 19, 18, tzinfo=ZoneInfo("Europe/Berlin"))
    text = encode_scheduled_inputs(moment, {"region": "eu"}, PORTABLE_JSON)
    assert text == '{"args":["2026-11-21T07:19:18.000Z",{"region":"eu"}],"kwargs":{}}'


def test_a_context_is_encoded_like_any_value() -> None:
    assert encode_context({"region": "eu"}, PORTABLE_JSON) == '{"region":"eu"}'
    assert encode_context(None, PY_PICKLE) == pickled("gAROLg==")


# --- it cannot read -------------------------------------------------------------------------------


def test_nothing_that_the_encoder_imports_can_decode() -> None:
    root = Path(dbos.__file__).parent
    seen: set[Path] = set()
    _follow(root, "dbos.serialization.encoding", seen)
    assert root / "serialization" / "encoding.py" in seen
    assert root / "__init__.py" in seen
    readers = {
        f"{module.relative_to(root)}: {name}"
        for module in seen
        for name in _names(ast.parse(module.read_text(encoding="utf-8")))
        if name in {"loads", "load", "Unpickler", "b64decode", "pickle", "dill", "cloudpickle", "marshal", "shelve"}
    }
    assert readers == set()


def _names(tree: ast.AST) -> Iterator[str]:
    """Every name that code mentions: a module that is imported whole, what is taken from one, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.Attribute(attr=name) | ast.Name(id=name):
                yield name


def _follow(root: Path, module: str, seen: set[Path]) -> None:
    """Collect the files that importing a module of the package runs, its parent packages included."""
    parts = module.split(".")[1:]
    for depth in range(len(parts) + 1):
        folder = root.joinpath(*parts[:depth])
        path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # imports inside functions run later
            match node:
                case ast.ImportFrom(module=str(name), names=names) if name.split(".")[0] == "dbos":
                    for alias in names:
                        _follow(root, f"{name}.{alias.name}", seen)
                case ast.Import(names=names):
                    for alias in names:
                        if alias.name.split(".")[0] == "dbos":
                            _follow(root, alias.name, seen)
