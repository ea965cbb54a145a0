"""Several worker processes of one application on one database, whose effects are counted outside of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbos import DBOSClient
from dbos.store.dequeue import background_lock_key
from support.bystander import Bystander, bystander
from support.waiting import eventually
from support.worker_process import WorkerProcess

QUICK = {"heartbeat_sec": 0.4, "grace_sec": 2, "lease_sec": 5}
"""A fleet that need not wait long."""

_APPLICATION = """
import os, time
from dbos import DBOS, Queue

DBOS(config={{"name": "orders", "recovery": {recovery}, "use_listen_notify": {listen}}})
Queue("work", concurrency={concurrency})
effects = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@DBOS.step()
def act(what):
    os.write(effects, f"{{DBOS.workflow_id}} {{what}} {{os.getpid()}}\\n".encode())

@DBOS.step()
def wait_for_gate():
    os.write(effects, f"{{DBOS.workflow_id}} waits {{os.getpid()}}\\n".encode())
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)

def body():
    act("first")
    wait_for_gate()
    act("last")
    return "done"

@DBOS.workflow(name="work")
def work():
    return body()

@DBOS.workflow(name="fragile", max_recovery_attempts=0)
def fragile():
    return body()

@DBOS.workflow(name="parent")
def parent():
    return DBOS.start_workflow(work).get_result()
"""


@dataclass
class Fleet:
    """Workers with folders of their own, a gate that their workflows wait for, and what these did."""

    folder: Path
    url: str
    sql: Bystander
    stack: ExitStack
    recovery: dict[str, Any] = field(default_factory=lambda: dict(QUICK))
    listen: bool = True
    concurrency: int | None = None
    workers: list[WorkerProcess] = field(default_factory=list)

    def worker(self, executor: str = "local", *, version: str = "v1", **environment: str) -> WorkerProcess:
        """One more worker, once it serves."""
        folder = self.folder / f"worker-{len(self.workers)}"
        folder.mkdir()
        names = {
            "DBOS_SYSTEM_DATABASE_URL": self.url,
            "DBOS__VMID": executor,
            "DBOS__APPVERSION": version,
            "EFFECTS": str(self.folder / "effects"),
            "GATE": str(self.gate),
            **environment,
        }
        application = _APPLICATION.format(recovery=self.recovery, listen=self.listen, concurrency=self.concurrency)
        worker = self.stack.enter_context(WorkerProcess(folder, application, environment=names))
        self.workers.append(worker)
        worker.wait_for("launched")
        return worker

    @property
    def gate(self) -> Path:
        """The file that workflows wait for."""
        return self.folder / "gate"

    @property
    def client(self) -> DBOSClient:
        """A client of the application."""
        return self.stack.enter_context(DBOSClient(system_database_url=self.url, application_name="orders"))

    def enqueue(self, *ids: str, name: str = "work", version: str = "v1") -> None:
        """Put workflows on the queue."""
        client = self.client
        for workflow_id in ids:
            client.enqueue({
                "workflow_name": name, "queue_name": "work", "workflow_id": workflow_id, "app_version": version,
            })  # fmt: skip

    def move_apart(self) -> None:
        """Let every process so far look as if it ran on a machine of its own."""
        self.sql.execute("UPDATE dbos_runtime.executors SET machine = 'machine of ' || process_token")

    def connect_again(self) -> None:
        """Take a new connection: the server was restarted."""
        self.sql = self.stack.enter_context(bystander(self.url))

    def effects(self, *workflow_ids: str) -> Counter[tuple[str, str]]:
        """How often each workflow (of these) did what."""
        lines = [line.split() for line in self._lines()]
        return Counter((line[0], line[1]) for line in lines if not workflow_ids or line[0] in workflow_ids)

    def process_of(self, workflow_id: str, what: str = "waits") -> int:
        """The process that last did something for a workflow, once one has."""
        found = eventually(lambda: [line.split() for line in self._lines()], lambda lines: any(
            line[:2] == [workflow_id, what] for line in lines
        ), what=f"{what} of {workflow_id}", explain=self.said)  # fmt: skip
        return int([line for line in found if line[:2] == [workflow_id, what]][-1][2])

    def at(self, pid: int) -> WorkerProcess:
        """The worker of a process."""
        [worker] = [worker for worker in self.workers if worker.process.pid == pid]
        return worker

    def row(self, workflow_id: str) -> dict[str, Any]:
        """The row of a workflow."""
        rows = self.sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", (workflow_id,))
        row = rows.fetchone()
        assert row is not None
        return row

    def executors(self) -> dict[int, dict[str, Any]]:
        """What the processes say of themselves, by pid."""
        rows = self.sql.execute("SELECT * FROM dbos_runtime.executors").fetchall()
        return {row["pid"]: row for row in rows}

    def held_locks(self) -> set[int]:
        """The keys of the advisory locks that are held for longer than a sweep takes."""
        held = self.sql.execute("""
            SELECT classid::bigint << 32 | objid::bigint AS key FROM pg_locks
             WHERE locktype = 'advisory' AND objsubid = 1
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """).fetchall()
        return {row["key"] for row in held} - {background_lock_key("dbos", "orders")}

    def wait_for_status(self, workflow_id: str, status: str) -> dict[str, Any]:
        """The row of a workflow once it is in a state."""
        return eventually(
            lambda: self.row(workflow_id),
            lambda row: row["status"] == status,
            within=60,
            what=f"{status} of {workflow_id}",
            explain=self.said,
        )

    def said(self) -> str:
        """What the workers said, for the message of a failed test."""
        return "\n".join(f"--- {worker.process.pid}\n{worker.said[-2000:]}" for worker in self.workers)

    def _lines(self) -> list[str]:
        path = self.folder / "effects"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()


@contextmanager
def fleet_on(url: str, folder: Path, **options: Any) -> Iterator[Fleet]:
    """A fleet without workers yet; what it started is killed in the end."""
    with ExitStack() as stack:
        yield Fleet(folder, url, stack.enter_context(bystander(url)), stack, **options)
