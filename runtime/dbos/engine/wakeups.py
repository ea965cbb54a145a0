"""News between processes: which queues have work, which workflows ended. A lost one costs a poll, no more."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import cast

from dbos.engine.file_watch import FileWatch
from dbos.engine.waiting import Channel, Signals
from dbos.store.backend import Source
from dbos.store.dialects.postgres import ConnectionSource, PostgresConnection
from dbos.store.dialects.sqlite import SqliteSource

logger = logging.getLogger("dbos")

CHANNEL = "dbos_runtime"
MAX_PAYLOAD_BYTES = 7500
"""PostgreSQL refuses notifications of 8,000 bytes and more."""
RECONNECT_SECONDS = 1.0
LOOK_SECONDS = 1.0
"""How often the listener looks whether it is to stop."""
SERVER_KEEPALIVES = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""How the server finds out that this process's machine has vanished, in seconds."""


def payloads(schema: str, queues: set[str], ended: list[str]) -> list[str]:
    """News as notifications, each small enough. An ID that does not fit is left to its waiter's poll."""
    news = [{"schema": schema, "queues": [queue]} for queue in sorted(queues)]
    texts = [json.dumps(item) for item in news]
    texts += [json.dumps({"schema": schema, "done": chunk}) for chunk in _chunks(ended)]
    return [text for text in texts if len(text) <= MAX_PAYLOAD_BYTES]


def schedule_news(schema: str) -> str:
    """The notification that schedules were changed."""
    return json.dumps({"schema": schema, "schedules": True})


def make_listener(  # noqa: PLR0913 -- a function for each kind of news
    source: Source,
    schema: str,
    signals: Signals,
    *,
    on_queues: Callable[[list[str]], None] = lambda _queues: None,
    on_schedules: Callable[[], None] = lambda: None,
    on_change: Callable[[], None] = lambda: None,
    lock_key: int | None = None,
) -> Listener | FileWatch:
    """Who hears the news of other processes; where nothing is told (SQLite), `on_change` is called for any change.

    An advisory lock with that key tells others that this process lives.
    """
    if isinstance(source, SqliteSource):
        return FileWatch(source, signals, on_change=on_change)
    connections = cast("ConnectionSource", source)
    return Listener(connections, schema, signals, on_queues=on_queues, on_schedules=on_schedules, lock_key=lock_key)


class Listener:
    """Hears the news of other processes, on a connection of its own."""

    def __init__(
        self,
        source: ConnectionSource,
        schema: str,
        signals: Signals,
        *,
        on_queues: Callable[[list[str]], None] = lambda _queues: None,
        on_schedules: Callable[[], None] = lambda: None,
        lock_key: int | None = None,
    ) -> None:
        """`signals` are rung for what is heard; all of them, when news may have been missed.

        The connection holds the advisory lock `lock_key`, if one is given.
        """
        self._source = source
        self._lock_key = lock_key
        self._schema = schema
        self._signals = signals
        self._on_queues = on_queues
        self._on_schedules = on_schedules
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dbos-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; does not wait for the thread, which ends within a second."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                connection = self._source.dedicated()
                try:
                    self._listen(connection)
                finally:
                    connection.driver.close()
            except Exception as error:  # the thread's boundary: polling serves until this works again
                if not self._stopping.is_set():
                    logger.warning("Listening for news failed; polling goes on meanwhile", exc_info=error)
                    self._stopping.wait(RECONNECT_SECONDS)

    def _listen(self, connection: PostgresConnection) -> None:
        locked = self._take_lock(connection)
        for channel in (CHANNEL, *Channel):
            connection.driver.execute(f"LISTEN {channel}")
        self._signals.ring_all()
        self._on_schedules()
        while not self._stopping.is_set():
            locked = locked or self._take_lock(connection)  # of this process's lost connection, until it is given up
            for notification in connection.driver.notifies(timeout=LOOK_SECONDS):
                if notification.channel == CHANNEL:
                    self._hear(notification.payload)
                else:
                    self._signals.ring_topic(notification.channel, notification.payload)
                if self._stopping.is_set():
                    return

    def _take_lock(self, connection: PostgresConnection) -> bool:
        if self._lock_key is None:
            return True
        # The server shall notice soon when this process is gone without a word: then the lock is free.
        for name, value in SERVER_KEEPALIVES.items():
            connection.driver.execute("SELECT set_config(%s, %s, false)", (name, value))
        row = connection.driver.execute("SELECT pg_try_advisory_lock(%s)", (self._lock_key,)).fetchone()
        return row is not None and bool(row[0])

    def _hear(self, payload: str) -> None:
        try:
            news = json.loads(payload)
        except ValueError:
            logger.warning("A notification on %s is not JSON and is ignored", CHANNEL)
            return
        if not isinstance(news, dict) or news.get("schema") != self._schema:
            return
        if queues := news.get("queues"):
            self._on_queues(queues)
        if news.get("schedules"):
            self._on_schedules()
        for workflow_id in news.get("done", ()):
            self._signals.ring(workflow_id)


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for workflow_id in ids:
        length = len(json.dumps(workflow_id)) + 2
        if chunk and size + length > MAX_PAYLOAD_BYTES - 200:
            yield chunk
            chunk, size = [], 0
        chunk.append(workflow_id)
        size += length
    if chunk:
        yield chunk
