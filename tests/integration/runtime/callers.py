"""The four ways to the same call: DBOS and DBOSClient, blocking and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dbos import DBOS, DBOSClient

WAYS = ("DBOS", "DBOS async", "client", "client async")


class Caller:
    """Calls a method by its name, the way that a test is parametrised with."""

    def __init__(self, way: str, client: DBOSClient) -> None:
        self.way = way
        self._owner: Any = client if way.startswith("client") else DBOS

    def __call__(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """What the method gives."""
        if not self.way.endswith("async"):
            return getattr(self._owner, name)(*args, **kwargs)
        twin: Callable[..., Any] = getattr(self._owner, f"{name}_async")

        async def run() -> Any:
            return await twin(*args, **kwargs)

        return asyncio.run(run())

    def result(self, handle: Any) -> Any:
        """The result of the handle that a call gave."""
        return self.outcome(lambda: handle.get_result(polling_interval_sec=0.05))

    def status(self, handle: Any) -> Any:
        """The status by the handle that a call gave."""
        return self.outcome(handle.get_status)

    def outcome(self, act: Callable[[], Any]) -> Any:
        """What a method of a handle gives."""
        if not self.way.endswith("async"):
            return act()

        async def run() -> Any:
            return await act()

        return asyncio.run(run())
