"""A small HTTP server in a thread of its own, for what operators of an application ask."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

StartResponse = Callable[..., Any]
Answer = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
"""A WSGI application."""

_ANY = "0.0.0.0"  # noqa: S104 -- compared with, not bound to
_WAKE_SECONDS = 1.0
_SILENCE_SECONDS = 30.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Listen, without the look-up of a name that the base class makes: that can take seconds."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    timeout = _SILENCE_SECONDS  # who connects and says nothing holds no thread for long

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        """Requests are not worth a line each."""


class Serving:
    """Answers requests until close(); nothing runs while nobody asks."""

    def __init__(self, answer: Answer, *, host: str, port: int, name: str) -> None:
        """Raises OSError when the address cannot be listened on."""
        self._server = make_server(host, port, answer, server_class=_Server, handler_class=_QuietHandler)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """`host:port` as it is listened on."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._closing:
            return
        self._closing = True
        host, port = self._server.server_address[:2]
        own = "127.0.0.1" if host == _ANY else str(host)
        try:
            socket.create_connection((own, int(port)), _WAKE_SECONDS).close()  # what the thread waits for
        except OSError:
            self._server.socket.close()
        self._thread.join(_WAKE_SECONDS)
        self._server.server_close()

    def _serve(self) -> None:
        while not self._closing:
            self._server.handle_request()
