"""Partitioned queues: each key is a lane with limits of its own; limits are read and changed while workers run."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dbos import (
    DBOS,
    DBOSClient,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowSerializationFormat,
)
from dbos.api.runtime import engine
from dbos.error import DBOSException
from integration.runtime.callers import Caller
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


class Lanes:
    """A workflow that waits, and how many of each lane run and ran at once."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[tuple[str, int]] = []
        self.go = threading.Event()
        self._lock = threading.Lock()

        @DBOS.workflow(name="lane")
        def lane(key: str, number: int) -> None:
            with self._lock:
                self.now[key] += 1
                self.most[key] = max(self.most[key], self.now[key])
                self.order.append((key, number))
            assert self.go.wait(60)
            with self._lock:
                self.now[key] -= 1

        self.workflow: Callable[[str, int], None] = lane

    def enqueue(self, queue: str, key: str, count: int, **options: Any) -> list[Any]:
        """Put workflows into a lane."""
        with SetEnqueueOptions(queue_partition_key=key, **options):
            return [DBOS.enqueue_workflow(queue, self.workflow, key, number) for number in range(count)]

    def wait_for(self, **running: int) -> None:
        """Wait until so many run in each lane."""
        eventually(lambda: dict(self.now), lambda now: now == running, what=f"{running} running")


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


def test_one_at_a_time_runs_in_each_lane_in_order(launch: Launch, lanes: Lanes) -> None:
    queue = Queue("work", partition_queue=True, concurrency=1)
    launch()
    assert (queue.partition_concurrency, queue.concurrency) == (1, None)
    handles = [handle for key in ("a", "b", "") for handle in lanes.enqueue("work", key or "c", 4)]
    lanes.wait_for(a=1, b=1, c=1)
    lanes.go.set()
    for handle in handles:
        handle.get_result(polling_interval_sec=0.05)
    assert lanes.most == {"a": 1, "b": 1, "c": 1}
    for key in ("a", "b", "c"):
        assert [number for lane, number in lanes.order if lane == key] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("limits", "running"),
    [
        ({"partition_concurrency": 2}, {"a": 2, "b": 2, "c": 1}),
        ({"partition_worker_concurrency": 2}, {"a": 2, "b": 2, "c": 1}),
        ({"partition_concurrency": 3, "partition_worker_concurrency": 2}, {"a": 2, "b": 2, "c": 1}),
        ({"partition_limiter": {"limit": 2, "period": 3600}}, {"a": 2, "b": 2, "c": 1}),
    ],
)
def test_limits_hold_in_each_lane(
    launch: Launch, lanes: Lanes, limits: dict[str, Any], running: dict[str, int]
) -> None:
    launch()
    DBOS.register_queue("work", **limits)
    for key, count in (("a", 4), ("b", 3), ("c", 1)):
        lanes.enqueue("work", key, count)
    lanes.wait_for(**running)
    lanes.go.set()
    if "partition_limiter" not in limits:
        eventually(lambda: len(lanes.order), lambda count: count == 8, what="all runs")
    else:
        eventually(lambda: sum(lanes.now.values()), lambda count: count == 0, what="their end")
        assert len(lanes.order) == 5
    assert all(lanes.most[key] <= 2 for key in running)


def test_limits_of_the_queue_hold_beside_those_of_its_lanes(launch: Launch, lanes: Lanes) -> None:
    launch()
    DBOS.register_queue("work", partition_concurrency=2, global_concurrency=3)
    for key in ("a", "b", "c"):
        lanes.enqueue("work", key, 3)
    eventually(lambda: sum(lanes.now.values()), lambda count: count == 3, what="three at once")
    assert all(count <= 2 for count in lanes.now.values())
    lanes.go.set()
    eventually(lambda: len(lanes.order), lambda count: count == 9, what="all runs")


