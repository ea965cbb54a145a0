"""Debouncers: calls of one key share a run, which gets the last arguments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dbos import (
    DBOS,
    DBOSClient,
    Debouncer,
    DebouncerClient,
    Queue,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
)
from dbos.error import DBOSException, DBOSQueueDeduplicatedError, DBOSWorkflowFunctionNotFoundError
from integration.runtime.conftest import Launch
from support.bystander import Bystander

pytestmark = pytest.mark.both_databases

LONG = 3600.0

Debounce = Callable[..., Any]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def debounce(request: pytest.FixtureRequest) -> Debounce:
    """Call a debouncer by either twin; gives the ID and, if asked for, the result."""

    def call(debouncer: Any, *args: Any, result: bool = False, **kwargs: Any) -> Any:
        if not request.param:
            handle = debouncer.debounce(*args, **kwargs)
            return handle.get_result(polling_interval_sec=0.1) if result else handle.workflow_id

        async def run() -> Any:
            handle = await debouncer.debounce_async(*args, **kwargs)
            return await handle.get_result(polling_interval_sec=0.1) if result else handle.workflow_id

        return asyncio.run(run())

    return call


@pytest.fixture
def process() -> Callable[..., list[Any]]:
    """A workflow to debounce."""

    @DBOS.workflow(name="process")
    def run(value: Any, *, more: Any = None) -> list[Any]:
        return [value, more]

    return run


def _row(sql: Bystander, workflow_id: str) -> dict[str, Any]:
    [row] = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchall()
    return row


def test_calls_of_one_key_share_a_run_with_the_last_arguments(launch: Launch, debounce: Debounce, process: Any) -> None:
    launch()
    debouncer = Debouncer.create(process)
    first = debounce(debouncer, "user", LONG, 1)
    assert debounce(debouncer, "user", LONG, 2, more="m") == first
    other = debounce(debouncer, 7, LONG, 9)
    assert debounce(debouncer, "7", LONG, 9) == other != first
    assert debounce(debouncer, "user", 0.1, 3, more="n", result=True) == [3, "n"]
    again = debounce(debouncer, "user", 0.1, 4)
    assert again not in {first, other}
    assert DBOS.get_result(first) == [3, "n"]


def test_a_call_puts_the_run_off_by_the_period(
    launch: Launch, debounce: Debounce, process: Any, sql: Bystander
) -> None:
    launch()
    debouncer = Debouncer.create(process)
    workflow_id = debounce(debouncer, "k", 100, 1)
    before = _row(sql, workflow_id)
    assert before["status"] == "DELAYED"
    assert before["deduplication_id"] == "process-k"
    assert before["is_debounced"]
    assert before["debounce_deadline_epoch_ms"] is None
    debounce(debouncer, "k", 200, 1)
    after = _row(sql, workflow_id)
    assert 99_000 < after["delay_until_epoch_ms"] - before["delay_until_epoch_ms"] < 160_000
    assert after["updated_at"] >= before["updated_at"]


def test_the_timeout_of_the_first_call_bounds_the_wait(
    launch: Launch, debounce: Debounce, process: Any, sql: Bystander
) -> None:
    launch()
    debouncer = Debouncer.create(process, debounce_timeout_sec=300.0)
    before = int(time.time() * 1000)
    workflow_id = debounce(debouncer, "k", LONG, 1)
    after = int(time.time() * 1000)
    row = _row(sql, workflow_id)
    assert before + 300_000 <= row["debounce_deadline_epoch_ms"] <= after + 300_000
    assert row["delay_until_epoch_ms"] == row["debounce_deadline_epoch_ms"]
    earlier = (
        "UPDATE dbos.workflow_status SET debounce_deadline_epoch_ms = debounce_deadline_epoch_ms - %s"
        " WHERE workflow_uuid = %s"
    )
    sql.execute(earlier, [200_000, workflow_id])
    assert debounce(debouncer, "k", LONG, 2) == workflow_id
    again = _row(sql, workflow_id)
    assert (again["status"], again["delay_until_epoch_ms"]) == ("DELAYED", row["delay_until_epoch_ms"] - 200_000)
    sql.execute(earlier, [150_000, workflow_id])  # now it has passed
    assert debounce(debouncer, "k", LONG, 3) == workflow_id
    assert DBOS.get_result(workflow_id) == [3, None]


def test_a_debouncer_of_a_queue_runs_there(launch: Launch, debounce: Debounce, process: Any, sql: Bystander) -> None:
    queue = Queue("work", worker_concurrency=1)
    launch()
    for given in ("work", queue):
        workflow_id = debounce(Debouncer.create(process, queue=given), f"{type(given).__name__}", 0.0, 1)
        assert DBOS.get_result(workflow_id) == [1, None]
        assert _row(sql, workflow_id)["queue_name"] == "work"
    with pytest.raises(DBOSException, match="Queue 'nowhere' of the debouncer is not declared"):
        debounce(Debouncer.create(process, queue="nowhere"), "k", 0.0, 1)
    with pytest.raises(ValueError, match="reserved"):
        debounce(Debouncer.create(process, queue="_dbos_own"), "k", 0.0, 1)


def test_a_debouncer_by_name_finds_the_workflow_when_it_is_called(
    launch: Launch, debounce: Debounce, process: Any
) -> None:
    early: Debouncer[..., Any] = Debouncer("process")
    unknown: Debouncer[..., Any] = Debouncer("nobody")
    launch()
    assert debounce(early, "k", 0.0, 5, result=True) == [5, None]
    with pytest.raises(DBOSException, match="No workflow is registered as 'nobody'"):
        debounce(unknown, "k", 0.0)


def test_coroutine_workflows_are_debounced_as_well(launch: Launch, debounce: Debounce) -> None:
    @DBOS.workflow(name="coroutine")
    async def run(value: int) -> int:
        return value + 1

    launch()
    assert debounce(Debouncer.create_async(run), "k", 0.0, 5, result=True) == 6


def test_a_given_id_is_that_of_the_first_call(launch: Launch, debounce: Debounce, process: Any) -> None:
    launch()
    debouncer = Debouncer.create(process)
    with SetWorkflowID("given"):
        assert debounce(debouncer, "k", LONG, 1) == "given"
    with SetWorkflowID("not taken"):
        assert debounce(debouncer, "k", LONG, 1) == "given"


def test_an_id_that_must_be_new_is_refused(
    launch: Launch, debounce: Debounce, process: Any, client: DBOSClient
) -> None:
    launch()
    with (
        SetWorkflowID("given", workflow_id_reuse_policy="reject"),
        pytest.raises(DBOSException, match="takes no workflow_id_reuse_policy='reject'"),
    ):
        debounce(Debouncer.create(process), "k", LONG, 1)
    options: Any = {"workflow_name": "process", "queue_name": "work", "workflow_id_reuse_policy": "reject"}
    with pytest.raises(DBOSException, match="takes no workflow_id_reuse_policy='reject'"):
        debounce(DebouncerClient(client, options), "k", LONG, 1)


def test_the_run_has_timeout_and_attributes_of_the_first_call_and_no_deadline_of_its_caller(
    launch: Launch, debounce: Debounce, process: Any, sql: Bystander
) -> None:
    debouncer = Debouncer.create(process)

    @DBOS.workflow(name="parent")
    def parent() -> str:
        return debouncer.debounce("inner", LONG, 1).workflow_id

    launch()
    with SetWorkflowTimeout(60), SetWorkflowAttributes({"of": "first"}):
        workflow_id = debounce(debouncer, "k", LONG, 1)
    with SetWorkflowTimeout(90), SetWorkflowAttributes({"of": "second"}):
        debounce(debouncer, "k", LONG, 2)
    status = DBOS.retrieve_workflow(workflow_id).get_status()
    assert (status.workflow_timeout_ms, status.attributes) == (60_000, {"of": "first"})
    assert status.workflow_deadline_epoch_ms is None
    with SetWorkflowTimeout(60):
        inner = parent()
    assert _row(sql, inner)["workflow_deadline_epoch_ms"] is None


def test_a_version_can_be_asked_for(launch: Launch, debounce: Debounce, process: Any, sql: Bystander) -> None:
    launch()
    with SetEnqueueOptions(app_version="v9"):
        workflow_id = debounce(Debouncer.create(process), "k", LONG, 1)
    assert _row(sql, workflow_id)["application_version"] == "v9"
    foreign = debounce(Debouncer("process", application_name="billing"), "f", LONG, 1)
    row = _row(sql, foreign)
    assert (row["application_name"], row["application_version"]) == ("billing", None)
    with pytest.raises(DBOSQueueDeduplicatedError):
        debounce(Debouncer.create(process), "f", LONG, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"deduplication_id": "d"},
        {"delay_seconds": 1},
        {"priority": 1},
        {"queue_partition_key": "p"},
        {"duplication_policy": "return-existing"},
    ],
)
def test_options_that_a_debouncer_sets_itself_are_refused(
    launch: Launch, debounce: Debounce, process: Any, options: dict[str, Any], client: DBOSClient
) -> None:
    launch()
    (name,) = options
    with SetEnqueueOptions(**options), pytest.raises(DBOSException, match=f"takes no {name}"):
        debounce(Debouncer.create(process), "k", LONG, 1)
    theirs = DebouncerClient(client, {"workflow_name": "process", "queue_name": "work", **options})  # type: ignore[typeddict-item]
    with pytest.raises(DBOSException, match=f"takes no {name}"):
        debounce(theirs, "k", LONG, 1)
    assert DBOS.list_queued_workflows() == []


def test_a_key_that_something_else_holds_is_refused(
    launch: Launch, debounce: Debounce, process: Any, client: DBOSClient
) -> None:
    Queue("work")
    launch()
    holder = client.enqueue(
        {"workflow_name": "process", "queue_name": "work", "deduplication_id": "process-k", "delay_seconds": 99}, 1
    )
    ours: Debouncer[..., Any] = Debouncer.create(process, queue="work")
    theirs = DebouncerClient(client, {"workflow_name": "process", "queue_name": "work"})
    for debouncer in (ours, theirs):
        with pytest.raises(DBOSQueueDeduplicatedError) as refused:
            debounce(debouncer, "k", LONG, 1)
        assert refused.value.workflow_id == holder.workflow_id
        assert (refused.value.queue_name, refused.value.deduplication_id) == ("work", "process-k")


def test_a_cancelled_run_frees_the_key(launch: Launch, debounce: Debounce, process: Any) -> None:
    launch()
    debouncer = Debouncer.create(process)
    first = debounce(debouncer, "k", LONG, 1)
    DBOS.cancel_workflow(first)
    assert debounce(debouncer, "k", LONG, 1) != first


def test_a_client_and_the_application_share_keys(
    launch: Launch, debounce: Debounce, process: Any, client: DBOSClient, sql: Bystander
) -> None:
    Queue("work")
    launch()
    theirs = DebouncerClient(
        client, {"workflow_name": "process", "queue_name": "elsewhere", "workflow_id": "one"}, queue="work"
    )
    assert debounce(theirs, "k", LONG, 1) == "one"
    row = _row(sql, "one")
    assert (row["queue_name"], row["creator_xid"], row["executor_id"]) == ("work", None, None)
    assert debounce(Debouncer.create(process, queue="work"), "k", LONG, 2) == "one"
    assert debounce(theirs, "k", 0.0, 3, result=True) == [3, None]


def test_methods_and_strangers_cannot_be_debounced() -> None:
    @DBOS.dbos_class("Clerk")
    class Clerk:
        @classmethod
        @DBOS.workflow(name="shared")
        def shared(cls) -> None: ...

        @DBOS.workflow(name="own")
        def own(self) -> None: ...

    def plain() -> None: ...

    for method in (Clerk.shared, Clerk.own):
        with pytest.raises(TypeError, match="not methods"):
            Debouncer.create(method)
    with pytest.raises(DBOSWorkflowFunctionNotFoundError, match="plain is not registered"):
        Debouncer.create(plain)
    DBOS.destroy(destroy_registry=True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, 1.0, 1), TypeError, "debounce_key: expected text"),
        ((True, 1.0, 1), TypeError, "debounce_key: expected text"),
        (("k", -1, 1), ValueError, "debounce_period_sec: expected 0 to"),
        (("k", "soon", 1), TypeError, "debounce_period_sec: expected seconds"),
        (("k", None, 1), TypeError, "debounce_period_sec: expected seconds"),
    ],
)
def test_wrong_keys_and_periods_are_refused(
    launch: Launch, debounce: Debounce, process: Any, arguments: tuple[Any, ...], error: type, message: str
) -> None:
    launch()
    with pytest.raises(error, match=message):
        debounce(Debouncer.create(process), *arguments)


def test_wrong_settings_are_refused_when_the_debouncer_is_made(client: DBOSClient) -> None:
    with pytest.raises(ValueError, match="debounce_timeout_sec: expected 0 to"):
        Debouncer("w", debounce_timeout_sec=-1)
    with pytest.raises(TypeError, match="queue: expected a Queue or its name, got int"):
        Debouncer("w", queue=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workflow_name"):
        Debouncer(" ")
    with pytest.raises(ValueError, match="'queue_name'"):
        DebouncerClient(client, {"workflow_name": "w"})  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="'workflow_name'"):
        DebouncerClient(client, {"queue_name": "work"})  # type: ignore[typeddict-item]
    with pytest.raises(TypeError, match="unknown colour"):
        DebouncerClient(client, {"workflow_name": "w", "queue_name": "work", "colour": "red"})  # type: ignore[typeddict-unknown-key]
    DebouncerClient(client, {"workflow_name": "w"}, queue="work")  # type: ignore[typeddict-item]


def test_before_the_launch_a_debouncer_says_so(process: Any) -> None:
    debouncer = Debouncer.create(process)
    with pytest.raises(DBOSException, match=r"DBOS\.launch\(\)|DBOS\(config=…\)"):
        debouncer.debounce("k", 1, 1)
    DBOS.destroy(destroy_registry=True)


def test_in_a_workflow_the_look_at_the_key_and_the_enqueue_are_steps(
    launch: Launch, process: Any, sql: Bystander
) -> None:
    debouncer = Debouncer.create(process)

    @DBOS.workflow(name="parent")
    def parent() -> list[str]:
        return [debouncer.debounce("k", LONG, number).workflow_id for number in (1, 2)]

    launch()
    with SetWorkflowID("p"):
        assert parent() == ["p-2", "p-2"]
    rows = sql.execute(
        "SELECT function_id, function_name, child_workflow_id FROM dbos.operation_outputs"
        " WHERE workflow_uuid = 'p' ORDER BY function_id"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        (1, "DBOS.debounce_delayed_workflow", None),
        (2, "process", "p-2"),
        (3, "DBOS.debounce_delayed_workflow", None),
    ]
    replayed: Any = DBOS.fork_workflow("p", 4).get_result()
    assert replayed == ["p-2", "p-2"]
    assert len(DBOS.list_queued_workflows(name="process")) == 1


def test_a_refusal_in_a_workflow_is_refused_again_on_replay(launch: Launch, process: Any, client: DBOSClient) -> None:
    Queue("work")
    debouncer: Debouncer[..., Any] = Debouncer.create(process, queue="work")

    @DBOS.workflow(name="parent")
    def parent() -> str:
        try:
            return debouncer.debounce("k", LONG, 1).workflow_id
        except DBOSQueueDeduplicatedError as refused:
            return f"held by {refused.workflow_id}"

    launch()
    holder = client.enqueue(
        {"workflow_name": "process", "queue_name": "work", "deduplication_id": "process-k", "delay_seconds": 99}, 1
    )
    with SetWorkflowID("p"):
        first = parent()
    assert first == f"held by {holder.workflow_id}"
    DBOS.cancel_workflow(holder.workflow_id)
    replayed: Any = DBOS.fork_workflow("p", 2).get_result()
    assert replayed == first


def test_steps_debounce_nothing(launch: Launch, process: Any) -> None:
    debouncer = Debouncer.create(process)

    @DBOS.step()
    def step() -> None:
        debouncer.debounce("k", LONG, 1)

    @DBOS.workflow(name="parent")
    def parent() -> None:
        step()

    launch()
    with pytest.raises(DBOSException, match="not by steps"):
        parent()


def test_many_callers_at_once_make_one_run(launch: Launch, process: Any, client: DBOSClient) -> None:
    Queue("work")
    launch()
    ours: Debouncer[..., Any] = Debouncer.create(process, queue="work")
    theirs = DebouncerClient(client, {"workflow_name": "process", "queue_name": "work"})
    with ThreadPoolExecutor(8) as threads:
        handles = list(
            threads.map(lambda n: (ours if n % 2 else theirs).debounce("k", LONG, n), range(40))  # type: ignore[attr-defined]
        )
    assert len({handle.workflow_id for handle in handles}) == 1
    assert len(DBOS.list_queued_workflows(name="process")) == 1
