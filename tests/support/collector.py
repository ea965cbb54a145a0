"""An OpenTelemetry collector for tests: receives OTLP over HTTP and keeps what it was sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it came over the wire."""

    name: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str
    status: tuple[int, str]
    """The code (0 unset, 1 well, 2 an error) and what it says."""
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReceivedLine:
    """A log record as it came over the wire."""

    body: str
    severity: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class Collector:
    """What was received so far, and where more is received."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self.spans: list[ReceivedSpan] = []
        self.lines: list[ReceivedLine] = []
        self.held = threading.Event()
        """While it is clear, requests are taken and not answered."""
        self.held.set()
        self.asked = threading.Event()
        """Set with the first request."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def traces_endpoint(self) -> str:
        """Where traces are taken."""
        return f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    @property
    def logs_endpoint(self) -> str:
        """Where logs are taken."""
        return f"http://127.0.0.1:{self._server.server_port}/v1/logs"

    def close(self) -> None:
        """Take nothing more."""
        self.held.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        """Keep what a request brought."""
        self.asked.set()
        self.held.wait(_SECONDS)
        with self._arrived:
            if path.endswith("/traces"):
                self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
            else:
                self.lines.extend(_lines(ExportLogsServiceRequest.FromString(body)))
            self._arrived.notify_all()

    def span(self, name: str, **attributes: Any) -> ReceivedSpan:
        """The one span of a name with these attributes, once it came; names of attributes with `_` for `.`."""
        return self._wait(lambda: self.find(name, **attributes), f"span {name} with {attributes}")

    def find(self, name: str, **attributes: Any) -> ReceivedSpan | None:
        """As span, without waiting: None when there is none. More than one is an error of the test."""
        found = self.all(name, **attributes)
        assert len(found) < 2, found
        return found[0] if found else None

    def all(self, name: str, **attributes: Any) -> list[ReceivedSpan]:
        """The spans of a name with these attributes."""
        return [
            span
            for span in self.spans
            if span.name == name and attributes.items() <= _underscored(span.attributes).items()
        ]

    def line(self, body: str) -> ReceivedLine:
        """The first line with that text, once it came."""
        return self._wait(lambda: next((line for line in self.lines if line.body == body), None), f"line {body!r}")

    def _wait(self, find: Callable[[], Any], what: str) -> Any:
        with self._arrived:
            there = self._arrived.wait_for(lambda: find() is not None, _SECONDS)
            names = [span.name for span in self.spans], [line.body for line in self.lines]
            assert there, f"no {what}; there are {names}"
            return find()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector for a block."""
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()


def _handler_of(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    return Handler


def _spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    name=span.name,
                    scope=scope.scope.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    status=(span.status.code, span.status.message),
                    attributes=_attributes(span.attributes),
                    resource=_attributes(resource.resource.attributes),
                    events=[(event.name, _attributes(event.attributes)) for event in span.events],
                )


def _lines(request: ExportLogsServiceRequest) -> Iterator[ReceivedLine]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield ReceivedLine(
                    body=record.body.string_value,
                    severity=record.severity_text,
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    attributes=_attributes(record.attributes),
                )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _underscored(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "_"): value for name, value in attributes.items()}
