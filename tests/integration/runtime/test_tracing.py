"""Traces and logs on their way to a collector: whose spans they are, what they say, and that they never hurt."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from dbos import DBOS, DBOSClient, DBOSContextSetAuth, PropagateOtelContext, SetWorkflowAttributes, SetWorkflowID, error
from dbos.observability import otlp
from dbos.observability.tracing import trace_id_of
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.collector import Collector, collecting

pytestmark = pytest.mark.both_databases


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as opened:
        yield opened


@pytest.fixture
def traced(launch: Launch, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Launches the application with everything sent to the collector, for whose answer its end waits."""
    monkeypatch.setattr(otlp, "FLUSH_SECONDS", 60.0)

    def start(**config: Any) -> None:
        ends = {"otlp_traces_endpoints": [collector.traces_endpoint], "otlp_logs_endpoints": [collector.logs_endpoint]}
        launch(**{"enable_otlp": True, **ends, **config})

    return start


def _attributes_of(sql: Bystander, workflow_id: str) -> Any:
    row = sql.execute("SELECT attributes FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row["attributes"]


def test_a_workflow_its_steps_children_and_what_it_enqueues_are_one_trace(traced: Launch, collector: Collector) -> None:
    @DBOS.step(name="pack")
    def pack(what: str) -> str:
        DBOS.span.set_attribute("what", what)
        return what

    @DBOS.workflow(name="child")
    def child(what: str) -> str:
        return pack(what)

    @DBOS.workflow(name="parent")
    def parent() -> None:
        pack("here")
        child("called")
        DBOS.start_workflow(child, "started").get_result()
        DBOS.enqueue_workflow("work", child, "enqueued").get_result()
        DBOS.sleep(0.01)

    traced()
    DBOS.register_queue("work")
    with SetWorkflowID("P"):
        parent()
    DBOS.destroy()

    root = collector.span("parent")
    assert root.parent_id == ""
    assert {span.trace_id for span in collector.spans} == {root.trace_id}
    children = collector.all("child")
    assert [span.parent_id for span in children] == [root.span_id] * 3
    steps = {span.attributes["what"]: span for span in collector.all("pack")}
    assert steps["here"].parent_id == root.span_id
    assert {steps[what].parent_id for what in ("called", "started", "enqueued")} == {span.span_id for span in children}
    assert [span.attributes["queueName"] for span in children if "queueName" in span.attributes] == ["work"]
    assert collector.span("sleep").parent_id == root.span_id


def test_a_trace_of_the_application_goes_on_in_what_it_starts_and_enqueues(
    traced: Launch, collector: Collector, sql: Bystander
) -> None:
    @DBOS.workflow(name="order")
    def order() -> None: ...

    traced()
    DBOS.register_queue("work")
    with DBOS.tracer.start_as_current_span("checkout"), SetWorkflowAttributes({"team": "blue"}):
        with SetWorkflowID("called"):
            order()
        with SetWorkflowID("enqueued"):
            DBOS.enqueue_workflow("work", order).get_result()
    with SetWorkflowID("apart"):
        DBOS.enqueue_workflow("work", order).get_result()
    forked = DBOS.fork_workflow("enqueued", 1)
    forked.get_result()
    stored = [_attributes_of(sql, workflow_id) for workflow_id in ("called", "enqueued", "apart")]
    DBOS.destroy()

    checkout = collector.span("checkout")
    assert stored[0] == stored[1] == {"team": "blue", "dbos.otelContext": {"traceparent": ANY}}
    version, *place, flags = stored[0]["dbos.otelContext"]["traceparent"].split("-")
    assert (version, place, int(flags, 16) & 1) == ("00", [checkout.trace_id, checkout.span_id], 1)
    assert stored[2] is None
    for workflow_id in ("called", "enqueued", forked.workflow_id):
        span = collector.span("order", operationUUID=workflow_id)
        assert (span.trace_id, span.parent_id) == (checkout.trace_id, checkout.span_id)
    apart = collector.span("order", operationUUID="apart")
    assert (apart.trace_id, apart.parent_id) == (f"{trace_id_of('apart'):032x}", "")


def test_without_propagation_rows_tell_no_trace_unless_a_block_asks_for_it(
    traced: Launch, collector: Collector, sql: Bystander
) -> None:
    @DBOS.workflow(name="order")
    def order() -> None: ...

    traced(otel_propagate_context=False)
    DBOS.register_queue("work")
    with DBOS.tracer.start_as_current_span("checkout"):
        with SetWorkflowID("silent"):
            DBOS.enqueue_workflow("work", order).get_result()
        with PropagateOtelContext(), SetWorkflowID("told"):
            DBOS.enqueue_workflow("work", order).get_result()
    silent, told = _attributes_of(sql, "silent"), _attributes_of(sql, "told")
    DBOS.destroy()

    assert silent is None
    assert set(told) == {"dbos.otelContext"}
    assert collector.span("order", operationUUID="told").trace_id == collector.span("checkout").trace_id
    assert collector.span("order", operationUUID="silent").trace_id != collector.span("checkout").trace_id


def test_a_client_hands_on_a_trace_and_the_application_goes_on_in_it(
    traced: Launch, collector: Collector, client: DBOSClient, sql: Bystander
) -> None:
    @DBOS.workflow(name="order")
    def order() -> None: ...

    traced()
    DBOS.register_queue("work")
    place = trace.set_span_in_context(
        trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1)))
    )
    client.enqueue(
        {"workflow_name": "order", "queue_name": "work", "workflow_id": "option", "otel_context": place}
    ).get_result()
    with PropagateOtelContext(place):
        client.enqueue({"workflow_name": "order", "queue_name": "work", "workflow_id": "block"}).get_result()
    client.enqueue({"workflow_name": "order", "queue_name": "work", "workflow_id": "none"}).get_result()
    assert _attributes_of(sql, "option") == _attributes_of(sql, "block")
    assert _attributes_of(sql, "none") is None
    DBOS.destroy()

    for workflow_id in ("option", "block"):
        span = collector.span("order", operationUUID=workflow_id)
        assert (int(span.trace_id, 16), int(span.parent_id, 16)) == (0xABC, 0xDEF)


