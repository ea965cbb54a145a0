"""Traces and logs on their way to collectors, by OTLP over HTTP.

Each endpoint has a queue and a thread of its exporter's: a collector that is slow or away costs lines and
spans, and never a workflow its time. Providers live as long as the process, endpoints from launch to destroy;
between them stands a relay.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

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


_ours: WeakSet[Any] = WeakSet()
"""The providers that we set, because the application had none."""
_span_relays: WeakKeyDictionary[Any, _SpanRelay] = WeakKeyDictionary()
_log_relays: WeakKeyDictionary[Any, _LogRelay] = WeakKeyDictionary()


class Exports:
    """What is sent to the endpoints of an application, from its launch to its end."""

    def __init__(self, application: str, options: OtlpOptions) -> None:
        """Begin to send; providers that the application set stay, and hear of everything too."""
        resource = Resource.create({SERVICE_NAME: application})
        own_traces, own_logs = _is_unset(trace.get_tracer_provider()), _is_unset(_logs.get_logger_provider())
        self._spans = _span_relay(resource)
        self._logs = _log_relay(resource)
        if self._spans is None and options.traces:
            logger.warning("otlp_traces_endpoints: the TracerProvider of this process takes no further endpoints")
        if self._logs is None and options.logs:
            logger.warning("otlp_logs_endpoints: the LoggerProvider of this process takes no further endpoints")
        self._targets: list[_Target] = []
        if self._spans is not None:
            endpoints = options.traces or _usual_endpoint("TRACES", wanted=own_traces)
            spans = [BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)) for endpoint in endpoints]
            self._spans.point(spans)
            self._targets += spans
        if self._logs is not None:
            endpoints = options.logs or _usual_endpoint("LOGS", wanted=own_logs)
            logs = [BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint)) for endpoint in endpoints]
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


def _usual_endpoint(signal: str, *, wanted: bool) -> tuple[str | None, ...]:
    """The endpoint that OpenTelemetry's own variables name, if they name one: its exporter finds it by itself.

    A provider of the application's may export there already.
    """
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return (None,) if wanted and any(os.environ.get(name) for name in names) else ()


def _is_unset(provider: object) -> bool:
    """Whether a provider stands for none, or is one that we set."""
    if provider in _ours:
        return True
    # OpenTelemetry does not publish the class of the other one.
    return isinstance(provider, ProxyTracerProvider) or type(provider).__name__ == "ProxyLoggerProvider"


def _span_relay(resource: Resource) -> _SpanRelay | None:
    provider = trace.get_tracer_provider()
    if _is_unset(provider) and provider not in _ours:
        provider = TracerProvider(resource=resource)
        _ours.add(provider)
        trace.set_tracer_provider(provider)
    if not isinstance(provider, TracerProvider):
        return None
    if provider not in _span_relays:
        _span_relays[provider] = _SpanRelay()
        provider.add_span_processor(_span_relays[provider])
    return _span_relays[provider]


def _log_relay(resource: Resource) -> _LogRelay | None:
    provider = _logs.get_logger_provider()
    if _is_unset(provider) and provider not in _ours:
        provider = LoggerProvider(resource=resource)
        _ours.add(provider)
        _logs.set_logger_provider(provider)
    if not isinstance(provider, LoggerProvider):
        return None
    if provider not in _log_relays:
        _log_relays[provider] = _LogRelay()
        provider.add_log_record_processor(_log_relays[provider])
    return _log_relays[provider]
