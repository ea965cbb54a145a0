"""What the public calls are named when they are called in a way that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbos import DBOS, DBOSClient


def work() -> None: ...


@pytest.mark.parametrize("name", ["workflow", "step", "transaction"])
def test_a_decorator_without_parentheses_says_how_it_is_written(name: str) -> None:
    decorator: Any = getattr(DBOS, name)
    with pytest.raises(TypeError, match=rf"write @DBOS\.{name}\(\)"):
        decorator(work)


@pytest.mark.parametrize("decorator", [DBOS.workflow, DBOS.step])
def test_a_name_is_text(decorator: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="name: expected text, got int"):
        decorator(name=5)(work)


CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: DBOS.register_queue("q", bogus=1), "DBOS.register_queue"),  # type: ignore[call-arg]
    (lambda: DBOS.run_step(None, work, func=work), "DBOS.run_step"),  # type: ignore[misc]
    (lambda: DBOS.step(bogus=1), "DBOS.step"),  # type: ignore[call-arg]
    (lambda: DBOSClient.register_queue(None, "q", bogus=1), "DBOSClient.register_queue"),  # type: ignore[arg-type,call-arg]
]


@pytest.mark.parametrize(("call", "name"), CALLS, ids=[name for _, name in CALLS])
def test_a_wrong_call_is_named_as_it_is_written(call: Callable[[], Any], name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}\(\)"):
        call()
