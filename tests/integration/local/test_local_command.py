"""`dbos-operator local` as a person calls it: what it refuses, what it runs, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dbos import DBOSClient
from support.local_process import LocalProcess

APP = """
import os, time
from dbos import DBOS

DBOS(config={"name": "orders"})

@DBOS.workflow()
def ship(order):
    if order == "bad":
        raise ValueError("cannot be shipped")
    return wait_for(order)

@DBOS.step()
def wait_for(order):
    if order == "slow":
        print("slow has begun", flush=True)
        time.sleep(2)
    return os.environ["DBOS__VMID"]
"""
MANIFESTS = """
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata: {name: default}
spec: {secretRef: {name: db, key: url}}
---
apiVersion: dbos.dev/v1beta1
kind: DBOSQueue
metadata: {name: orders}
spec:
  workerConcurrency: 4
  scaling: {targetRef: {name: worker}, maxReplicas: 2, idleAfter: 1s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
      - name: worker
        command: [dbos, worker, app.py]
"""


def fill(folder: Path) -> Path:
    (folder / "app.py").write_text(APP)
    (folder / "app.yaml").write_text(MANIFESTS)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the account of PostgreSQL may enter: root's own are closed by every pytest that starts."""
    with tempfile.TemporaryDirectory(prefix="dbos-local-", ignore_cleanup_errors=True) as folder:
        yield fill(Path(folder))


@pytest.fixture
def start() -> Iterator[Callable[..., LocalProcess]]:
    started: list[LocalProcess] = []

    def start(*arguments: str | Path, **environment: str) -> LocalProcess:
        started.append(LocalProcess(*arguments, **environment))
        return started[-1]

    yield start
    for process in started:
        process.end()


Start = Callable[..., LocalProcess]


def enqueue(url: str, *orders: str) -> None:
    with DBOSClient(system_database_url=url) as client:
        for order in orders:
            client.enqueue({"workflow_name": "ship", "queue_name": "orders", "workflow_id": order}, order)


def statuses(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT workflow_uuid, status FROM dbos.workflow_status").fetchall())


def refused(process: LocalProcess) -> str:
    assert process.wait() == 2, process.text
    assert len(process.lines) == 1, process.text
    assert process.lines[0].startswith("dbos-operator local: ")
    return process.lines[0].removeprefix("dbos-operator local: ")


def test_a_path_that_does_not_exist_is_refused(start: Start, tmp_path: Path) -> None:
    assert refused(start(tmp_path / "none")) == f"{tmp_path}/none: no such file or folder"


def test_an_empty_folder_is_refused(start: Start, tmp_path: Path) -> None:
    assert refused(start(tmp_path)).startswith(
        f"{tmp_path}: no DBOSDatabase, DBOSQueue, DBOSSchedule in 0 YAML file(s)"
    )


def test_broken_yaml_is_refused_with_its_line(start: Start, folder: Path) -> None:
    (folder / "broken.yaml").write_text("kind: DBOSQueue\nspec: [\n")

    assert refused(start(folder)).startswith(f"{folder}/broken.yaml:3: not YAML: ")


def test_an_invalid_object_is_refused_with_its_field(start: Start, folder: Path) -> None:
    (folder / "app.yaml").write_text(MANIFESTS.replace("workerConcurrency: 4", "workerConcurrency: 0"))

    assert refused(start(folder)) == f"{folder}/app.yaml:11: spec.workerConcurrency: expected at least 1, got 0"


def test_a_url_of_another_database_is_refused(start: Start, folder: Path) -> None:
    assert refused(start(folder, "--database", "sqlite:///a.db")) == (
        "DBOSDatabase default/default: expected a postgresql:// URL, got sqlite://"
    )


def test_a_database_that_cannot_be_reached_is_refused_without_showing_the_password(start: Start, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        line = refused(start(folder, "--database", f"postgresql://u:hidden@127.0.0.1:{taken.getsockname()[1]}/d"))

    assert line.startswith("DBOSDatabase default/default: ")
    assert "refused" in line
    assert "hidden" not in line


def test_an_option_that_cannot_be_read_is_refused_by_its_variable(start: Start, folder: Path) -> None:
    process = start(folder, DBOS_OPERATOR_DURATION="soon")

    assert process.wait() == 2
    assert process.lines[-1].startswith("dbos-operator: DBOS_OPERATOR_DURATION: expected a duration")


def test_until_idle_runs_what_is_there_and_ends_with_success(start: Start, folder: Path, database_url: str) -> None:
    enqueue(database_url, *(f"order-{number}" for number in range(10)))

    process = start(folder, "--database", database_url, "--until-idle", "--tick", "200ms")

    assert process.wait() == 0, process.text
    assert set(statuses(database_url).values()) == {"SUCCESS"}
    assert process.lines[-1].endswith("dbos-operator | idle; 0 workflow(s) failed")
    assert not list((folder / ".dbos" / "pods").iterdir())


def test_until_idle_ends_with_one_when_a_workflow_failed(start: Start, folder: Path, database_url: str) -> None:
    enqueue(database_url, "good", "bad")

    process = start(folder, "--database", database_url, "--until-idle", "--tick", "200ms")

    assert process.wait() == 1, process.text
    assert statuses(database_url) == {"good": "SUCCESS", "bad": "ERROR"}


def test_the_duration_ends_a_run(start: Start, folder: Path, database_url: str) -> None:
    process = start(folder, "--database", database_url, "--duration", "500ms")

    assert process.wait() == 0
    assert process.lines[-1].endswith("the time is up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_workers_finish_first(
    start: Start, folder: Path, database_url: str, number: signal.Signals
) -> None:
    enqueue(database_url, "slow")
    process = start(folder, "--database", database_url, "--tick", "200ms")
    process.wait_for(lambda line: "slow has begun" in line)

    process.process.send_signal(number)

    assert process.wait() == 0, process.text
    assert statuses(database_url) == {"slow": "SUCCESS"}


def test_a_second_supervisor_of_the_same_folder_is_refused(start: Start, folder: Path, database_url: str) -> None:
    first = start(folder, "--database", database_url)
    first.wait_for(lambda line: line.endswith("DBOSQueue/orders | Ready"))

    line = refused(start(folder, "--database", database_url))

    assert line == f"another dbos-operator local (process {first.process.pid}) already runs {folder}"


@pytest.mark.timeout(300)
def test_without_a_url_an_embedded_postgres_is_used_and_kept(open_folder: Path, start: Start) -> None:
    first = start(open_folder, "--until-idle", "--tick", "200ms")
    assert first.wait() == 0, first.text
    process = start(open_folder, "--tick", "200ms")
    process.wait_for(lambda line: line.endswith("DBOSQueue/orders | Ready"))
    (url,) = json.loads((open_folder / ".dbos" / "databases.json").read_text()).values()
    enqueue(url, "order")
    process.wait_for(lambda line: "stopping" in line)
    assert statuses(url) == {"order": "SUCCESS"}

    process.process.send_signal(signal.SIGTERM)

    assert process.wait() == 0
    assert "created the row 'orders'" in first.text
    assert "created the row 'orders'" not in process.text
