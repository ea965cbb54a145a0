"""What the configuration's keys say of their defaults is what holds."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import pytest

from dbos import DBOSConfig
from dbos.config import keys
from dbos.config.sources import load_settings


def documented() -> dict[str, str]:
    """The text after `Default:` of each key."""
    (config,) = (node for node in ast.parse(inspect.getsource(keys)).body if isinstance(node, ast.ClassDef))
    found = {}
    for field, text in zip(config.body, config.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr), f"{field.target.id} has no docstring"
            said = re.search(r"Default: (.+)\.$", " ".join(ast.literal_eval(text.value).split()))
            assert said is not None, f"the docstring of {field.target.id} does not end in 'Default: ….'"
            found[field.target.id] = said[1]
    return found


def literals() -> dict[str, Any]:
    """The defaults that are written as one value."""
    written = {key: re.match(r"`([^`]+)`(?:;.*)?$", text) for key, text in documented().items()}
    names = set(written)
    return {
        key: value_of(found[1])
        for key, found in written.items()
        if found is not None and found[1] not in names and "<" not in found[1]
    }


def value_of(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def test_every_key_tells_its_default() -> None:
    assert set(documented()) == set(DBOSConfig.__annotations__)
    assert len(literals()) > 15


@pytest.mark.parametrize(("key", "default"), literals().items())
def test_the_default_that_a_key_tells_is_what_holds_without_it(key: str, default: Any) -> None:
    assert load_settings({"name": "shop", key: default}, {}) == load_settings({"name": "shop"}, {})
