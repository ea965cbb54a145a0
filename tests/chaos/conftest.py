"""An application whose effects are counted outside of the database that is attacked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from dbos import DBOSClient
from support.postgres import OwnPostgresServer, running_postgres
from support.waiting import eventually
from support.worker_process import WorkerProcess

APPLICATION = """
import os, time
from dbos import DBOS, Queue

DBOS(config={"name": "orders"})
Queue("work")
effects = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@DBOS.step()
def act(number):
    time.sleep(0.005)
    os.write(effects, f"{DBOS.workflow_id} {number}\\n".encode())
    return number

@DBOS.workflow(name="work")
def work():
    return [act(number) for number in range(4)]

@DBOS.workflow(name="parent")
def parent():
    children = [DBOS.start_workflow(work) for _ in range(2)]
    return act(9), [child.get_result() for child in children]
"""


@dataclass
class Site:
    """A database server, a worker's folder, and what is true of both."""

    server: OwnPostgresServer
    url: str
    folder: Path

    def worker(self) -> WorkerProcess:
        """A worker with the executor ID of the ones before it."""
        environment = {"DBOS_SYSTEM_DATABASE_URL": self.url, "DBOS__VMID": "pod-1", "DBOS__APPVERSION": "v1"}
        return WorkerProcess(self.folder, APPLICATION, environment=environment)

    def enqueue(self, count: int, workflow_name: str = "work") -> list[str]:
        """The IDs of new workflows."""
        with DBOSClient(system_database_url=self.url, application_name="orders") as client:
            options = {"workflow_name": workflow_name, "queue_name": "work", "app_version": "v1"}
            return [client.enqueue(options).workflow_id for _ in range(count)]  # type: ignore[arg-type]

    def effects(self) -> Counter[tuple[str, int]]:
        """How often each step of each workflow acted."""
        path = self.folder / "effects"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter((line.split()[0], int(line.split()[1])) for line in lines)

    def recorded_steps(self) -> set[tuple[str, int]]:
        """The steps that are recorded, as `effects` names them."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT workflow_uuid, function_id - 1 FROM dbos.operation_outputs WHERE function_name = 'act'"
            )
            return {(row[0], row[1]) for row in rows}

    def statuses(self) -> Counter[str]:
        """How many workflows are in each state."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("SELECT status, count(*) FROM dbos.workflow_status GROUP BY 1")
            return Counter({row[0]: row[1] for row in rows})

    def settle(self, count: int, worker: WorkerProcess, *, within: float = 90) -> None:
        """Wait until so many workflows succeeded and nothing else is left; each has exactly one outcome."""
        wanted = Counter({"SUCCESS": count})
        eventually(self.statuses, lambda now: now == wanted, within=within, explain=lambda: worker.said[-3000:])
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT count(*), count(DISTINCT workflow_uuid) FROM dbos.workflow_output WHERE output IS NOT NULL"
            ).fetchone()
            assert row == (count, count)


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnPostgresServer]:
    """A server that tests may stop, kill and start."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def site(own_server: OwnPostgresServer, tmp_path: Path) -> Site:
    """A fresh database on that server, and an empty folder."""
    return Site(own_server, own_server.create_database(), tmp_path)
