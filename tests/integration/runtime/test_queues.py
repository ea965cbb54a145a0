"""Queues: order, limits, priority, deduplication, delay, and what their rows say."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue, SetEnqueueOptions, SetWorkflowID
from dbos.api.runtime import engine
from dbos.error import DBOSException, DBOSQueueDeduplicatedError
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

Sql = Bystander


class Gauge:
    """How many run now, and how many ran at once at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("listen", [True, False])
def test_a_concurrency_of_one_runs_in_order_and_without_pauses(launch: Launch, listen: bool) -> None:
    queue = Queue("work", concurrency=1)
    order: list[int] = []
    gauge, go = Gauge(), threading.Event()

    @DBOS.workflow()
    def work(number: int) -> None:
        assert go.wait(60)
        with gauge:
            order.append(number)
            time.sleep(0.01)

    launch(use_listen_notify=listen)
    handles = [queue.enqueue(work, number) for number in range(20)]
    started = time.monotonic()
    go.set()
    for handle in handles:
        handle.get_result(polling_interval_sec=0.05)
    assert order == list(range(20))
    assert gauge.most == 1
    assert time.monotonic() - started < 15, "each end must make room at once, not at the next poll, a second later"


def test_worker_concurrency_bounds_what_runs_here(launch: Launch) -> None:
    queue = Queue("work", worker_concurrency=3)
    gauge, full, go = Gauge(), threading.Semaphore(0), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        with gauge:
            full.release()
            go.wait(60)

    launch()
    handles = [queue.enqueue(work) for _ in range(10)]
    for _ in range(3):
        assert full.acquire(timeout=30)
    assert not full.acquire(timeout=0.3)
    go.set()
    for handle in handles:
        handle.get_result()
    assert gauge.most == 3


def test_a_rate_limit_bounds_starts_in_any_period(launch: Launch, sql: Sql) -> None:
    queue = Queue("work", limiter={"limit": 3, "period": 0.6}, polling_interval_sec=0.1)

    @DBOS.workflow()
    def work() -> None: ...

    launch()
    for handle in [queue.enqueue(work) for _ in range(9)]:
        handle.get_result()
    rows = sql.execute("SELECT started_at_epoch_ms AS ms FROM dbos.workflow_status ORDER BY 1").fetchall()
    times = [row["ms"] for row in rows]
    assert all(later - earlier >= 600 for earlier, later in zip(times, times[3:], strict=False)), times


def test_lower_priorities_start_first_and_none_is_the_highest(launch: Launch) -> None:
    queue = Queue("work", concurrency=1)
    order: list[str] = []
    go = threading.Event()

    @DBOS.workflow()
    def work(name: str) -> None:
        if name == "first":
            go.wait(60)
        order.append(name)

    launch()
    handles = [queue.enqueue(work, "first")]
    eventually(lambda: handles[0].get_status().status, lambda status: status == "PENDING")
    for name, priority in (("low", 9), ("high", 1), ("low again", 9), ("none", None)):
        with SetEnqueueOptions(priority=priority):
            handles.append(queue.enqueue(work, name))
    go.set()
    for handle in handles:
        handle.get_result()
    assert order == ["first", "none", "high", "low", "low again"]


def test_a_deduplication_id_is_held_by_one_active_workflow_of_the_queue(launch: Launch) -> None:
    queue, other = Queue("work"), Queue("other")
    go = threading.Event()

    @DBOS.workflow()
    def work(number: int) -> int:
        go.wait(60)
        return number

    launch()
    with SetEnqueueOptions(deduplication_id="one"):
        first = queue.enqueue(work, 1)
        with pytest.raises(DBOSQueueDeduplicatedError) as caught:
            queue.enqueue(work, 2)
        elsewhere = other.enqueue(work, 3)
    assert (caught.value.queue_name, caught.value.deduplication_id) == ("work", "one")
    with SetEnqueueOptions(deduplication_id="one", duplication_policy="return-existing"):
        assert queue.enqueue(work, 4).workflow_id == first.workflow_id
    go.set()
    assert (first.get_result(), elsewhere.get_result()) == (1, 3)
    with SetEnqueueOptions(deduplication_id="one"):
        assert queue.enqueue(work, 5).get_result() == 5


