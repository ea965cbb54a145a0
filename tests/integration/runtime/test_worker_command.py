"""`dbos worker`: what it loads, how it says what is wrong, what it takes from the environment."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbos import DBOSClient
from support.ports import free_port
from support.worker_process import WorkerProcess, dbos_command

APPLICATION = """
from dbos import DBOS, Queue
{before}
DBOS(config={{"name": "orders"{config}}})
Queue("work")

@DBOS.workflow(name="identity")
def identity():
    print("ran as", __name__, flush=True)
    return [DBOS.executor_id, DBOS.application_version]
{after}
"""


def _application(before: str = "", config: str = "", after: str = "") -> str:
    return APPLICATION.format(before=before, config=config, after=after)


def _run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a worker that is expected to end by itself."""
    return subprocess.run(
        [dbos_command(), "worker", *arguments],
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """What the Deployment of a worker sets."""
    return {"DBOS_SYSTEM_DATABASE_URL": database_url, "DBOS__VMID": "pod-1", "DBOS__APPVERSION": "v9"}


def _ask(url: str) -> Any:
    with DBOSClient(system_database_url=url) as client:
        handle = client.enqueue({"workflow_name": "identity", "queue_name": "work", "app_version": "v9"})
        return handle.get_result(polling_interval_sec=0.05)


def test_it_serves_until_sigterm_and_ends_with_0(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    with WorkerProcess(tmp_path, _application(), environment=environment) as worker:
        assert _ask(database_url) == ["pod-1", "v9"]
        assert "ran as app" in worker.wait_for("ran as"), "the module is imported, never run as __main__"
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.said
        assert "Stopped" in worker.said


def test_sigint_stops_it_as_sigterm_does(tmp_path: Path, environment: dict[str, str]) -> None:
    with WorkerProcess(tmp_path, _application(), environment=environment) as worker:
        worker.wait_for("launched")
        worker.signal(signal.SIGINT)
        assert worker.ended() == 0, worker.said


def test_a_module_that_launches_itself_is_served_as_it_is(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    with WorkerProcess(tmp_path, _application(after="DBOS.launch()"), environment=environment) as worker:
        assert _ask(database_url) == ["pod-1", "v9"]
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.said
        assert worker.said.count("DBOS launched") == 1
        assert "launched already" not in worker.said


def test_a_dotted_module_of_the_working_directory_is_found(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "names.py").write_text("NAME = 'orders'\n")
    (package / "main.py").write_text(_application(before="from shop import names"))
    environment["PATH"] = "/usr/bin:/bin"
    command = [dbos_command(), "worker", "shop.main"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        try:
            assert _ask(database_url) == ["pod-1", "v9"]
            worker.terminate()
            assert worker.wait(60) == 0
        finally:
            worker.kill()


def test_the_configuration_wins_over_the_environment(
    tmp_path: Path, database_url: str, environment: dict[str, str]
) -> None:
    environment["DBOS_SYSTEM_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    config = f', "system_database_url": "{database_url}", "executor_id": "mine"'
    with WorkerProcess(tmp_path, _application(config=config), environment=environment):
        assert _ask(database_url) == ["mine", "v9"]


def test_metrics_are_served_where_the_environment_says(tmp_path: Path, environment: dict[str, str]) -> None:
    port = free_port()
    environment |= {"DBOS_METRICS_PORT": str(port), "DBOS_METRICS_HOST": "127.0.0.1"}
    with WorkerProcess(tmp_path, _application(), environment=environment) as worker:
        worker.wait_for("launched")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert b'dbos_executor_info{application="orders",executor="pod-1",version="v9"} 1.0' in answer.read()


def test_it_recovers_what_its_executor_id_left(tmp_path: Path, database_url: str, environment: dict[str, str]) -> None:
    with WorkerProcess(tmp_path, _application(), environment=environment) as worker:
        worker.wait_for("launched")
    with DBOSClient(system_database_url=database_url) as client:
        handle = client.enqueue({"workflow_name": "identity", "queue_name": "work", "app_version": "v9"})
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'pod-1'")
        with WorkerProcess(tmp_path, _application(), environment=environment):
            assert handle.get_result(polling_interval_sec=0.05) == ["pod-1", "v9"]


@pytest.mark.parametrize("file", ["missing.py", "no_such_module", "folder", "text.txt"])
def test_what_is_no_application_ends_with_2(tmp_path: Path, file: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("no python")
    done = _run(tmp_path, file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"dbos worker: {file}: expected "), done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_without_dbos_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = 1\n")
    done = _run(tmp_path, "app.py")
    assert done.returncode == 2
    assert done.stderr == "dbos worker: app.py: expected a module that calls DBOS(config=…), found none\n"


@pytest.mark.parametrize("text", ["import no_such_module_anywhere", "raise RuntimeError('broken')", "def"])
def test_a_module_that_cannot_be_loaded_ends_with_2_and_shows_why(tmp_path: Path, text: str) -> None:
    (tmp_path / "app.py").write_text(text)
    done = _run(tmp_path, "app.py")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("dbos worker: app.py: "), done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DBOS_SYSTEM_DATABASE_URL": "mysql://h/x"}, "expected a postgresql:// URL, got mysql://"),
        ({"DBOS_SYSTEM_DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"}, "127.0.0.1:1/x cannot be used"),
        ({"DBOS_SHUTDOWN_GRACE_SEC": "soon"}, "DBOS_SHUTDOWN_GRACE_SEC: expected seconds, 0 or more, got 'soon'"),
        ({"DBOS_METRICS_PORT": "http"}, "DBOS_METRICS_PORT: expected a port"),
    ],
)
def test_settings_that_cannot_be_used_end_with_2_and_one_line(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    (tmp_path / "app.py").write_text(_application())
    done = _run(tmp_path, "app.py", **environment)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("dbos worker: "), done.stderr
    assert said in last
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_port_in_use_ends_with_2(tmp_path: Path, environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        (tmp_path / "app.py").write_text(_application())
        done = _run(tmp_path, "app.py", **environment, DBOS_METRICS_PORT=port, DBOS_METRICS_HOST="127.0.0.1")
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr.splitlines()[-1]


def test_help_and_version(tmp_path: Path) -> None:
    assert "DBOS_SHUTDOWN_GRACE_SEC" in _run(tmp_path, "--help").stdout
    done = subprocess.run([dbos_command(), "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("dbos, version ")


def test_outside_of_the_command_ctrl_c_ends_a_program_as_ever(tmp_path: Path, database_url: str) -> None:
    config = f', "system_database_url": "{database_url}"'
    script = _application(config=config, after="import threading\nDBOS.launch()\nthreading.Event().wait()")
    with WorkerProcess(tmp_path, script, as_script=True) as program:
        program.wait_for("launched")
        program.signal(signal.SIGINT)
        assert program.ended() != 0
        assert "KeyboardInterrupt" in program.said
    assert sys.executable
