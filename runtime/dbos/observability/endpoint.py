"""`/metrics`, `/healthz` and `/readyz` over HTTP, on one port."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, make_wsgi_app

from dbos._error import DBOSInitializationError
from dbos.observability.serving import Serving, StartResponse

logger = logging.getLogger("dbos")


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


def open_endpoint(
    registry: CollectorRegistry, *, host: str, ports: range, ready: Callable[[], bool]
) -> MetricsEndpoint:
    """An endpoint on the first of the ports that no other process has.

    Raises DBOSInitializationError naming the last one when none can be listened on.
    """
    for port in ports:
        try:
            endpoint = MetricsEndpoint(registry, host=host, port=port, ready=ready)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            raise DBOSInitializationError(_refusal(host, ports, port, error)) from error
        logger.info("Metrics are served on %s", endpoint.address)
        return endpoint
    raise ValueError("ports: expected at least one")


def _refusal(host: str, ports: range, port: int, error: OSError) -> str:
    told = f"metrics_port: cannot listen on {host}:{port}: {error.strerror or error}"
    if error.errno != errno.EADDRINUSE:
        return told
    if len(ports) > 1:
        return f"{told}; nor on the {len(ports) - 1} ports before it: name more than there are processes"
    return f"{told}; each process needs a port: name several, such as '{port}-{min(port + 3, 65535)}'"


def _text(start_response: StartResponse, status: str, body: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [body.encode() + b"\n"]