def test_a_policy_for_duplicates_needs_an_id_by_which_there_can_be_one(launch: Launch) -> None:
    queue = Queue("work")

    @DBOS.workflow(name="work")
    def work() -> None: ...

    def by_options(**more: Any) -> str:
        options: Any = {"workflow_name": "work", "queue_name": "other", **more}
        return DBOS.enqueue_workflow_with_options(options).workflow_id

    launch()
    with SetEnqueueOptions(deduplication_id="one"), SetEnqueueOptions(duplication_policy="return-existing"):
        for enqueue in (lambda: queue.enqueue(work), lambda: queue.enqueue_many(work, [()]), by_options):
            with pytest.raises(DBOSException, match="duplication_policy: expected a deduplication_id"):
                enqueue()
        held = by_options(deduplication_id="two")
    with SetEnqueueOptions(deduplication_id="two"):
        assert by_options(duplication_policy="return-existing") == held
    with SetEnqueueOptions(duplication_policy="return-existing"), SetEnqueueOptions(deduplication_id="three"):
        queue.enqueue(work).get_result()
    by_options(duplication_policy=None)


def test_a_delayed_workflow_starts_once_its_delay_is_over(launch: Launch, sql: Sql) -> None:
    queue = Queue("work", polling_interval_sec=0.1)

    @DBOS.workflow()
    def work() -> None: ...

    launch()
    with SetEnqueueOptions(delay_seconds=3600):
        later = queue.enqueue(work)
    with SetEnqueueOptions(delay_seconds=0.6):
        soon = queue.enqueue(work)
    soon.get_result()
    assert later.get_status().status == "DELAYED"
    row = sql.execute(
        "SELECT delay_until_epoch_ms - created_at AS delay, started_at_epoch_ms - delay_until_epoch_ms AS late"
        " FROM dbos.workflow_status WHERE workflow_uuid = %s",
        [soon.workflow_id],
    ).fetchone()
    assert row is not None
    assert abs(row["delay"] - 600) < 500
    assert 0 <= row["late"] < 30_000


def test_the_same_id_is_enqueued_once(launch: Launch) -> None:
    queue = Queue("work")
    runs = []

    @DBOS.workflow()
    def work() -> int:
        runs.append(1)
        return len(runs)

    launch()
    for _ in range(3):
        with SetWorkflowID("same"):
            assert queue.enqueue(work).get_result() == 1
    assert len(runs) == 1


def test_only_the_named_version_runs_what_names_one(launch: Launch, sql: Sql) -> None:
    queue = Queue("work")

    @DBOS.workflow()
    def work() -> str:
        return DBOS.application_version

    launch()
    with SetEnqueueOptions(app_version="v2"):
        other = queue.enqueue(work)
    assert queue.enqueue(work).get_result() == "v1"
    assert other.get_status().status == "ENQUEUED"
    DBOS.destroy()
    launch(application_version="v2")
    assert DBOS.retrieve_workflow(other.workflow_id).get_result() == "v2"


def test_a_workflow_without_a_version_goes_to_the_latest_only(launch: Launch, client: DBOSClient, sql: Sql) -> None:
    Queue("work")

    @DBOS.workflow(name="work")
    def work() -> str:
        return DBOS.application_version

    launch(application_version="v1")
    sql.execute(
        "INSERT INTO dbos.application_versions (version_id, version_name, version_timestamp, application_name)"
        " VALUES ('x', 'v2', 9e15, 'orders')"
    )
    handle = client.enqueue({"workflow_name": "work", "queue_name": "work"})
    named = client.enqueue({"workflow_name": "work", "queue_name": "work", "app_version": "v1"})
    assert named.get_result(polling_interval_sec=0.05) == "v1"
    assert handle.get_status().status == "ENQUEUED"
    DBOS.destroy()
    launch(application_version="v2")
    assert handle.get_result(polling_interval_sec=0.05) == "v2"


