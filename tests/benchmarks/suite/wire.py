"""A relay in front of PostgreSQL that counts: the same way for whoever connects, and without touching them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from sqlalchemy.engine import make_url

_COMMAND_COMPLETE = ord("C")
_HEADER = 5
_FRAMES_OF_TRANSACTIONS = {"BEGIN", "COMMIT", "ROLLBACK", "START", "SAVEPOINT", "RELEASE"}


class Count:
    """What passed so far. A round trip is a turn: the client speaks again after the server has answered."""

    def __init__(self) -> None:
        self.round_trips = 0
        self.commands: Counter[str] = Counter()

    @property
    def statements(self) -> int:
        """Statements, without those that only begin and end transactions."""
        return sum(number for command, number in self.commands.items() if command not in _FRAMES_OF_TRANSACTIONS)


class Conversation:
    """Takes what passes on one connection, in any pieces, and counts turns and the server's messages."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._rest = b""
        self._answered = True

    def asked(self, _data: bytes) -> None:
        """A piece of what the client sends."""
        if self._answered:
            self._count.round_trips += 1
        self._answered = False

    def answered(self, data: bytes) -> None:
        """A piece of what the server sends."""
        self._answered = True
        data = self._rest + data
        position = 0
        while len(data) - position >= _HEADER:
            end = position + 1 + int.from_bytes(data[position + 1 : position + _HEADER], "big")
            if end > len(data):
                break
            if data[position] == _COMMAND_COMPLETE:
                tag = data[position + _HEADER : end].rstrip(b"\0").decode()
                self._count.commands[tag.split(" ", 1)[0]] += 1
            position = end
        self._rest = data[position:]


@contextlib.contextmanager
def counted(url: str) -> Iterator[tuple[str, Count]]:
    """A URL that leads to the same database through the relay, and the count of what passes, for the block."""
    target = make_url(url)
    count = Count()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wire", daemon=True)
    thread.start()
    relay = _Relay(target.host or "", target.port or 0, count)
    port = asyncio.run_coroutine_threadsafe(relay.start(), loop).result()
    # Encryption would begin with an answer that is no message, and hide the others.
    through = target.set(host="127.0.0.1", port=port).update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    try:
        yield through.render_as_string(hide_password=False), count
    finally:
        asyncio.run_coroutine_threadsafe(relay.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Relay:
    """Passes bytes on in both directions, for every connection."""

    def __init__(self, host: str, port: int, count: Count) -> None:
        self._host = host
        self._port = port
        self._count = count
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """The port at which it listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End every connection."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        writers = {client_writer, server_writer}
        self._writers |= writers
        conversation = Conversation(self._count)
        await asyncio.gather(
            _pass(server_reader, client_writer, conversation.answered),
            _pass(client_reader, server_writer, conversation.asked),
        )
        self._writers -= writers


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None]) -> None:
    with contextlib.suppress(ConnectionError):  # either end may go without a word
        while data := await reader.read(65536):
            look(data)
            writer.write(data)
    writer.close()
