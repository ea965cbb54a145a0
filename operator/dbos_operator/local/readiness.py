"""When a pod counts as ready: `/readyz` on its metrics port says so, or nothing serves that port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

_INTERVAL = 0.25
_TIMEOUT = aiohttp.ClientTimeout(total=2)
_SILENT_PROBES = 40
"""Probes without any answer, ten seconds in all, after which a process is one that serves no port."""


class Readiness:
    """Asks pods whether they are ready."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def reached(self, port: int, still_running: Callable[[], bool]) -> bool:
        """Return True when the pod is ready, False when it has ended before."""
        silent = 0
        while still_running():
            status = await self._ask(port)
            if status == 200:
                return still_running()
            silent = silent + 1 if status is None else 0
            if silent >= _SILENT_PROBES:
                return still_running()
            await asyncio.sleep(_INTERVAL)
        return False

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, port: int) -> int | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            async with self._session.get(f"http://127.0.0.1:{port}/readyz") as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return None
