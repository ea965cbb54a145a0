"""`/metrics`, `/healthz` and `/readyz` over HTTP, on one port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

StartResponse = Callable[..., Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        """Scrapes are not worth a line each."""


class MetricsEndpoint:
    """Serves until close(). `/healthz` answers while the process lives, `/readyz` 503 unless `ready()`."""

    def __init__(self, registry: CollectorRegistry, *, host: str, port: int, ready: Callable[[], bool]) -> None:
        """Raises OSError when the address cannot be listened on."""
        self._metrics = make_wsgi_app(registry)
        self._ready = ready
        self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="dbos-metrics", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """`host:port` as it is listened on."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                answer: Iterable[bytes] = self._metrics(environ, start_response)
                return answer
            case "/healthz":
                return _text(start_response, "200 OK", "ok")
            case "/readyz":
                if self._ready():
                    return _text(start_response, "200 OK", "ready")
                return _text(start_response, "503 Service Unavailable", "not ready")
            case _:
                return _text(start_response, "404 Not Found", "expected /metrics, /healthz or /readyz")


def _text(start_response: StartResponse, status: str, body: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [body.encode() + b"\n"]
