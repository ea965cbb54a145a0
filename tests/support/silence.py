"""A network between a client and a server that can fall silent: nothing arrives any more, and nobody is told."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType

_CHUNK = 65536
_LOOK_SECONDS = 0.05


class SilentNetwork:
    """Passes connections on to a port of this machine, as a context manager, until it is made silent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._silent = threading.Event()
        self._stopping = threading.Event()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def port(self) -> int:
        """Where clients connect."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> SilentNetwork:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        for each in (self._listener, *self._pairs):
            each.close()

    def fall_silent(self) -> None:
        """Pass nothing on any more, in either direction; connections stay open."""
        self._silent.set()

    def speak(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._silent.clear()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._silent.is_set():
                self._stopping.wait(_LOOK_SECONDS)
                continue
            for key, _ in self._selector.select(_LOOK_SECONDS):
                if self._silent.is_set():
                    break
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is self._listener:
                    self._accept()
                elif source in self._pairs:
                    self._pass_on(source)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._target))
        self._pairs |= {client: server, server: client}
        for each in (client, server):
            self._selector.register(each, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        target = self._pairs[source]
        try:
            data = source.recv(_CHUNK)
            if data:
                target.sendall(data)
                return
        except OSError:
            pass  # one side is gone: so is the other
        for each in (source, target):
            self._selector.unregister(each)
            del self._pairs[each]
            each.close()
