"""The event loop of the engine: coroutine workflows that no loop of the application runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

logger = logging.getLogger("dbos")

STOP_SECONDS = 2.0
"""How long coroutines have to end once they are cancelled."""


class EventLoopThread:
    """One thread with an event loop, started when the first coroutine comes."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._running: set[Future[Any]] = set()
        """What runs: a loop itself keeps no task alive."""

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the loop; a future for its result."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def stop(self) -> None:
        """Cancel what still runs and end the thread; a coroutine that blocks the loop is left behind."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            try:
                asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(STOP_SECONDS)
            except TimeoutError:
                logger.warning("A coroutine neither ends nor gives way to its cancellation; it is left behind")
                return
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="dbos-event-loop", daemon=True)
                self._thread.start()
            return self._loop


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