def test_what_is_no_context_is_refused(client: DBOSClient) -> None:
    with pytest.raises(TypeError, match="expected a context of OpenTelemetry, got 'here'"):
        client.enqueue({"workflow_name": "order", "queue_name": "work", "otel_context": "here"})
    with pytest.raises(TypeError, match="expected a context of OpenTelemetry"), PropagateOtelContext({"a": 1}):
        pass


@pytest.mark.parametrize(
    "carrier", ["3", "[1]", '{"traceparent": 5}', '{"traceparent": "nonsense"}', '"text"', "null"], ids=str
)
def test_a_row_with_a_trace_that_cannot_be_read_begins_its_own(
    traced: Launch, collector: Collector, client: DBOSClient, sql: Bystander, carrier: str
) -> None:
    @DBOS.workflow(name="order")
    def order() -> None: ...

    handle = client.enqueue({"workflow_name": "order", "queue_name": "work", "workflow_id": "odd"})
    sql.execute("UPDATE dbos.workflow_status SET attributes = %s", ['{"dbos.otelContext": ' + carrier + "}"])
    traced()
    DBOS.register_queue("work")
    handle.get_result()
    DBOS.destroy()

    assert collector.span("order").trace_id == f"{trace_id_of('odd'):032x}"


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("legacy", ("operationType", "operationUUID", "executorID", "applicationVersion", "authenticatedUser")),
        (
            "semconv",
            (
                "dbos.operation.type",
                "dbos.operation.workflow_id",
                "dbos.executor.id",
                "dbos.application.version",
                "dbos.user.name",
            ),
        ),
    ],
)
def test_spans_say_whose_they_are_in_either_format(
    traced: Launch, collector: Collector, form: str, names: tuple[str, ...]
) -> None:
    @DBOS.step(name="pack")
    def pack() -> None:
        DBOS.logger.error("packing", extra={"parcel": 7, "size": (1, 2)})

    @DBOS.workflow(name="order")
    def order() -> None:
        pack()

    traced(otel_attribute_format=form, otlp_attributes={"team": "blue"})
    with SetWorkflowID("P"), DBOSContextSetAuth("ada", ["admin"]):
        order()
    DBOS.destroy()

    workflow, step = collector.span("order"), collector.span("pack")
    for span, kind in ((workflow, "workflow"), (step, "step")):
        assert [span.attributes[name] for name in names] == [kind, "P", "one", "v1", "ada"]
        assert span.attributes["team"] == "blue"
        assert span.resource["service.name"] == "orders"
        assert span.scope == "dbos-tracer"
        assert span.status == (1, "")
    line = collector.line("packing")
    assert (line.trace_id, line.span_id, line.severity) == (step.trace_id, step.span_id, "ERROR")
    told = {"parcel": 7, "size": "(1, 2)", "team": "blue", names[1]: "P", names[2]: "one", names[3]: "v1"}
    assert told.items() <= line.attributes.items()


