"""Traces and logs on their way to collectors, by OTLP over HTTP.

Each endpoint has a queue and a thread of its exporter's: a collector that is slow or away costs lines and
spans, and never a workflow its time. Providers live as long as the process, endpoints from launch to destroy;
between them stands a relay.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import ProxyTracerProvider

from dbos.config.observability import OtlpOptions

logger = logging.getLogger("dbos")

FLUSH_SECONDS = 5.0
"""How long the end of the process waits for collectors."""


class _Target(Protocol):
    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = ...) -> bool: ...


TargetT = TypeVar("TargetT", bound=_Target)


class _Relay(Generic[TargetT]):
    """Hands on to the targets of the moment."""

    def __init__(self) -> None:
        self._targets: tuple[TargetT, ...] = ()

    def point(self, targets: Iterable[TargetT]) -> None:
        """Hand on to these from now on."""
        self._targets = tuple(targets)

    def shutdown(self) -> None:
        """The provider ends: send what is left, for a bounded time."""
        targets, self._targets = self._targets, ()
        end_within(FLUSH_SECONDS, [target.shutdown for target in targets])

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is there; whether all of it went in time."""
        until = time.monotonic() + timeout_millis / 1000
        return all(target.force_flush(max(0, int((until - time.monotonic()) * 1000))) for target in self._targets)


class _SpanRelay(_Relay[SpanProcessor], SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        for target in self._targets:
            target.on_start(span, parent_context)

    def on_end(self, span: Any) -> None:
        for target in self._targets:
            target.on_end(span)


class _LogRelay(_Relay[LogRecordProcessor], LogRecordProcessor):
    def on_emit(self, log_record: Any) -> None:
        for target in self._targets:
            target.on_emit(log_record)


_span_relays: WeakKeyDictionary[Any, _SpanRelay] = WeakKeyDictionary()
_log_relays: WeakKeyDictionary[Any, _LogRelay] = WeakKeyDictionary()


class Exports:
    """What is sent to the endpoints of an application, from its launch to its end."""

    def __init__(self, application: str, options: OtlpOptions) -> None:
        """Begin to send; providers that the application set stay, and hear of everything too."""
        resource = Resource.create({SERVICE_NAME: application})
        self._spans = _span_relay(resource)
        self._logs = _log_relay(resource)
        if self._spans is None and options.traces:
            logger.warning("otlp_traces_endpoints: the TracerProvider of this process takes no further endpoints")
        if self._logs is None and options.logs:
            logger.warning("otlp_logs_endpoints: the LoggerProvider of this process takes no further endpoints")
        self._targets: list[_Target] = []
        if self._spans is not None:
            spans = [BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)) for endpoint in options.traces]
            self._spans.point(spans)
            self._targets += spans
        if self._logs is not None:
            logs = [BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint)) for endpoint in options.logs]
            self._logs.point(logs)
            self._targets += logs

    def close(self) -> None:
        """Send what is left, for FLUSH_SECONDS at most, and hand on nothing more. Idempotent."""
        for relay in (self._spans, self._logs):
            if relay is not None:
                relay.point(())
        targets, self._targets = self._targets, []
        if not end_within(FLUSH_SECONDS, [target.shutdown for target in targets]):
            logger.warning("A collector did not take the last traces and logs within %d seconds", FLUSH_SECONDS)


def end_within(seconds: float, ends: Iterable[Callable[[], object]]) -> bool:
    """Call all of these side by side and wait for them, but no longer than some seconds; whether all are done."""
    threads = [threading.Thread(target=end, name="dbos-otlp-flush", daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _span_relay(resource: Resource) -> _SpanRelay | None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider):  # nobody set one
        provider = TracerProvider(resource=resource)
        trace.set_tracer_provider(provider)
    if not isinstance(provider, TracerProvider):
        return None
    if provider not in _span_relays:
        _span_relays[provider] = _SpanRelay()
        provider.add_span_processor(_span_relays[provider])
    return _span_relays[provider]


def _log_relay(resource: Resource) -> _LogRelay | None:
    provider = _logs.get_logger_provider()
    if type(provider).__name__ == "ProxyLoggerProvider":  # nobody set one; OpenTelemetry does not publish the class
        provider = LoggerProvider(resource=resource)
        _logs.set_logger_provider(provider)
    if not isinstance(provider, LoggerProvider):
        return None
    if provider not in _log_relays:
        _log_relays[provider] = _LogRelay()
        provider.add_log_record_processor(_log_relays[provider])
    return _log_relays[provider]
