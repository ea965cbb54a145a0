"""Arguments that a function's annotations allow, turned into what they ask for."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from dbos.serialization.validation import make_pydantic_args_validator, pydantic_args_validator


class Order(BaseModel):
    """A model."""

    item: str
    count: int = 1


def _function(order: Order, size: Annotated[int, Field(gt=0)], *tags: str, plain=None, **prices: float) -> None:  # type: ignore[no-untyped-def]
    raise AssertionError


def test_arguments_become_what_the_annotations_ask_for() -> None:
    args, kwargs = make_pydantic_args_validator(_function)(
        ({"item": "tea"}, "3", "hot"), {"plain": object, "green": "1.5"}
    )
    assert args == (Order(item="tea"), 3, "hot")
    assert kwargs == {"plain": object, "green": 1.5}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (({"item": 1}, 3), {}),
        (({"item": "tea"}, 0), {}),
        (({"item": "tea"}, 1, 2), {}),
        (({"item": "tea"}, 1), {"green": "much"}),
    ],
)
def test_what_the_annotations_do_not_allow_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_pydantic_args_validator(_function)(args, kwargs)


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    with pytest.raises(TypeError, match="missing a required argument"):
        make_pydantic_args_validator(_function)((), {})


def test_the_object_of_a_method_is_none_of_its_arguments() -> None:
    class Till:
        def sell(self, count: int) -> None: ...

    assert make_pydantic_args_validator(Till.sell)(("2",), {}) == ((2,), {})


def test_the_stand_in_is_not_called_itself() -> None:
    with pytest.raises(RuntimeError, match="validate_args"):
        pydantic_args_validator((), {})


def test_without_pydantic_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ImportError, match=r"dbos-operator\[validation\]"):
        make_pydantic_args_validator(_function)
