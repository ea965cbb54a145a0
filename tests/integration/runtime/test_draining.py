"""Work until nothing is left, then end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dbos import DBOS, DBOSClient, Queue, SetEnqueueOptions
from dbos.error import DBOSException
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

APPLICATION = """
from dbos import DBOS, Queue

DBOS(config={"name": "orders", "application_version": "v1"})
queue = Queue("work", worker_concurrency=2)

@DBOS.workflow(name="leaf")
def leaf(number):
    return number

@DBOS.workflow(name="tree")
def tree(number):
    return sum(handle.get_result() for handle in queue.enqueue_many(leaf, [(n,) for n in range(number)]))
"""


def _statuses(sql: Bystander) -> set[str]:
    return {row["status"] for row in sql.execute("SELECT status FROM dbos.workflow_status").fetchall()}


@pytest.mark.parametrize("how", ["sync", "async"])
def test_everything_that_waits_and_what_it_enqueues_is_done(launch: Launch, sql: Bystander, how: str) -> None:
    queue = Queue("work", worker_concurrency=3)

    @DBOS.workflow()
    def leaf(number: int) -> int:
        time.sleep(0.01)
        return number

    @DBOS.workflow()
    def tree(number: int) -> None:
        queue.enqueue_many(leaf, [(leaf_number,) for leaf_number in range(number)])

    launch()
    queue.enqueue_many(tree, [(5,)] * 4)

    if how == "sync":
        assert DBOS.run_until_drained()
    else:
        assert asyncio.run(DBOS.run_until_drained_async())
    assert _statuses(sql) == {"SUCCESS"}
    assert sql.execute("SELECT count(*) AS n FROM dbos.workflow_status").fetchone() == {"n": 24}


def test_what_is_not_for_this_process_is_not_waited_for(launch: Launch, client: DBOSClient) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    def work() -> None: ...

    launch()
    with SetEnqueueOptions(delay_seconds=3600):
        queue.enqueue(work)
    with SetEnqueueOptions(app_version="other"):
        queue.enqueue(work)
    client.enqueue({"workflow_name": "unknown", "queue_name": "work"})
    client.enqueue({"workflow_name": "work", "queue_name": "unregistered"})

    assert DBOS.run_until_drained(timeout_seconds=30)


def test_a_workflow_that_does_not_end_is_not_waited_for_longer_than_asked(launch: Launch) -> None:
    queue, release = Queue("work"), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        release.wait()

    launch()
    handle = queue.enqueue(work)

    assert not DBOS.run_until_drained(timeout_seconds=0.5)
    release.set()
    handle.get_result()
    assert DBOS.run_until_drained(timeout_seconds=30)


def test_a_worker_ends_when_no_work_is_left(
    database_url: str, client: DBOSClient, sql: Bystander, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    handles = client.enqueue_many({"workflow_name": "tree", "queue_name": "work"}, [(3,)])
    ended = subprocess.run(
        [sys.executable, "-c", "from dbos.cli.main import main; main()", "worker", "--until-drained", "app.py"],
        cwd=tmp_path,
        env={"DBOS_SYSTEM_DATABASE_URL": database_url, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert handles[0].get_result() == 3
    assert _statuses(sql) == {"SUCCESS"}


def test_it_needs_a_launch_and_no_event_loop(launch: Launch) -> None:
    with pytest.raises(DBOSException, match="not configured"):
        DBOS.run_until_drained()
    launch()

    async def blocking() -> None:
        DBOS.run_until_drained()

    with pytest.raises(RuntimeError, match="run_until_drained_async"):
        asyncio.run(blocking())
