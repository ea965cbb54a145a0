"""Workers of both kinds serve one queue: no limit is exceeded, and no workflow runs twice."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from dbos import DBOSClient
from integration.interoperability.parties import Database, OfficialClient, official_worker, our_worker, stopped
from support.waiting import eventually

pytestmark = pytest.mark.timeout(400)  # four workers to start, which a busy machine stretches
EACH_KIND = 2
NAMES = {"DBOS__APPVERSION": "fleet-1", "APP": "fleet"}
RUNS = """
    SELECT w.workflow_uuid, w.priority, w.created_at, w.started_at_epoch_ms AS started, w.recovery_attempts AS attempts,
           w.status, n.kind, n.process, n.at, n.ended
      FROM dbos.workflow_status w LEFT JOIN public.notes n ON n.workflow_id = w.workflow_uuid
     WHERE w.queue_name = %s ORDER BY n.id
"""
ENQUEUE_MANY = "[client.enqueue({**options, **more}, *args).workflow_id for more, args in each]"

Row = dict[str, Any]


@dataclass(frozen=True)
class Fleet:
    """A mixed fleet on one database."""

    database: Database
    official: OfficialClient
    client: DBOSClient
    ours: list[subprocess.Popen[str]]

    def enqueue(self, queue: str, workflow: str, each: list[tuple[dict[str, Any], list[Any]]]) -> None:
        """Put workflows on a queue, by both clients in turn."""
        options = {"workflow_name": workflow, "queue_name": queue, "app_version": NAMES["DBOS__APPVERSION"]}
        half = len(each) // 2
        for more, args in each[:half]:
            self.client.enqueue({**options, **more}, *args)  # type: ignore[typeddict-item]
        self.official.call(self.database.url, ENQUEUE_MANY, options=options, each=each[half:])

    def open(self, queue: str, **limits: Any) -> None:
        """Let every worker find a queue."""
        self.official.register_queue(self.database.url, queue, application="fleet", **limits)

    def wait_for_running(self, queue: str, count: int) -> list[Row]:
        """The runs of a queue, once so many have begun."""
        return eventually(
            lambda: [row for row in self.database.rows(RUNS, queue) if row["kind"] is not None],
            lambda rows: len(rows) >= count,
            what=f"{count} runs on {queue}",
            within=90,
        )

    def finished(self, queue: str, *, within: float = 120.0) -> list[Row]:
        """The runs of a queue once all ended, in the order of their beginning: one run for each workflow."""
        runs = eventually(
            lambda: self.database.rows(RUNS, queue),
            lambda rows: all(row["status"] == "SUCCESS" for row in rows),
            what=f"end of everything on {queue}",
            within=within,
        )
        assert {row["attempts"] for row in runs} == {1}
        assert set(Counter(row["workflow_uuid"] for row in runs).values()) == {1}
        return runs


@pytest.fixture(scope="module")
def fleet(database: Database, official: OfficialClient, client: DBOSClient) -> Iterator[Fleet]:
    """Two workers of each kind, of one application and version."""
    with ExitStack() as stack:
        ours = []
        for number in range(EACH_KIND):
            worker = our_worker(database.url, "fleet.py", DBOS__VMID=f"ours-{number}", **NAMES)
            ours.append(stack.enter_context(worker))
            stack.enter_context(official_worker(database.url, "fleet", DBOS__VMID=f"theirs-{number}", **NAMES))
        fleet = Fleet(database, official, client, ours)
        fleet.enqueue("everybody", "queue_up", [({}, ["everybody"])] * 2 * EACH_KIND)
        fleet.open("everybody", worker_concurrency=1)
        fleet.wait_for_running("everybody", 2 * EACH_KIND)
        database.open_gate("everybody")
        yield fleet


def test_each_worker_runs_as_many_as_its_own_limit_allows(fleet: Fleet) -> None:
    each_worker, workers = 2, 2 * EACH_KIND
    fleet.enqueue("per-worker", "queue_up", [({}, ["per-worker"])] * (each_worker * workers + 6))
    fleet.open("per-worker", worker_concurrency=each_worker)
    running = fleet.wait_for_running("per-worker", each_worker * workers)
    assert set(Counter(row["process"] for row in running).values()) == {each_worker}
    fleet.database.open_gate("per-worker")
    runs = fleet.finished("per-worker")
    for process in {row["process"] for row in runs}:
        assert most_at_once(row for row in runs if row["process"] == process) <= each_worker


@pytest.mark.parametrize("limit", [1, 3])
def test_a_global_concurrency_holds_over_all_workers(fleet: Fleet, limit: int) -> None:
    queue = f"global-{limit}"
    fleet.enqueue(queue, "queue_up", [({}, [queue])] * 6)
    fleet.enqueue(queue, "occupy", [({}, [0.01])] * 150)
    with most_pending(fleet.database, queue) as pending:
        fleet.open(queue, global_concurrency=limit, worker_concurrency=1)
        running = fleet.wait_for_running(queue, limit)
        if limit > EACH_KIND:  # more than the workers of one kind may hold
            assert {row["kind"] for row in running} == {"ours", "theirs"}
        eventually(lambda: max(pending), lambda most: most >= limit, what="look at all that runs")
        fleet.database.open_gate(queue)
        runs = fleet.finished(queue)
    assert most_at_once(runs) == limit
    assert max(pending) == limit


def test_a_rate_limit_holds_over_all_workers(fleet: Fleet) -> None:
    limit, period = 4, 1.0
    fleet.enqueue("rated", "queue_up", [({}, ["rated"])] * 2 * EACH_KIND)
    fleet.enqueue("rated", "occupy", [({}, [0.01])] * 14)  # without the limit a matter of a second
    fleet.open("rated", limiter={"limit": limit, "period": period}, worker_concurrency=1)
    fleet.wait_for_running("rated", 2 * EACH_KIND)  # one of each worker: both kinds take part
    fleet.database.open_gate("rated")
    runs = fleet.finished("rated")
    started = sorted(row["started"] for row in runs)
    assert min(later - earlier for earlier, later in zip(started, started[limit:], strict=False)) >= period * 1000
    assert {row["kind"] for row in runs} == {"ours", "theirs"}


def test_the_order_is_by_priority_then_by_age_over_all_workers(fleet: Fleet) -> None:
    priorities = [5, 1, 9, None, 2, 5, 1, None, 3, 9, 2, 7, 4, 1] * 3
    fleet.enqueue("sorted", "occupy", [({} if rank is None else {"priority": rank}, [0.03]) for rank in priorities])
    fleet.enqueue("sorted", "queue_up", [({"priority": 1, "workflow_id": "in-between"}, ["sorted"])])
    with stopped(fleet.ours):  # ours would otherwise hear of a free slot before theirs look
        fleet.open("sorted", global_concurrency=1)
        fleet.database.wait_for_note("in-between", "run")
    # Theirs began, and hold the slot until ours are awake to take their share of the many that are left.
    fleet.enqueue("awake", "queue_up", [({}, ["awake"])] * 2 * EACH_KIND)
    fleet.open("awake", worker_concurrency=1)
    fleet.wait_for_running("awake", 2 * EACH_KIND)
    fleet.database.open_gate("awake")
    fleet.database.open_gate("sorted")
    runs = fleet.finished("sorted")
    order = [(row["priority"], row["created_at"]) for row in runs]
    assert order == sorted(order)
    assert [rank for rank, _ in order] == sorted(rank or 0 for rank in [*priorities, 1])
    assert {row["kind"] for row in runs} == {"ours", "theirs"}
    assert most_at_once(runs) == 1


def test_a_queue_without_limits_is_shared_and_nothing_runs_twice(fleet: Fleet) -> None:
    fleet.enqueue("open", "occupy", [({}, [0.02])] * 200)
    fleet.open("open")
    assert len(fleet.finished("open")) == 200


@pytest.mark.parametrize(
    ("name", "limits", "most", "each_worker"),  # our workers alone cannot fill the partitions
    [
        ("lanes-1", {"partition_concurrency": 1}, 1, 1),
        ("lanes-3", {"partition_concurrency": 3}, 3, 3),
        ("lanes-both", {"partition_concurrency": 2, "global_concurrency": 5, "partition_worker_concurrency": 1}, 2, 2),
    ],
)
def test_the_limit_of_a_partition_holds_over_all_workers(
    fleet: Fleet, name: str, limits: dict[str, Any], most: int, each_worker: int
) -> None:
    lanes = ["a", "b", "c", "d"]
    fleet.enqueue(name, "queue_up", [({"queue_partition_key": lane}, [name]) for lane in lanes * most])
    fleet.enqueue(name, "occupy", [({"queue_partition_key": lane}, [0.03]) for lane in lanes * 20])
    fleet.open(name, worker_concurrency=each_worker, **limits)
    running = fleet.wait_for_running(name, EACH_KIND * each_worker + 1)
    assert {row["kind"] for row in running} == {"ours", "theirs"}
    fleet.database.open_gate(name)
    runs = fleet.finished(name)
    keys = {
        row["workflow_uuid"]: row["queue_partition_key"]
        for row in fleet.database.rows(
            "SELECT workflow_uuid, queue_partition_key FROM dbos.workflow_status WHERE queue_name = %s", name
        )
    }
    for lane in lanes:
        assert most_at_once(row for row in runs if keys[row["workflow_uuid"]] == lane) <= most
    assert most_at_once(runs) <= limits.get("global_concurrency", each_worker * 2 * EACH_KIND)


def test_starts_in_a_partition_keep_its_rate_over_all_workers(fleet: Fleet) -> None:
    each = [({"queue_partition_key": lane}, [0.01]) for lane in ("a", "b") for _ in range(6)]
    fleet.enqueue("lanes-rated", "occupy", each)
    fleet.open("lanes-rated", partition_limiter={"limit": 2, "period": 1.0})
    fleet.finished("lanes-rated")
    rows = fleet.database.rows(
        "SELECT queue_partition_key AS lane, started_at_epoch_ms AS started FROM dbos.workflow_status"
        " WHERE queue_name = 'lanes-rated' ORDER BY started_at_epoch_ms"
    )
    for lane in ("a", "b"):
        started = [row["started"] for row in rows if row["lane"] == lane]
        assert min(later - earlier for earlier, later in zip(started, started[2:], strict=False)) >= 1000


def most_at_once(runs: Iterable[Row]) -> int:
    """How many runs there were at one moment, at most."""
    changes = sorted(change for row in runs for change in ((row["at"], 1), (row["ended"], -1)))
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


@contextmanager
def most_pending(database: Database, queue: str) -> Iterator[list[int]]:
    """How many workflows of a queue were PENDING whenever somebody looked, while the block runs."""
    seen, over = [0], threading.Event()

    def look() -> None:
        query = b"SELECT count(*) FROM dbos.workflow_status WHERE queue_name = %s AND status = 'PENDING'"
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not over.wait(0.005):
                ((count,),) = connection.execute(query, (queue,)).fetchall()
                seen.append(count)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