def test_errors_and_retries_stand_in_the_spans(traced: Launch, collector: Collector) -> None:
    attempts: list[int] = []

    @DBOS.step(name="shaky", retries_allowed=True, interval_seconds=0.01)
    def shaky() -> None:
        attempts.append(1)
        if len(attempts) < 2:
            raise ValueError("not yet")

    @DBOS.step(name="broken")
    def broken() -> None:
        raise ValueError("never")

    @DBOS.workflow(name="order")
    def order() -> None:
        shaky()
        broken()

    traced()
    with pytest.raises(ValueError, match="never"):
        order()
    DBOS.destroy()

    assert ("Step attempt 0 failed", {"error": "not yet", "retryIntervalSeconds": 0.01}) in collector.span(
        "shaky"
    ).events
    for name in ("broken", "order"):
        span = collector.span(name)
        assert span.status == (2, "never")
        ((event, said),) = span.events
        assert (event, said["exception.message"]) == ("exception", "never")


def test_a_step_that_is_replayed_has_no_span(traced: Launch, collector: Collector) -> None:
    @DBOS.step(name="pack")
    def pack() -> None: ...

    @DBOS.workflow(name="order")
    def order() -> None:
        pack()
        DBOS.set_event("packed", True)
        DBOS.sleep(0.01)

    traced()
    with SetWorkflowID("P"):
        order()
    DBOS.fork_workflow("P", 3).get_result()
    DBOS.destroy()

    names = [span.name for span in collector.spans]
    assert [names.count(name) for name in ("order", "pack", "set_event", "sleep")] == [2, 1, 1, 2]


def test_coroutines_side_by_side_keep_their_spans_apart(traced: Launch, collector: Collector) -> None:
    @DBOS.step(name="pack")
    async def pack(number: int) -> None:
        await asyncio.sleep(0.01)
        DBOS.span.set_attribute("number", number)

    @DBOS.workflow(name="order")
    async def order() -> None:
        await asyncio.gather(*(pack(number) for number in range(5)))
        await DBOS.sleep_async(0.01)

    traced()
    asyncio.run(order())
    DBOS.destroy()

    root = collector.span("order")
    assert {span.attributes["number"] for span in collector.all("pack")} == set(range(5))
    assert {span.parent_id for span in collector.spans if span is not root} == {root.span_id}