def test_rows_of_other_applications_are_left_alone(launch: Launch, database_url: str) -> None:
    Queue("work")

    @DBOS.workflow(name="work")
    def work() -> int:
        return 1

    launch()
    options = {"workflow_name": "work", "queue_name": "work"}
    with DBOSClient(system_database_url=database_url, application_name="shop") as shop:
        foreign = shop.enqueue(options)  # type: ignore[arg-type]
        with DBOSClient(system_database_url=database_url) as anybody:
            assert anybody.enqueue(options).get_result(polling_interval_sec=0.05) == 1  # type: ignore[arg-type]
        assert foreign.get_status().status == "ENQUEUED"


def test_register_queue_writes_changes_and_reads_limits(launch: Launch) -> None:
    launch()
    queue = DBOS.register_queue("work", worker_concurrency=2, concurrency=4, limiter={"limit": 5, "period": 1.5})
    assert (queue.name, queue.worker_concurrency, queue.concurrency, queue.limiter) == (
        "work",
        2,
        4,
        {"limit": 5, "period": 1.5},
    )
    assert DBOS.register_queue("work", global_concurrency=9).global_concurrency == 9
    assert DBOS.register_queue("work", concurrency=1, on_conflict="never_update").concurrency == 9
    found = DBOS.retrieve_queue("work")
    assert found is not None
    assert (found.concurrency, found.worker_concurrency, found.limiter) == (9, None, None)
    assert DBOS.retrieve_queue("nothing") is None


async def test_queues_from_coroutines(launch: Launch) -> None:
    launch()
    queue = await DBOS.register_queue_async("work", concurrency=4, polling_interval_sec=0.5)
    assert (queue.concurrency, queue.polling_interval_sec) == (4, 0.5)
    found = await DBOS.retrieve_queue_async("work")
    assert found is not None
    assert found.concurrency == 4


def test_an_older_version_does_not_change_the_limits_of_the_latest(launch: Launch, sql: Sql) -> None:
    launch(application_version="v1")
    DBOS.destroy()
    Queue("declared", concurrency=2)
    launch(application_version="v2")
    DBOS.register_queue("registered", concurrency=2)
    DBOS.destroy(destroy_registry=True)
    Queue("declared", concurrency=1)
    launch(application_version="v1")
    assert DBOS.register_queue("registered", concurrency=1).concurrency == 2
    assert DBOS.register_queue("registered", concurrency=1, on_conflict="always_update").concurrency == 1
    rows = sql.execute("SELECT concurrency FROM dbos.queues WHERE name = 'declared'").fetchall()
    assert rows == [{"concurrency": 2}]


def test_limits_of_a_managed_queue_stay_as_its_resource_says(launch: Launch, sql: Sql) -> None:
    sql.execute("INSERT INTO dbos.queues (queue_id, name, concurrency, updated_at) VALUES ('k8s:a:b', 'work', 7, 0)")
    Queue("work", concurrency=1)
    launch()
    assert DBOS.register_queue("work", concurrency=2, on_conflict="always_update").concurrency == 7
    row = sql.execute("SELECT queue_id, updated_at, application_name FROM dbos.queues").fetchone()
    assert row == {"queue_id": "k8s:a:b", "updated_at": 0, "application_name": None}


def test_a_queue_of_another_application_is_refused(launch: Launch, sql: Sql) -> None:
    sql.execute("INSERT INTO dbos.queues (name, updated_at, application_name) VALUES ('work', 0, 'shop')")
    launch()
    with pytest.raises(DBOSException, match="belongs to application 'shop'"):
        DBOS.register_queue("work")


def test_changed_limits_hold_at_once(launch: Launch, sql: Sql) -> None:
    queue = Queue("work", worker_concurrency=1, polling_interval_sec=0.1)
    begun, go = threading.Semaphore(0), threading.Event()

    @DBOS.workflow()
    def work() -> None:
        begun.release()
        go.wait(90)

    launch()
    handles = [queue.enqueue(work) for _ in range(4)]
    assert begun.acquire(timeout=30)
    assert not begun.acquire(timeout=0.3)
    sql.execute("UPDATE dbos.queues SET worker_concurrency = 4 WHERE name = 'work'")
    for _ in range(3):
        assert begun.acquire(timeout=20)
    go.set()
    for handle in handles:
        handle.get_result()