def test_what_has_no_key_never_starts_and_keys_mean_nothing_elsewhere(
    launch: Launch, lanes: Lanes, sql: Bystander
) -> None:
    launch()
    DBOS.register_queue("work", partition_concurrency=1)
    DBOS.register_queue("plain")
    lanes.go.set()
    with SetWorkflowID("keyless"):
        DBOS.enqueue_workflow("work", lanes.workflow, "none", 1)
    for handle in [*lanes.enqueue("work", "a", 2), *lanes.enqueue("plain", "b", 2)]:
        handle.get_result(polling_interval_sec=0.05)
    row = sql.execute("SELECT status FROM dbos.workflow_status WHERE workflow_uuid = 'keyless'").fetchone()
    assert row == {"status": "ENQUEUED"}


def test_a_declared_queue_asks_for_a_key(launch: Launch, lanes: Lanes, sql: Bystander) -> None:
    queues = [
        Queue("work", partition_queue=True, concurrency=1),
        Queue("limited", partition_limiter={"limit": 1, "period": 2}),
    ]
    launch()

    async def on_loop(queue: Queue) -> None:
        await queue.enqueue_async(lanes.workflow, "none", 1)  # type: ignore[arg-type]

    for queue in queues:
        for act in (
            lambda queue=queue: queue.enqueue(lanes.workflow, "none", 1),
            lambda queue=queue: queue.enqueue_many(lanes.workflow, [("none", 1)]),
            lambda queue=queue: asyncio.run(on_loop(queue)),
        ):
            with pytest.raises(ValueError, match=f"queue_partition_key: expected one for queue '{queue.name}'"):
                act()
    assert sql.execute("SELECT 1 FROM dbos.workflow_status").fetchall() == []


def test_a_lane_that_waits_for_another_version_holds_up_no_other(launch: Launch, lanes: Lanes) -> None:
    launch()
    DBOS.register_queue("work", partition_concurrency=1)
    lanes.go.set()
    for number in range(20):
        lanes.enqueue("work", f"a{number}", 1, app_version="nobody's")
    for handle in lanes.enqueue("work", "b", 2):
        handle.get_result(polling_interval_sec=0.05)


def test_priorities_hold_within_a_lane(launch: Launch, lanes: Lanes) -> None:
    launch()
    DBOS.register_queue("work", partition_concurrency=1)
    lanes.enqueue("work", "a", 1)
    lanes.wait_for(a=1)
    for priority, number in ((5, 10), (1, 11), (None, 12)):
        with SetEnqueueOptions(queue_partition_key="a", priority=priority):
            DBOS.enqueue_workflow("work", lanes.workflow, "a", number)
    lanes.go.set()
    eventually(lambda: len(lanes.order), lambda count: count == 4, what="all runs")
    assert [number for _, number in lanes.order] == [0, 12, 11, 10]


# -- limits that change --------------------------------------------------------------------------------------------


def test_limits_change_while_workers_run(launch: Launch, lanes: Lanes, client: DBOSClient) -> None:
    launch()
    queue = DBOS.register_queue("work", partition_concurrency=1)
    lanes.enqueue("work", "a", 5)
    lanes.wait_for(a=1)
    queue.set_partition_concurrency(3)
    lanes.wait_for(a=3)
    found = client.retrieve_queue("work")
    assert found is not None
    assert (found.partition_concurrency, queue.partition_concurrency) == (3, 3)
    found.set_partition_concurrency(None)
    lanes.wait_for(a=5)
    lanes.go.set()


@pytest.mark.parametrize("awaited", [False, True])
def test_every_limit_is_read_and_set(launch: Launch, sql: Bystander, awaited: bool) -> None:
    launch()
    queue = DBOS.register_queue("work")
    settings: dict[str, tuple[Any, Any]] = {
        "global_concurrency": (9, None),
        "concurrency": (8, 8),
        "worker_concurrency": (7, None),
        "limiter": ({"limit": 5, "period": 2.5}, None),
        "partition_concurrency": (6, 6),
        "partition_worker_concurrency": (2, 2),
        "partition_limiter": ({"limit": 3, "period": 1.0}, None),
        "polling_interval_sec": (0.5, 0.25),
    }

    def change(name: str, value: Any) -> None:
        if awaited:
            asyncio.run(getattr(queue, f"set_{name}_async")(value))
        else:
            getattr(queue, f"set_{name}")(value)

    def read(name: str) -> Any:
        return asyncio.run(getattr(queue, f"get_{name}_async")()) if awaited else getattr(queue, name)

    for name, (first, last) in settings.items():
        change(name, first)
        assert read(name) == first
        change(name, last)
        assert read(name) == last
    row = sql.execute("SELECT * FROM dbos.queues").fetchone()
    assert row is not None
    assert (row["concurrency"], row["partition_concurrency"], row["partition_queue"]) == (8, 6, True)
    change("partition_concurrency", None)
    change("partition_worker_concurrency", None)
    row = sql.execute("SELECT partition_queue FROM dbos.queues").fetchone()
    assert row == {"partition_queue": False}