def test_a_cancelled_execution_ends_its_span_and_says_so(traced: Launch, collector: Collector) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @DBOS.step(name="pack")
    def pack() -> None: ...

    @DBOS.workflow(name="order")
    def order() -> None:
        begun.set()
        go_on.wait(30)
        pack()

    traced()
    with SetWorkflowID("P"):
        handle = DBOS.start_workflow(order)
    assert begun.wait(30)
    DBOS.cancel_workflow("P")
    go_on.set()
    with pytest.raises(error.DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    DBOS.destroy(workflow_completion_timeout_sec=30)

    span = collector.span("order")
    assert [name for name, _ in span.events] == ["Execution stopped"]
    assert "cancelled" in span.events[0][1]["reason"]


def test_a_transaction_is_a_step_of_the_trace(traced: Launch, collector: Collector) -> None:
    @DBOS.transaction(name="pay")
    def pay() -> None:
        DBOS.span.add_event("paid")

    @DBOS.workflow(name="order")
    def order() -> None:
        pay()

    traced()
    order()
    DBOS.destroy()

    span = collector.span("pay", operationType="step")
    assert span.parent_id == collector.span("order").span_id
    assert span.events == [("paid", {})]


def test_the_context_of_the_caller_is_as_before(traced: Launch) -> None:
    @DBOS.workflow(name="order")
    def order() -> str:
        return str(DBOS.span.get_span_context().span_id)

    traced()
    before = otel_context.get_current()
    with DBOS.tracer.start_as_current_span("outside") as outside:
        assert order() != str(outside.get_span_context().span_id)
        assert trace.get_current_span() is outside
        assert DBOS.span is outside
    assert otel_context.get_current() == before


def test_without_otlp_spans_are_silent_and_rows_tell_no_trace(launch: Launch, sql: Bystander) -> None:
    @DBOS.workflow(name="order")
    def order() -> bool:
        span = DBOS.span
        span.set_attribute("key", "value")
        span.set_attributes({"key": "value"})
        span.add_event("event", {"key": 1})
        span.record_exception(ValueError())
        span.update_name("other")
        with DBOS.tracer.start_as_current_span("inside") as inside:
            inside.set_status("OK")
        return bool(span.is_recording())

    launch()
    with SetWorkflowID("P"):
        assert order() is False
    DBOS.span.add_event("outside")
    assert _attributes_of(sql, "P") is None


def test_a_collector_that_is_not_there_costs_no_workflow_its_result(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    @DBOS.workflow(name="order")
    def order() -> str:
        return "done"

    monkeypatch.setattr(otlp, "FLUSH_SECONDS", 1.0)
    with collecting() as gone:
        ends = {"otlp_traces_endpoints": [gone.traces_endpoint], "otlp_logs_endpoints": [gone.logs_endpoint]}
    launch(enable_otlp=True, **ends)
    assert [order() for _ in range(20)] == ["done"] * 20
    DBOS.destroy()


def test_a_collector_that_does_not_answer_holds_up_the_end_for_a_bounded_time(
    traced: Launch, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @DBOS.workflow(name="order")
    def order() -> str:
        return "done"

    monkeypatch.setattr(otlp, "FLUSH_SECONDS", 0.5)
    collector.held.clear()
    traced()
    assert order() == "done"
    began = time.monotonic()
    DBOS.destroy()
    assert time.monotonic() - began < 25  # the exporter itself would wait for longer
    assert collector.asked.wait(30)
    assert "did not take the last traces and logs" in caplog.text


def test_a_second_launch_in_a_process_sends_to_its_own_endpoints_only(traced: Launch, collector: Collector) -> None:
    @DBOS.workflow(name="order")
    def order() -> None: ...

    traced()
    with SetWorkflowID("first"):
        order()
    DBOS.destroy()
    with collecting() as other:
        traced(otlp_traces_endpoints=[other.traces_endpoint])
        with SetWorkflowID("second"):
            order()
        DBOS.destroy()
        assert [span.attributes["operationUUID"] for span in other.spans] == ["second"]
    assert [span.attributes["operationUUID"] for span in collector.spans] == ["first"]


def test_what_is_sent_has_a_level_of_its_own(
    traced: Launch, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    traced(console_log_level="ERROR", otlp_log_level="DEBUG")
    DBOS.logger.debug("a detail")
    DBOS.logger.error("a fault")
    DBOS.destroy()

    assert collector.line("a detail").severity == "DEBUG"
    assert collector.line("a fault").severity == "ERROR"
    assert [record.message for record in caplog.records if record.name == "dbos"] == ["a fault"]
