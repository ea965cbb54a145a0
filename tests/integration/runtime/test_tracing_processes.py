"""Traces over several processes, beside an application's own OpenTelemetry, and without OpenTelemetry installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbos import DBOSClient
from support.collector import Collector, collecting
from support.worker_process import WorkerProcess

WORKER = """
import os, threading
from dbos import DBOS, Queue

DBOS(config={"name": "orders", "application_version": "v1", "enable_otlp": True,
             "otlp_traces_endpoints": [os.environ["TRACES"]]})
Queue("work")

@DBOS.step(name="pack")
def pack():
    return "packed"

@DBOS.step(name="ship")
def ship():
    DBOS.span.set_attribute("worker", os.environ["WORKER"])
    if os.environ["WORKER"] == "first":
        print("shipping", flush=True)
        threading.Event().wait()

@DBOS.workflow(name="order")
def order():
    pack()
    ship()
    DBOS.enqueue_workflow("work", letter).get_result()

@DBOS.workflow(name="letter")
def letter():
    pass
"""

CLIENT = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from dbos import DBOSClient, PropagateOtelContext

trace.set_tracer_provider(TracerProvider())
with DBOSClient(system_database_url=sys.argv[1]) as client:
    with trace.get_tracer("shop").start_as_current_span("checkout") as span, PropagateOtelContext():
        client.enqueue({"workflow_name": "order", "queue_name": "work", "workflow_id": "P"})
    place = span.get_span_context()
    print(trace.format_trace_id(place.trace_id), trace.format_span_id(place.span_id))
"""

OWN_PROVIDER = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from dbos import DBOS, SetWorkflowID

kept = InMemorySpanExporter()
mine = TracerProvider()
mine.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(mine)
DBOS(config={"name": "orders", "system_database_url": sys.argv[1], "run_admin_server": False, "enable_otlp": True,
             "otlp_traces_endpoints": [sys.argv[2]]})

@DBOS.workflow(name="order")
def order():
    with trace.get_tracer("shop").start_as_current_span("inside"):
        pass

DBOS.launch()
with SetWorkflowID("P"):
    order()
DBOS.destroy()
assert trace.get_tracer_provider() is mine
with trace.get_tracer("shop").start_as_current_span("after"):
    pass
print([span.name for span in kept.get_finished_spans()])
"""

WITHOUT_EXTRA = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"opentelemetry", "fastapi", "flask", "starlette"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import dbos
from dbos import DBOS, PropagateOtelContext

config = {"name": "orders", "system_database_url": sys.argv[1], "run_admin_server": False, "log_level": "WARNING"}
try:
    DBOS(config={**config, "enable_otlp": True})
except dbos.error.DBOSInitializationError as error:
    print(error)
try:
    with PropagateOtelContext():
        pass
except dbos.error.DBOSException as error:
    print(error)
DBOS(config=config)

@DBOS.workflow(name="order")
def order():
    DBOS.span.set_attribute("a", 1)
    return "done"

DBOS.launch()
print(order())
DBOS.destroy()
"""

