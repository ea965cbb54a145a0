"""Spans of workflows, steps and requests, recorded by OpenTelemetry.

A provider that the application set is used as it is; without one we set ours. Either way the spans also go
to the endpoints of the configuration, which come and go with launches of DBOS: a provider lives as long as
its process.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dbos.config.observability import OtlpOptions
from dbos.engine.context import Execution, current_user
from dbos.engine.tracing import Recording
from dbos.observability.attributes import AttributeNames, user_attributes

logger = logging.getLogger("dbos")

SCOPE = "dbos-tracer"
_propagator = TraceContextTextMapPropagator()
_trace_id: ContextVar[int | None] = ContextVar("dbos_trace_id", default=None)
"""The ID of the trace that begins here."""


class OpenTelemetryTracing:
    """Records what the engine does as spans of a tracer."""

    def __init__(self, tracer: Tracer, options: OtlpOptions, names: AttributeNames, fixed: Mapping[str, str]) -> None:
        """`fixed` is what all spans of this process have in common, by the keys of the legacy format."""
        self.tracer = tracer
        if isinstance(tracer, SdkTracer) and not isinstance(tracer.id_generator, _WorkflowIds):
            tracer.id_generator = _WorkflowIds(tracer.id_generator)
        self._names = names
        self._propagates = options.propagates
        self._fixed = {**names.all(fixed), **options.attributes}

    def workflow(self, execution: Execution) -> Recording:
        """A span of an execution: in the trace of who started it; without one, in a trace of its own.

        The ID of that trace comes from the workflow's ID, so an execution after a crash goes on in it.
        """
        kind = {"operationType": "workflow"}
        if execution.queue_name is not None:
            kind["queueName"] = execution.queue_name
        parent = _parent_of(execution)
        attributes = self._attributes(execution, kind)
        return _OpenSpan(self.tracer, execution.name, parent, attributes, begins=execution.workflow_id)

    def operation(self, execution: Execution, name: str, kind: str | None) -> Recording:
        """A span of a step, or of another operation, of the workflow that runs here."""
        return _OpenSpan(self.tracer, name, None, self._attributes(execution, {"operationType": kind} if kind else {}))

    def request(self, name: str, headers: Mapping[str, str], attributes: Mapping[str, Any]) -> RequestSpan:
        """A span of a request: below the span that is open, else in the trace that the headers name."""
        parent = None
        if not trace.get_current_span().get_span_context().is_valid:
            parent = _propagator.extract(headers)
        return RequestSpan(self.tracer, name, parent, {**self._names.all(attributes), **self._fixed})

    def here(self) -> object:
        """Where the calling code is."""
        return otel_context.get_current()

    def carrier(self) -> Mapping[str, str] | None:
        """Where the calling code is, as W3C headers; None outside of traces, or when rows are not to tell."""
        return carrier_of(None) if self._propagates else None

    def _attributes(self, execution: Execution, kind: Mapping[str, str]) -> dict[str, Any]:
        own = {**kind, "operationUUID": execution.workflow_id, **user_attributes(current_user())}
        return {**self._names.all(own), **self._fixed}


def carrier_of(context: Context | None) -> dict[str, str] | None:
    """A place in a trace as W3C headers; None for a place outside of traces. Without a context: where we are."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=context)
    return carrier or None


def current_span() -> Span:
    """The span that is open here; one that is not recorded outside of all."""
    return trace.get_current_span()


def get_tracer(package_version: str) -> Tracer:
    """The tracer of our spans, from whatever provider there is."""
    return trace.get_tracer(SCOPE, package_version)


class _OpenSpan(Recording):
    """A span that is current in its block, and ends with it."""

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        parent: Context | None,
        attributes: Mapping[str, Any],
        *,
        begins: str | None = None,
    ) -> None:
        """`begins` is the workflow whose ID gives a trace its ID that begins here."""
        self._tracer, self._name, self._parent, self._attributes = tracer, name, parent, attributes
        self._begins = begins
        self._span: Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None
        self._told = False

    def __enter__(self) -> Self:
        trace_id = _trace_id.set(None if self._begins is None else trace_id_of(self._begins))
        try:
            self._span = self._tracer.start_span(self._name, context=self._parent, attributes=self._attributes)
        finally:
            _trace_id.reset(trace_id)
        self._token = otel_context.attach(trace.set_span_in_context(self._span, self._parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None and kind is not GeneratorExit:  # that one may come in another context
            otel_context.detach(self._token)
        if isinstance(error, Exception):
            self.ended(error)
        elif error is not None and not self._told:
            self._span.add_event("Execution stopped", {"reason": str(error) or type(error).__name__})
        self._span.end()

    def ended(self, error: BaseException | None) -> None:
        """As Recording."""
        if self._told:
            return
        self._told = True
        if error is None:
            self._span.set_status(Status(StatusCode.OK))
        else:
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, str(error)))

    def retried(self, attempt: int, error: BaseException, delay: float) -> None:
        """As Recording."""
        self._span.add_event(f"Step attempt {attempt - 1} failed", {"error": str(error), "retryIntervalSeconds": delay})


class RequestSpan(_OpenSpan):
    """The span of a request."""

    def answered(self, status: int) -> None:
        """Say which status the request was answered with."""
        self._span.set_attribute("responseCode", status)
        self._told = True
        self._span.set_status(Status(StatusCode.ERROR if status >= 500 else StatusCode.OK))


class _WorkflowIds(IdGenerator):
    """Draws IDs as another generator does, but for traces that begin with a workflow."""

    def __init__(self, others: IdGenerator) -> None:
        self._others = others

    def generate_span_id(self) -> int:
        return self._others.generate_span_id()

    def generate_trace_id(self) -> int:
        return _trace_id.get() or self._others.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        told = getattr(self._others, "is_trace_id_random", None)  # not in every release
        return _trace_id.get() is None and told is not None and bool(told())


def trace_id_of(workflow_id: str) -> int:
    """The ID of the trace of a workflow that nobody's trace started."""
    digest = hashlib.sha256(f"dbos.trace.{workflow_id}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:16], "big") or 1


def _parent_of(execution: Execution) -> Context | None:
    """Where an execution was started; a new trace when nobody's trace started it."""
    match execution.trace:
        case str(text):
            return _propagator.extract(_carrier_in(text), context=Context())
        case Context() as context:
            return context
        case _:
            return Context()


def _carrier_in(text: str) -> dict[str, str]:
    """The headers that a row holds; what is no such thing is no trace."""
    try:
        carrier = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(carrier, dict):
        return {}
    return {key: value for key, value in carrier.items() if isinstance(value, str)}
