"""`/metrics`, `/healthz` and `/readyz` over HTTP, on one port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, make_wsgi_app

from dbos.observability.serving import Serving, StartResponse


class MetricsEndpoint:
    """Serves until close(). `/healthz` answers while the process lives, `/readyz` 503 unless `ready()`."""

    def __init__(self, registry: CollectorRegistry, *, host: str, port: int, ready: Callable[[], bool]) -> None:
        """Raises OSError when the address cannot be listened on."""
        self._metrics = make_wsgi_app(registry)
        self._ready = ready
        self._serving = Serving(self._answer, host=host, port=port, name="dbos-metrics")

    @property
    def address(self) -> str:
        """`host:port` as it is listened on."""
        return self._serving.address

    def close(self) -> None:
        """Stop serving."""
        self._serving.close()

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