LOGGING = """
import logging, sys
from dbos import DBOS

config = {"name": "orders", "system_database_url": sys.argv[1], "run_admin_server": False, "log_level": "INFO"}
form = "ROOT %(message)s"
if sys.argv[2] == "before":
    logging.basicConfig(format=form, level="INFO")
DBOS(config=config)
if sys.argv[2] == "after":
    logging.basicConfig(format=form, level="INFO")
DBOS.logger.info("a line")
DBOS.logger.debug("a detail")
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as opened:
        yield opened


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.both_databases
def test_a_trace_goes_from_a_client_over_a_killed_worker_to_the_next_and_what_that_enqueues(
    database_url: str, collector: Collector, tmp_path: Path
) -> None:
    trace_id, span_id = _run(CLIENT, database_url).stdout.split()

    def worker(name: str) -> WorkerProcess:
        environment = {
            "DBOS_SYSTEM_DATABASE_URL": database_url,
            "DBOS__VMID": "one",
            "TRACES": collector.traces_endpoint,
            "WORKER": name,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        folder = tmp_path / name
        folder.mkdir()
        return WorkerProcess(folder, WORKER, environment=environment)

    with worker("first") as first:
        first.wait_for("shipping")
        collector.span("pack")
        first.kill()
    with worker("second"), DBOSClient(system_database_url=database_url) as client:
        client.retrieve_workflow("P").get_result()
        order, letter = collector.span("order"), collector.span("letter")

    assert {span.trace_id for span in collector.spans} == {trace_id}
    assert order.parent_id == span_id
    assert letter.parent_id == order.span_id
    assert collector.span("ship", worker="second").parent_id == order.span_id
    assert len(collector.all("pack")) == 1  # by the first worker; the second one replayed it


@pytest.mark.both_databases
def test_a_workflow_that_no_trace_started_goes_on_in_its_own_after_a_crash(
    database_url: str, collector: Collector, tmp_path: Path
) -> None:
    environment = {
        "DBOS_SYSTEM_DATABASE_URL": database_url,
        "TRACES": collector.traces_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with DBOSClient(system_database_url=database_url) as client:
        handle = client.enqueue({"workflow_name": "order", "queue_name": "work"})
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        with WorkerProcess(tmp_path / "first", WORKER, environment={**environment, "WORKER": "first"}) as first:
            first.wait_for("shipping")
            before = collector.span("pack")
            first.kill()
        with WorkerProcess(tmp_path / "second", WORKER, environment={**environment, "WORKER": "second"}):
            handle.get_result()
            after = collector.span("ship")
    assert before.trace_id == after.trace_id


@pytest.mark.both_databases
def test_a_worker_that_is_asked_to_stop_sends_what_is_left(
    database_url: str, collector: Collector, tmp_path: Path
) -> None:
    environment = {
        "DBOS_SYSTEM_DATABASE_URL": database_url,
        "TRACES": collector.traces_endpoint,
        "WORKER": "only",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    with WorkerProcess(tmp_path, WORKER, environment=environment) as worker:
        with DBOSClient(system_database_url=database_url) as client:
            client.enqueue({"workflow_name": "order", "queue_name": "work"}).get_result()
        assert collector.spans == []
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
    assert {span.name for span in collector.spans} == {"order", "pack", "ship", "letter"}


def test_a_provider_of_the_application_hears_of_everything_and_stays(tmp_path: Path, collector: Collector) -> None:
    done = _run(OWN_PROVIDER, f"sqlite:///{tmp_path / 'own.sqlite'}", collector.traces_endpoint)
    assert done.stdout == "['inside', 'order', 'after']\n"
    assert [span.name for span in collector.spans] == ["inside", "order"]
    assert collector.span("inside").parent_id == collector.span("order").span_id


def test_without_endpoints_the_variables_of_opentelemetry_name_one(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.traces_endpoint.removesuffix("/v1/traces"))
    code = """
import sys
from dbos import DBOS
DBOS(config={"name": "orders", "system_database_url": sys.argv[1], "run_admin_server": False, "enable_otlp": True})

@DBOS.workflow(name="order")
def order():
    DBOS.logger.warning("a line")

for _ in range(int(sys.argv[2])):
    DBOS.launch()
    order()
    DBOS.destroy()
    DBOS(config={"name": "orders", "system_database_url": sys.argv[1], "run_admin_server": False, "enable_otlp": True})
"""
    _run(code, f"sqlite:///{tmp_path / 'plain.sqlite'}", "2")
    assert [span.name for span in collector.spans] == ["order", "order"]
    assert [line.body for line in collector.lines].count("a line") == 2


def test_without_the_extra_everything_else_works_and_errors_name_it(tmp_path: Path) -> None:
    done = _run(WITHOUT_EXTRA, f"sqlite:///{tmp_path / 'plain.sqlite'}")
    assert done.stdout.splitlines() == [
        "DBOS Error 3: enable_otlp: No module named 'opentelemetry'; pip install 'dbos-operator[otel]'",
        "DBOS Error: Traces need OpenTelemetry: No module named 'opentelemetry'; pip install 'dbos-operator[otel]'",
        "done",
    ]


def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    code = """
import sys
from dbos import DBOS
DBOS(config={"name": "orders", "system_database_url": sys.argv[1], "run_admin_server": False, "log_level": "ERROR"})
DBOS.launch()
DBOS.span.add_event("x")
DBOS.destroy()
print([name for name in sys.modules if name.startswith(("opentelemetry", "fastapi", "starlette", "flask"))])
"""
    assert _run(code, f"sqlite:///{tmp_path / 'plain.sqlite'}").stdout == "[]\n"


@pytest.mark.parametrize(
    ("arranged", "line"), [("before", "ROOT a line"), ("after", "ROOT a line"), ("never", "INFO    dbos: a line")]
)
def test_a_line_is_told_once_whenever_the_application_arranged_its_logging(
    tmp_path: Path, arranged: str, line: str
) -> None:
    done = _run(LOGGING, f"sqlite:///{tmp_path / 'plain.sqlite'}", arranged)
    (told,) = done.stderr.splitlines()
    assert told.endswith(line)
