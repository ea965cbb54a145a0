"""What spans are called and which traces they belong to."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, Tracer

from dbos.api.tracing import SilentSpan, SilentTracer
from dbos.config.observability import AttributeFormat, OtlpOptions
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.engine.authorization import NOBODY, Authentication
from dbos.engine.context import Execution
from dbos.engine.tracing import add_carrier
from dbos.observability.attributes import AttributeNames, user_attributes
from dbos.observability.tracing import OpenTelemetryTracing, trace_id_of


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exported: InMemorySpanExporter) -> OpenTelemetryTracing:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    names = AttributeNames(AttributeFormat.LEGACY)
    return OpenTelemetryTracing(provider.get_tracer("test"), OtlpOptions(), names, {"executorID": "one"})


def _execution(trace: object = None) -> Execution:
    return Execution(WorkflowId("P"), OwnerToken("o"), "order", trace=trace)


def test_the_trace_of_a_workflow_that_nobody_traced_has_an_id_made_of_its_own(
    tracing: OpenTelemetryTracing, exported: InMemorySpanExporter
) -> None:
    for _ in range(2):
        with tracing.workflow(_execution()):
            pass
    first, second = exported.get_finished_spans()
    assert first.context.trace_id == second.context.trace_id == trace_id_of("P")
    assert first.context.span_id != second.context.span_id


def test_only_a_trace_that_begins_with_a_workflow_has_such_an_id(
    tracing: OpenTelemetryTracing, exported: InMemorySpanExporter
) -> None:
    with tracing.workflow(_execution()):
        pass
    with tracing.tracer.start_as_current_span("checkout"):
        here = tracing.here()
        carrier = tracing.carrier()
    with tracing.workflow(_execution(here)):
        pass
    first, checkout, order = exported.get_finished_spans()
    assert order.context.trace_id == checkout.context.trace_id != trace_id_of("P")
    assert order.parent is not None
    assert order.parent.span_id == checkout.context.span_id
    assert carrier is not None
    assert carrier["traceparent"].startswith(f"00-{checkout.context.trace_id:032x}-{checkout.context.span_id:016x}-")
    assert checkout.context.trace_flags.random_trace_id
    assert not first.context.trace_flags.random_trace_id


def test_outside_of_traces_there_is_nothing_to_tell(tracing: OpenTelemetryTracing) -> None:
    assert tracing.carrier() is None
    assert add_carrier({"a": 1}, None) == {"a": 1}
    assert add_carrier(None, None) is None


def test_a_trace_stands_beside_other_attributes_and_replaces_none() -> None:
    carrier = {"traceparent": "x"}
    assert add_carrier({"a": 1}, carrier) == {"a": 1, "dbos.otelContext": carrier}
    assert add_carrier({"dbos.otelContext": 1}, carrier) == {"dbos.otelContext": 1}


def test_a_signal_leaves_the_status_open(tracing: OpenTelemetryTracing, exported: InMemorySpanExporter) -> None:
    with pytest.raises(KeyboardInterrupt), tracing.workflow(_execution()):
        raise KeyboardInterrupt
    (span,) = exported.get_finished_spans()
    assert span.status.status_code.name == "UNSET"
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("Execution stopped", {"reason": "KeyboardInterrupt"})
    ]


def test_who_is_told_by_the_names_of_the_format() -> None:
    assert user_attributes(NOBODY) == {"authenticatedUserRoles": ""}
    told = user_attributes(Authentication("ada", ("admin",), "admin"))
    assert AttributeNames(AttributeFormat.SEMCONV).all({**told, "other": 1}) == {
        "dbos.user.name": "ada",
        "dbos.user.roles": '["admin"]',
        "dbos.user.assumed_role": "admin",
        "other": 1,
    }


@pytest.mark.parametrize(("ours", "theirs"), [(SilentSpan, Span), (SilentTracer, Tracer)])
def test_what_stands_for_a_span_takes_what_a_span_takes(ours: Any, theirs: Any) -> None:
    for name in theirs.__abstractmethods__:
        wanted = list(inspect.signature(getattr(theirs, name)).parameters)
        given = inspect.signature(getattr(ours, name)).parameters
        open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in given.values())
        assert open_ended or list(given) == wanted, name