def test_limits_that_cannot_be_are_refused_and_change_nothing(launch: Launch, sql: Bystander) -> None:
    launch()
    queue = DBOS.register_queue("work", global_concurrency=3, partition_concurrency=2)
    before = sql.execute("SELECT * FROM dbos.queues").fetchall()
    refused: list[tuple[str, Any, type[Exception], str]] = [
        ("worker_concurrency", 4, ValueError, "at most the global concurrency 3"),
        ("partition_concurrency", 4, ValueError, "at most the global concurrency 3"),
        ("partition_worker_concurrency", 3, ValueError, "at most partition_concurrency 2"),
        ("partition_concurrency", 0, ValueError, "partition_concurrency: expected 1"),
        ("global_concurrency", -1, ValueError, "^global_concurrency: expected 0"),
        ("concurrency", -1, ValueError, "^concurrency: expected 0"),
        ("limiter", {"limit": -1, "period": 1}, ValueError, "^limiter limit: expected 0"),
        ("global_concurrency", "3", TypeError, "whole number"),
        ("limiter", {"limit": 1}, ValueError, "limiter: expected"),
        ("partition_limiter", {"limit": 1, "period": 0}, ValueError, "partition_limiter period"),
        ("polling_interval_sec", 0, ValueError, "polling_interval_sec"),
    ]
    for name, value, error, text in refused:
        with pytest.raises(error, match=text):
            getattr(queue, f"set_{name}")(value)
    assert sql.execute("SELECT * FROM dbos.queues").fetchall() == before
    with pytest.raises(ValueError, match=r"^global_concurrency: expected 0"):
        asyncio.run(queue.set_global_concurrency_async(-1))
    with pytest.raises(ValueError, match=r"^global_concurrency: expected 0"):
        DBOS.register_queue("other", global_concurrency=-1)
    with pytest.raises(ValueError, match="partition_worker_concurrency"):
        DBOS.register_queue("other", worker_concurrency=1, partition_worker_concurrency=2)


def test_zero_suspends_a_queue(launch: Launch, lanes: Lanes) -> None:
    launch()
    queue = DBOS.register_queue("work", partition_concurrency=1)
    queue.set_global_concurrency(0)
    eventually(
        lambda: engine().queues._queues.get("work"),
        lambda row: row is not None and row.limits.concurrency == 0,
        what="look at the new limit",
    )
    lanes.go.set()
    (handle,) = lanes.enqueue("work", "a", 1)
    (other,) = [DBOS.enqueue_workflow("after", lanes.workflow, "x", 1)]
    DBOS.register_queue("after")
    other.get_result(polling_interval_sec=0.05)
    assert handle.get_status().status == "ENQUEUED"
    queue.set_global_concurrency(None)
    handle.get_result(polling_interval_sec=0.05)


