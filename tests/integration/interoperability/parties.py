"""The two parties on one database: workers and clients of this runtime and of the published package."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from dbos import DBOSClient
from support.peer import start_peer
from support.waiting import eventually
from support.worker_process import dbos_command

PROGRAMS = Path(__file__).with_name("programs")
POLL_SECONDS = 0.05
ANSWER_SECONDS = 80.0
WAIT_SECONDS = 60.0
"""How long a busy machine may take to start a worker and run something."""
ENDED = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}

_BOARD = """
CREATE TABLE public.notes (
    id bigint GENERATED ALWAYS AS IDENTITY, workflow_id text, what text NOT NULL, kind text NOT NULL,
    process int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), ended timestamptz);
CREATE TABLE public.gates (name text PRIMARY KEY)
"""


class Database:
    """One system database with a notice board beside it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_BOARD)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def rows(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        cursor = self._connection.cursor(row_factory=psycopg.rows.dict_row)
        return cursor.execute(statement.encode(), parameters).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        """Perform a statement."""
        self._connection.execute(statement.encode(), parameters)

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        """The row of a workflow."""
        (row,) = self.rows("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", workflow_id)
        return row

    def notes(self, workflow_id: str) -> list[str]:
        """What a workflow told, in order."""
        rows = self.rows("SELECT what FROM public.notes WHERE workflow_id = %s ORDER BY id", workflow_id)
        return [row["what"] for row in rows]

    def wait_for_application(self, name: str) -> None:
        """Wait until a process of an application has launched."""
        query = "SELECT version_name FROM dbos.application_versions WHERE application_name = %s"
        eventually(lambda: self.rows(query, name), bool, what=f"version of {name}", within=WAIT_SECONDS)

    def open_gate(self, name: str) -> None:
        """Let the workflows pass that wait for a gate."""
        self.execute("INSERT INTO public.gates VALUES (%s) ON CONFLICT DO NOTHING", name)

    def wait_for_note(self, workflow_id: str, what: str) -> None:
        """Wait until a workflow told something."""
        eventually(
            lambda: self.notes(workflow_id), lambda notes: what in notes, what=f"note {what!r}", within=WAIT_SECONDS
        )

    def wait_for_status(self, workflow_id: str, *statuses: str, within: float = WAIT_SECONDS) -> dict[str, Any]:
        """Wait until a workflow is in one of these states; its row."""
        return eventually(
            lambda: self.workflow(workflow_id),
            lambda row: row["status"] in statuses,
            what=f"status {statuses} of {workflow_id}",
            within=within,
        )


class OfficialClient:
    """DBOSClient of the published package, in a process that answers one call after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, url: str, expression: str, *, application: str | None = None, **names: Any) -> Any:
        """The value of an expression about `client`; raises AssertionError with what it raised."""
        answer = self.ask(url, expression, application=application, **names)
        assert "raised" not in answer, f"{expression} with {names} raised {answer}"
        return answer["value"]

    def ask(self, url: str, expression: str, *, application: str | None = None, **names: Any) -> dict[str, Any]:
        """`{"value": …}`, or `{"raised": class, "text": …}`."""
        request = {"url": url, "application": application, "expression": expression, "names": names}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._lines.get(timeout=ANSWER_SECONDS))
        return answer

    def enqueue(self, url: str, options: Mapping[str, Any], *args: Any, **kwargs: Any) -> str:
        """The ID of what was enqueued."""
        text = "client.enqueue(options, *args, **kwargs).workflow_id"
        workflow_id: str = self.call(url, text, options=dict(options), args=args, kwargs=kwargs)
        return workflow_id

    def outcome(self, url: str, workflow_id: str) -> dict[str, Any]:
        """The outcome of a workflow once it ended, as `ask` tells it."""
        text = f"client.retrieve_workflow(workflow_id).get_result(polling_interval_sec={POLL_SECONDS})"
        return self.ask(url, text, workflow_id=workflow_id)

    def register_queue(self, url: str, name: str, *, application: str | None = None, **limits: Any) -> None:
        """Make a queue known, with a short polling interval."""
        limits = {"polling_interval_sec": POLL_SECONDS, **limits}
        self.call(
            url, "client.register_queue(name, **limits) and None", application=application, name=name, limits=limits
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)


def our_outcome(client: DBOSClient, workflow_id: str) -> dict[str, Any]:
    """The outcome of a workflow once it ended, told by our client as OfficialClient.ask tells it."""
    handle = client.retrieve_workflow(workflow_id)
    eventually(
        lambda: handle.get_status().status,
        lambda status: status in ENDED,
        what=f"end of {workflow_id}",
        within=WAIT_SECONDS,
    )
    try:
        value = handle.get_result(polling_interval_sec=POLL_SECONDS)
    except Exception as error:  # noqa: BLE001 -- whatever the workflow raised is the outcome
        return {"raised": f"{type(error).__module__}.{type(error).__qualname__}", "text": str(error)}
    return {"value": value}


@contextmanager
def official_client() -> Iterator[OfficialClient]:
    """The published package's client for the length of the block."""
    with start_peer(PROGRAMS / "desk.py") as process:
        try:
            yield OfficialClient(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=10)


@contextmanager
def our_worker(url: str, program: str = "jobs.py", **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`dbos worker` on a program for the length of the block; SIGTERM ends it, SIGKILL if that does not."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBOS")}
    environment |= _settings(url, "ours", variables) | {"DBOS_SHUTDOWN_GRACE_SEC": "2"}
    command = [str(dbos_command()), "worker", str(PROGRAMS / program)]
    with subprocess.Popen(command, env=environment, cwd=PROGRAMS, text=True) as process, _ended(process):
        yield process


@contextmanager
def official_worker(url: str, program: str = "jobs", **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The published package on a program for the length of the block."""
    environment = _settings(url, "theirs", variables)
    with start_peer(PROGRAMS / "serve.py", program, env=environment) as process, _ended(process):
        yield process


@contextmanager
def stopped(processes: Iterable[subprocess.Popen[str]]) -> Iterator[None]:
    """Hold processes still while the block runs."""
    held = list(processes)
    for process in held:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in held:
            process.send_signal(signal.SIGCONT)


def _settings(url: str, kind: str, variables: Mapping[str, str]) -> dict[str, str]:
    return {"DBOS_SYSTEM_DATABASE_URL": url, "APP": "interop", "KIND": kind, **variables}


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
