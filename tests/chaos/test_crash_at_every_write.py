"""A process that dies before, or after, every fourth thing it writes: the program ends as if none ever had."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest

from chaos.conftest import Site
from dbos import DBOSClient
from support.waiting import eventually
from support.worker_process import WorkerProcess

PROGRAM = """
import itertools, os, signal
from dbos import DBOS, Queue, SendMessage
from dbos.store.database import SystemDatabase
from dbos.store.writer import GroupCommitWriter

moment, writes = os.environ["DIES"], itertools.count(1)

def dying(write):
    def wrapped(*args, **kwargs):
        last = next(writes) == 4
        if last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = write(*args, **kwargs)
        if last and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

# What workflows write: operations with their checkpoint; and steps, starts and outcomes.
SystemDatabase.transact = dying(SystemDatabase.transact)
GroupCommitWriter._write = dying(GroupCommitWriter._write)

DBOS(config={"name": "orders"})
Queue("work")
effects = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@DBOS.step()
def act(number):
    os.write(effects, f"{DBOS.workflow_id} {number}\\n".encode())
    return number

@DBOS.workflow(name="child")
def child(number):
    DBOS.send("inbox", number, "children")
    return act(number)

@DBOS.workflow(name="program")
def program():
    me = DBOS.workflow_id
    results = [act(1), DBOS.recv("first", 60), child(2)]
    background = DBOS.start_workflow(child, 3)
    DBOS.send("inbox", "one")
    DBOS.send_bulk([SendMessage("inbox", "two"), SendMessage("inbox", "three")])
    DBOS.set_event("state", "half")
    DBOS.write_stream("log", 1)
    DBOS.sleep(0.01)
    results += [background.get_result(), DBOS.recv("second", 60), DBOS.recv("third", 0)]
    DBOS.write_stream("log", 2)
    DBOS.close_stream("log")
    DBOS.set_event("state", "done")
    results += [DBOS.get_event(me, "state", 60), list(DBOS.read_stream(me, "log"))]
    return [*results, act(4)]

@DBOS.workflow(name="inbox")
def inbox():
    return None
"""
# Dozens of processes in a row: more than a minute even on a quiet machine.
pytestmark = pytest.mark.timeout(900)

RESULT = [1, "a", 2, 3, "b", None, "done", [1, 2], 4]
MOST_RUNS = 70


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_program_ends_as_if_nothing_had_happened(site: Site, moment: str) -> None:
    environment = {"DBOS_SYSTEM_DATABASE_URL": site.url, "DBOS__VMID": "pod-1", "DBOS__APPVERSION": "v1"}
    with DBOSClient(system_database_url=site.url, application_name="orders") as client:
        for name in ("inbox", "program"):
            client.enqueue({"workflow_name": name, "queue_name": "work", "workflow_id": name, "app_version": "v1"})
        client.send("program", "a", "first", "key-a")
        client.send("program", "b", "second", "key-b")
        runs = 0
        while site.statuses()["SUCCESS"] < 4:
            runs += 1
            assert runs < MOST_RUNS, site.statuses()
            with WorkerProcess(site.folder, PROGRAM, environment={**environment, "DIES": moment}) as worker:
                eventually(
                    lambda: (worker.process.poll(), site.statuses()),
                    lambda now: now[0] is not None or now[1]["SUCCESS"] == 4,
                    within=90,
                    explain=lambda: worker.said[-3000:],
                )
        assert runs > 4
        assert client.retrieve_workflow("program").get_result() == RESULT
        assert list(client.read_stream("program", "log")) == [1, 2]
    _check_rows(site)
    assert {number for _, number in site.effects()} == {1, 2, 3, 4}
    # A step may run again in each run that died while it was in flight: before its outcome was recorded.
    assert all(times <= runs for times in site.effects().values()), site.effects()
    assert sum(site.effects().values()) < 4 * 3 + (runs if moment == "before" else 0)


def _check_rows(site: Site) -> None:
    with psycopg.connect(site.url) as sql:
        sent = sql.execute("SELECT topic, message FROM dbos.notifications WHERE destination_uuid = 'inbox'").fetchall()
        assert len(sent) == len(set(sent)) == 5
        streamed = sql.execute('SELECT "offset" FROM dbos.streams ORDER BY 1').fetchall()
        assert [offset for (offset,) in streamed] == [0, 1, 2]
        taken = sql.execute(
            "SELECT topic, consumed_by_function_id FROM dbos.notifications WHERE destination_uuid = 'program'"
        ).fetchall()
        names = sql.execute(
            "SELECT function_name FROM dbos.operation_outputs WHERE workflow_uuid = 'program' ORDER BY function_id"
        ).fetchall()
        outcomes = sql.execute("SELECT count(*) FROM dbos.workflow_output").fetchone()
    assert {topic for topic, by in taken if by is not None} == {"first", "second"}
    assert Counter(name for (name,) in names) == {
        "act": 2,
        "child": 2,
        "DBOS.getResult": 2,
        "DBOS.send": 1,
        "DBOS.send_bulk": 1,
        "DBOS.recv": 3,
        "DBOS.sleep": 5,
        "DBOS.setEvent": 2,
        "DBOS.getEvent": 1,
        "DBOS.writeStream": 2,
        "DBOS.closeStream": 1,
        "DBOS.readStream": 3,
    }
    assert outcomes == (4,)