@pytest.mark.parametrize(
    "limits", [{"global_concurrency": 0}, {"worker_concurrency": 0}, {"limiter": {"limit": 0, "period": 1}}], ids=str
)
def test_a_queue_may_be_suspended_from_the_start(
    launch: Launch, lanes: Lanes, client: DBOSClient, limits: dict[str, Any]
) -> None:
    declared = Queue("declared", **limits)
    launch()
    DBOS.register_queue("work", **limits)
    client.register_queue("third", **limits)
    lanes.go.set()
    waiting = [DBOS.enqueue_workflow(name, lanes.workflow, "x", 1) for name in ("declared", "work", "third")]
    DBOS.register_queue("after")
    DBOS.enqueue_workflow("after", lanes.workflow, "x", 1).get_result(polling_interval_sec=0.05)
    assert {handle.get_status().status for handle in waiting} == {"ENQUEUED"}
    ((name, _zero),) = limits.items()
    getattr(declared, f"set_{name}")(None)
    waiting[0].get_result(polling_interval_sec=0.05)


def test_a_queue_that_a_resource_manages_keeps_its_limits(launch: Launch, sql: Bystander) -> None:
    launch()
    sql.execute("INSERT INTO dbos.queues (queue_id, name, concurrency, updated_at) VALUES ('k8s:a:b', 'work', 7, 1)")
    queue = DBOS.retrieve_queue("work")
    assert queue is not None
    with pytest.raises(DBOSException, match="DBOSQueue resource"):
        queue.set_global_concurrency(1)
    with pytest.raises(DBOSException, match="DBOSQueue resource"):
        DBOS.delete_queue("work")
    assert queue.global_concurrency == 7


# -- queues as rows ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["DBOS", "DBOS async", "client", "client async"])
def call(request: pytest.FixtureRequest, client: DBOSClient) -> Caller:
    """One of the four ways to make a call."""
    return Caller(request.param, client)


def test_queues_are_listed_found_and_deleted(launch: Launch, call: Caller, sql: Bystander) -> None:
    launch()
    call("register_queue", "b", partition_limiter={"limit": 2, "period": 3.0}, partition_concurrency=4)
    call("register_queue", "a", concurrency=2)
    sql.execute("INSERT INTO dbos.queues (name, updated_at, application_name) VALUES ('theirs', 1, 'shop')")
    sql.execute("INSERT INTO dbos.queues (name, updated_at) VALUES ('unclaimed', 1)")
    assert [queue.name for queue in call("list_queues")] == ["a", "b", "unclaimed"]
    named = call("list_queues", application_name=["shop", "nobody"])
    assert [queue.name for queue in named] == ["theirs", "unclaimed"]
    assert [queue.name for queue in call("list_queues", application_name=[])] == ["a", "b", "theirs", "unclaimed"]
    found = call("retrieve_queue", "b")
    assert (found.partition_limiter, found.partition_concurrency) == ({"limit": 2, "period": 3.0}, 4)
    call("delete_queue", "b")
    call("delete_queue", "unknown")
    assert call("retrieve_queue", "b") is None
    with pytest.raises(DBOSException, match="'b' does not exist"):
        found.partition_concurrency  # noqa: B018
    with pytest.raises(DBOSException, match="'b' does not exist"):
        found.set_partition_concurrency(1)


def test_a_process_serves_what_it_listens_to(launch: Launch, lanes: Lanes, client: DBOSClient) -> None:
    DBOS.listen_queues(["mine"])
    launch()
    for name in ("mine", "others"):
        DBOS.register_queue(name)
    lanes.go.set()
    ignored = DBOS.enqueue_workflow("others", lanes.workflow, "x", 1)
    DBOS.enqueue_workflow("mine", lanes.workflow, "x", 2).get_result(polling_interval_sec=0.05)
    assert ignored.get_status().status == "ENQUEUED"
    assert client.resume_workflow(ignored.workflow_id).get_result(polling_interval_sec=0.05) is None
    with pytest.raises(DBOSException, match=r"before DBOS\.launch"):
        DBOS.listen_queues(["others"])


def test_what_a_process_listens_to_is_a_list_of_names() -> None:
    for queues in ("mine", None, 5):
        with pytest.raises(TypeError, match="queues: expected a list of names"):
            DBOS.listen_queues(queues)  # type: ignore[arg-type]


def test_what_a_process_listens_to_is_forgotten_when_it_is_destroyed(launch: Launch, lanes: Lanes) -> None:
    DBOS.listen_queues(["mine"])
    launch()
    DBOS.destroy()
    launch()
    DBOS.register_queue("others")
    lanes.go.set()
    assert DBOS.enqueue_workflow("others", lanes.workflow, "x", 1).get_result(polling_interval_sec=0.05) is None