STRANGE = [
    "worker_concurrency = 0",
    "concurrency = 0",
    "concurrency = -1",
    "rate_limit_max = 0, rate_limit_period_sec = 1",
    "rate_limit_max = 0",
    "rate_limit_period_sec = 5, rate_limit_max = -1",
    "rate_limit_max = 1, rate_limit_period_sec = 'infinity'",
    "polling_interval_sec = 0",
    "polling_interval_sec = 'NaN'",
    "worker_concurrency = 5, concurrency = 1",
]


def test_strange_rows_of_some_queues_stop_no_other(launch: Launch, sql: Sql) -> None:
    queue = Queue("work")
    strange = [Queue(f"strange-{number}") for number in range(len(STRANGE))]

    @DBOS.workflow()
    def work() -> int:
        return 1

    launch()
    for other, columns in zip(strange, STRANGE, strict=True):
        sql.execute(f"UPDATE dbos.queues SET {columns} WHERE name = %s", [other.name])  # type: ignore[arg-type]
    DBOS.register_queue("other")  # the queues are read again
    for other in strange:
        other.enqueue(work)
        assert DBOS.retrieve_queue(other.name) is not None
    assert queue.enqueue(work).get_result() == 1
    with SetEnqueueOptions(delay_seconds=0.01):
        assert queue.enqueue(work).get_result() == 1


def test_a_queue_that_is_suspended_by_zero_slots_starts_nothing(launch: Launch, sql: Sql) -> None:
    queue = Queue("work", worker_concurrency=1, polling_interval_sec=0.1)

    @DBOS.workflow()
    def work() -> int:
        return 1

    launch()
    sql.execute("UPDATE dbos.queues SET worker_concurrency = 0")
    eventually(
        lambda: engine().queues._queues.get("work"),
        lambda row: row is not None and row.limits.worker_concurrency == 0,
        what="look at the new limit",
    )
    handle = queue.enqueue(work)
    time.sleep(0.5)  # nothing tells that something does not happen
    assert handle.get_status().status == "ENQUEUED"
    sql.execute("UPDATE dbos.queues SET worker_concurrency = 1")
    assert handle.get_result() == 1


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"concurrency": -1}, r"^concurrency: expected 0 to"),
        ({"global_concurrency": -1}, r"^global_concurrency: expected 0 to"),
        ({"partition_concurrency": 0}, r"^partition_concurrency: expected 1 to"),
        ({"concurrency": 0, "partition_queue": True}, r"^concurrency: expected 1 to"),
        ({"limiter": {"limit": 0, "period": 1}, "partition_queue": True}, r"^limiter limit: expected 1"),
        ({"partition_limiter": {"limit": 0, "period": 1}}, r"^partition_limiter limit: expected 1"),
        ({"worker_concurrency": -1}, "worker_concurrency: expected 0 to"),
        ({"worker_concurrency": True}, "worker_concurrency: expected a whole number"),
        ({"concurrency": 1, "worker_concurrency": 2}, "at most the global concurrency 1"),
        ({"limiter": {"limit": 1}}, "limiter: expected"),
        ({"limiter": {"limit": -1, "period": 1}}, "limiter limit: expected 0"),
        ({"limiter": {"limit": 1, "period": 0}}, "period: expected more than 0"),
        ({"limiter": {"limit": 1, "period": float("inf")}}, "period: expected"),
        ({"polling_interval_sec": 0}, "polling_interval_sec: expected more than 0"),
        ({"polling_interval_sec": "1"}, "polling_interval_sec: expected seconds"),
        ({"concurrency": 1, "global_concurrency": 2}, "expected it once"),
    ],
)
def test_limits_that_cannot_be_are_refused_and_named(limits: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Queue("work", **limits)


@pytest.mark.parametrize("name", ["", " ", "_dbos_mine", "a\0"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="queue name"):
        Queue(name)


def test_a_name_is_declared_once() -> None:
    Queue("twice")
    with pytest.raises(ValueError, match="declared twice"):
        Queue("twice")
    DBOS.destroy(destroy_registry=True)
