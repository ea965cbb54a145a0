"""Traces in the hands of the application: the span of what runs here, the tracer, and where others go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dbos._error import DBOSException
from dbos.api.options import Block
from dbos.api.runtime import process
from dbos.api.telling import EXTRA, otel_module
from dbos.engine.tracing import trace_carrier


@dataclass(frozen=True, slots=True)
class SilentPlace:
    """Where a silent span is in its trace: nowhere."""

    trace_id: int = 0
    span_id: int = 0
    is_valid: bool = False
    is_remote: bool = False


class SilentSpan:
    """What DBOS.span is where nothing is traced: it takes what a span takes, and forgets it."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Nothing happens."""

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Nothing happens."""

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Nothing happens."""

    def add_link(self, context: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Nothing happens."""

    def update_name(self, name: str) -> None:
        """Nothing happens."""

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Nothing happens."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Nothing happens."""

    def end(self, end_time: int | None = None) -> None:
        """Nothing happens."""

    def get_span_context(self) -> SilentPlace:
        """A place that is not valid, with zeros for IDs."""
        return SilentPlace()

    def is_recording(self) -> bool:
        """Always False: what is costly to find out for a span need not be."""
        return False


class SilentTracer:
    """What DBOS.tracer is where nothing is traced."""

    def start_span(self, *_args: Any, **_options: Any) -> SilentSpan:
        """A span that forgets."""
        return SILENT_SPAN

    @contextmanager
    def start_as_current_span(self, *_args: Any, **_options: Any) -> Iterator[SilentSpan]:
        """A span that forgets, for a block."""
        yield SILENT_SPAN


SILENT_SPAN = SilentSpan()
SILENT_TRACER = SilentTracer()


def current_span() -> Any:
    """The span of what runs here; one that forgets everything where nothing is traced."""
    if _is_traced():
        return otel_module("tracing").current_span()
    return SILENT_SPAN


def current_tracer() -> Any:
    """The tracer of the running application; one whose spans forget everything where nothing is traced."""
    if _is_traced():
        return process.application.engine.services.tracing.tracer  # type: ignore[union-attr]
    return SILENT_TRACER


def carrier_of(context: object) -> Mapping[str, str] | None:
    """A place in a trace as headers: of an OpenTelemetry context, or of the calling code when it is None.

    None outside of traces. Raises DBOSException when OpenTelemetry is not installed, TypeError for what is no context.
    """
    try:
        tracing = otel_module("tracing")
    except ImportError as error:
        raise DBOSException(f"Traces need OpenTelemetry: {error.msg}; {EXTRA}") from error
    if context is not None and not isinstance(context, tracing.Context):
        raise TypeError(f"context: expected a context of OpenTelemetry, got {context!r}")
    carrier: Mapping[str, str] | None = tracing.carrier_of(context)
    return carrier


class PropagateOtelContext(Block[Mapping[str, str] | None]):
    """Let what is started or enqueued in the block belong to a trace: that of the code around it, or of `context`.

    The trace is stored with the workflow, under the key `dbos.otelContext` of its attributes, so whoever runs
    it goes on in the trace: another process, a worker of another SDK, an execution after a crash. Where
    `enable_otlp` is set that happens without the block too; a client has no such setting.
    """

    def __init__(self, context: Any = None) -> None:
        super().__init__(trace_carrier)
        self._context = context

    def _value(self) -> Mapping[str, str] | None:
        return carrier_of(self._context)


def _is_traced() -> bool:
    application = process.application
    return (
        application is not None and application.engine is not None and application.engine.services.tracing is not None
    )
