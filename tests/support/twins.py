"""Sync and async twins under one test: a program is written once and runs both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dbos import DBOS


class Twin:
    """The calls of one kind. A workflow's body is a function `body(call)` whose `call(name, *args)` makes a call."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async

    def __repr__(self) -> str:
        return "async" if self.is_async else "sync"

    def call(self, owner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Make a call from plain code, and give what it gives."""
        if not self.is_async:
            return getattr(owner, name)(*args, **kwargs)
        return asyncio.run(getattr(owner, f"{name}_async")(*args, **kwargs))

    def values(self, owner: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All values of a stream, read from plain code."""
        if not self.is_async:
            return list(owner.read_stream(*args, **kwargs))

        async def read() -> list[Any]:
            return [value async for value in owner.read_stream_async(*args, **kwargs)]

        return asyncio.run(read())

    def workflow(self, body: Callable[..., Any], *, name: str) -> Callable[..., Any]:
        """A workflow out of a generator function that yields calls `(name, *args)` and returns a result.

        A call that fails raises inside of the body.
        """
        return DBOS.workflow(name=name)(self._function(body))

    def step(self, body: Callable[..., Any], *, name: str) -> Callable[..., Any]:
        """A step in the same way."""
        return DBOS.step(name=name)(self._function(body))

    def _function(self, body: Callable[..., Any]) -> Callable[..., Any]:
        if self.is_async:

            async def run_async(*args: Any) -> Any:
                return await _drive_async(body(*args))

            return run_async

        def run(*args: Any) -> Any:
            return _drive(body(*args))

        return run


def _drive(program: Any) -> Any:
    answer: Any = None
    failure: Exception | None = None
    while True:
        try:
            call = program.throw(failure) if failure is not None else program.send(answer)
        except StopIteration as done:
            return done.value
        answer, failure = None, None
        try:
            answer = _act(call)
        except Exception as error:  # noqa: BLE001 -- raised again inside the body
            failure = error


async def _drive_async(program: Any) -> Any:
    answer: Any = None
    failure: Exception | None = None
    while True:
        try:
            call = program.throw(failure) if failure is not None else program.send(answer)
        except StopIteration as done:
            return done.value
        answer, failure = None, None
        try:
            answer = await _act_async(call)
        except Exception as error:  # noqa: BLE001 -- raised again inside the body
            failure = error


def _act(call: Any) -> Any:
    function, *args = call
    if callable(function):
        return function(*args)
    options = args.pop() if args and isinstance(args[-1], Options) else {}
    if function == "read_stream":
        return list(DBOS.read_stream(*args, **options))
    return getattr(DBOS, function)(*args, **options)


async def _act_async(call: Any) -> Any:
    function, *args = call
    if callable(function):
        return await function(*args)
    options = args.pop() if args and isinstance(args[-1], Options) else {}
    if function == "read_stream":
        return [value async for value in DBOS.read_stream_async(*args, **options)]
    return await getattr(DBOS, f"{function}_async")(*args, **options)


class Options(dict[str, Any]):
    """The keyword arguments of a call."""