def test_a_queue_before_launch_tells_what_was_declared() -> None:
    queue = Queue("declared", worker_concurrency=2, partition_limiter={"limit": 1, "period": 2})
    assert (queue.worker_concurrency, queue.partition_limiter) == (2, {"limit": 1, "period": 2})
    with pytest.raises(DBOSException, match=r"before DBOS\.launch"):
        queue.set_worker_concurrency(1)
    with pytest.raises(DBOSException, match="not configured"):
        DBOS.list_queues()
    DBOS.destroy(destroy_registry=True)


# -- enqueue by name -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("awaited", [False, True])
def test_a_workflow_is_enqueued_by_its_name_alone(launch: Launch, sql: Bystander, awaited: bool) -> None:
    def enqueue(options: Any, *args: Any) -> Any:
        if awaited:
            return asyncio.run(DBOS.enqueue_workflow_with_options_async(options, *args))
        return DBOS.enqueue_workflow_with_options(options, *args)

    @DBOS.workflow(name="known")
    def known(number: int) -> int:
        return number

    @DBOS.workflow(name="parent")
    def parent() -> int:
        enqueue({"workflow_name": "elsewhere", "queue_name": "far", "workflow_timeout": 5, "class_name": "C"}, 1)
        with SetWorkflowTimeout(77), SetEnqueueOptions(priority=9):
            enqueue({"workflow_name": "elsewhere", "queue_name": "far", "workflow_id": "given"}, 2)
        handle = DBOS.enqueue_workflow_with_options({"workflow_name": "known", "queue_name": "work"}, 3)
        return int(handle.get_result(polling_interval_sec=0.05))

    launch()
    DBOS.register_queue("work")
    with SetWorkflowID("w"), SetWorkflowTimeout(1000):
        assert parent() == 3
    rows = sql.execute("SELECT * FROM dbos.workflow_status WHERE queue_name = 'far' ORDER BY workflow_uuid").fetchall()
    assert [
        (row["workflow_uuid"], row["name"], row["class_name"], row["executor_id"], row["application_version"])
        for row in rows
    ] == [("given", "elsewhere", None, None, None), ("w-1", "elsewhere", "C", None, None)]
    assert [(row["workflow_timeout_ms"], row["priority"], row["parent_workflow_id"]) for row in rows] == [
        (77_000, 9, "w"),
        (5000, 0, "w"),
    ]
    with pytest.raises(TypeError, match="unknown bogus"):
        enqueue({"workflow_name": "known", "queue_name": "work", "bogus": 1})


def test_a_client_says_for_whom_and_how_it_enqueues(launch: Launch, client: DBOSClient, sql: Bystander) -> None:
    @DBOS.workflow(name="whoami")
    def whoami(number: int) -> list[Any]:
        return [number, DBOS.authenticated_user, DBOS.authenticated_roles]

    launch()
    DBOS.register_queue("work")
    described: Any = {"workflow_name": "whoami", "queue_name": "work"}
    handle = client.enqueue(
        {
            **described,
            "workflow_id": "w",
            "authenticated_user": "ada",
            "authenticated_roles": ["admin", "operator"],
            "serialization_type": WorkflowSerializationFormat.JSON,
        },
        1,
    )
    assert handle.get_result(polling_interval_sec=0.05) == [1, "ada", ["admin", "operator"]]
    client.enqueue({**described, "workflow_id": "theirs", "application_name": "shop"}, 2)
    rows = sql.execute(
        "SELECT serialization, authenticated_roles, application_name FROM dbos.workflow_status"
        " ORDER BY workflow_uuid DESC"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        ("portable_json", '["admin", "operator"]', "orders"),
        ("py_pickle", None, "shop"),
    ]
    for wrong in ({"authenticated_roles": "admin"}, {"authenticated_user": 5}, {"serialization_type": "json"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            client.enqueue({**described, **wrong}, 1)
