"""The documentation's whole programs: configured, launched, served."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from dbos import DBOS
from dbos.engine import scheduler
from dbos.error import DBOSException
from support.bystander import Bystander
from support.product_docs import Blocks
from support.worker_process import WorkerProcess

from .conftest import WebServer

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize(
    ("block", "name"),
    [("programming-guide/01-configure.py", "my-app"), ("programming-guide/64-configuration.py", "dbos-example")],
)
def test_a_configured_application_launches(block: str, name: str, blocks: Blocks, place: str, sql: Bystander) -> None:
    blocks.run(block)
    DBOS.launch()

    assert sql.execute("SELECT application_name FROM dbos.application_versions").fetchall() == [
        {"application_name": name}
    ]


def test_a_program_launches_when_it_is_run_and_not_when_it_is_imported(blocks: Blocks, place: str) -> None:
    DBOS(config={"name": "shop", "system_database_url": place})

    blocks.run("programming-guide/02-launch.py", module="app")
    with pytest.raises(DBOSException):
        _ = DBOS.executor_id

    blocks.run("programming-guide/02-launch.py")
    assert DBOS.executor_id == "local"


def test_a_web_application_is_served_after_the_launch(blocks: Blocks, place: str) -> None:
    DBOS(config={"name": "shop", "system_database_url": place})
    app = FastAPI()

    @app.get("/hello")
    @DBOS.workflow()
    def hello(whom: str) -> str:
        return f"hello {whom}"

    uvicorn = WebServer(lambda visitor: visitor.get("/hello", whom="ada").json())
    blocks.run("programming-guide/03-launch-web.py", app=app, uvicorn=uvicorn)

    assert (uvicorn.address, uvicorn.answer) == (("0.0.0.0", 8000), "hello ada")
    assert [status.name for status in DBOS.list_workflows(status="SUCCESS")] == [hello.__qualname__]


def test_scheduled_workflows_run_while_the_main_thread_blocks(blocks: Blocks, place: str) -> None:
    DBOS(config={"name": "shop", "system_database_url": place})
    fired = threading.Event()

    @DBOS.scheduled("* * * * * *")
    @DBOS.workflow()
    def tick(scheduled: datetime, actual: datetime) -> None:
        fired.set()

    blocks.run("programming-guide/04-launch-and-block.py", threading=SimpleNamespace(Event=lambda: fired))

    assert fired.is_set()


def test_a_program_on_a_loop_serves_until_it_is_interrupted(blocks: Blocks, tmp_path: Path) -> None:
    source = blocks.elsewhere("programming-guide/05-launch-on-a-loop.py")
    with WorkerProcess(tmp_path, source, as_script=True) as program:
        program.wait_for("DBOS launched", within=90)
        program.process.send_signal(signal.SIGINT)
        program.process.wait(timeout=60)

    assert "KeyboardInterrupt" in program.said
    with sqlite3.connect(tmp_path / "dbos_app.sqlite") as database:  # its name, and no URL
        assert database.execute("SELECT application_name FROM application_versions").fetchall() == [("dbos-app",)]


def test_a_workflow_of_two_steps_runs(
    blocks: Blocks, place: str, sql: Bystander, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks.run("programming-guide/06-simple.py")

    assert capsys.readouterr().out == "Step one completed!\nStep two completed!\n"
    (run,) = sql.execute("SELECT workflow_uuid, name, status FROM dbos.workflow_status").fetchall()
    assert (run["name"], run["status"]) == ("dbos_workflow", "SUCCESS")
    assert [step["function_name"] for step in DBOS.list_workflow_steps(run["workflow_uuid"])] == [
        "step_one",
        "step_two",
    ]


def test_a_route_is_a_workflow(blocks: Blocks, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    uvicorn = WebServer(lambda visitor: visitor.get("/").status_code)
    blocks.run("programming-guide/07-with-fastapi.py", uvicorn=uvicorn)

    assert (uvicorn.address, uvicorn.answer) == (("0.0.0.0", 8000), 200)
    assert capsys.readouterr().out == "Step one completed!\nStep two completed!\n"
    assert [(status.name, status.status) for status in DBOS.list_workflows()] == [("dbos_workflow", "SUCCESS")]


def test_a_route_enqueues_steps_and_waits_for_them(
    blocks: Blocks, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    instead_of_time = pytest.MonkeyPatch()
    slept: list[float] = []
    uvicorn = WebServer(lambda visitor: visitor.get("/").status_code)

    def watch(line: int) -> None:
        if line == 2:  # import time
            instead_of_time.setitem(sys.modules, "time", SimpleNamespace(sleep=slept.append))
        if line == 3:
            instead_of_time.undo()

    blocks.run("programming-guide/08-with-queues.py", uvicorn=uvicorn, watch=watch)
    assert uvicorn.answer == 200

    said = capsys.readouterr().out
    assert "Enqueueing steps\n" in said
    assert "Successfully completed 10 steps\n" in said
    assert slept == [5] * 10
    assert Counter((status.queue_name, status.status) for status in DBOS.list_workflows()) == {
        (None, "SUCCESS"): 1,
        ("example-queue", "SUCCESS"): 10,
    }


def test_a_workflow_runs_every_minute(
    blocks: Blocks, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soon, launched = datetime(2026, 1, 1, 11, 59, 58, tzinfo=UTC), list[datetime]()

    def now(clock: object) -> datetime:
        """Stands still until the launch, however long that takes."""
        return soon + (datetime.now(UTC) - launched[0]) if launched else soon

    monkeypatch.setattr(scheduler.SystemClock, "now", now)
    DBOS(config={"name": "shop", "system_database_url": place})
    blocks.run("programming-guide/09-scheduled.py")
    DBOS.launch()
    launched.append(datetime.now(UTC))

    run = DBOS.retrieve_workflow("sched-run_every_minute-2026-01-01T12:00:00+00:00", existing_workflow=False)
    assert run.get_result() is None

    assert "I am a scheduled workflow. It is currently 2026-01-01 12:00:00+00:00." in capsys.readouterr().out
    scheduled, actual = run.get_status().input["args"]  # type: ignore[index]
    assert scheduled == datetime(2026, 1, 1, 12, tzinfo=UTC) <= actual
