"""Each error of `dbos.error` where the documentation says that it is raised, as itself and as a pickle."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dbos import DBOS, DBOSClient, Queue, SetEnqueueOptions, SetWorkflowID, error
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases


class Scene:
    """What a scenario has at hand."""

    def __init__(self, launch: Launch, sql: Bystander, client: DBOSClient, database_url: str) -> None:
        self.launch, self.sql, self.client, self.database_url = launch, sql, client, database_url

    def caught(self, act: Callable[[], Any]) -> BaseException:
        """What a call raises."""
        try:
            act()
        except BaseException as raised:  # noqa: BLE001 -- what is raised is what is looked at
            return raised
        raise AssertionError("nothing was raised")

    def in_workflow(self, body: Callable[[], Any], *, before: Callable[[], None]) -> BaseException:
        """What is raised inside of a workflow that calls a step after something was done to its row."""
        seen: list[BaseException] = []
        begun, done = threading.Event(), threading.Event()

        @DBOS.workflow(name="work")
        def work() -> None:
            begun.set()
            assert done.wait(60)
            try:
                body()
            except BaseException as raised:
                seen.append(raised)
                raise

        self.launch()
        with SetWorkflowID("w"):
            DBOS.start_workflow(work)
        assert begun.wait(30)
        before()
        done.set()
        eventually(lambda: seen, bool, what="an error in the workflow")
        return seen[0]


def _lost(scene: Scene) -> BaseException:
    return scene.in_workflow(
        lambda: DBOS.run_step({"name": "step"}, lambda: 1),
        before=lambda: scene.sql.execute("UPDATE dbos.workflow_status SET owner_xid = 'another'"),
    )


def _cancelled(scene: Scene) -> BaseException:
    return scene.in_workflow(
        lambda: DBOS.run_step({"name": "step"}, lambda: 1), before=lambda: scene.client.cancel_workflow("w")
    )


def _unexpected_step(scene: Scene) -> BaseException:
    @DBOS.workflow(name="work")
    def work() -> None:
        DBOS.run_step({"name": "now"}, lambda: 1)

    scene.launch()
    with SetWorkflowID("w"):
        work()
    scene.sql.execute("UPDATE dbos.operation_outputs SET function_name = 'then'")
    return scene.caught(DBOS.fork_workflow("w", 2).get_result)


def _other_outcome(scene: Scene) -> BaseException:
    @DBOS.step(name="step")
    def step() -> int:
        scene.sql.execute(
            "INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name, completed_at_epoch_ms)"
            " VALUES ('w', 1, 'step', 5)"
        )
        return 1

    @DBOS.workflow(name="work")
    def work() -> int:
        return step()

    scene.launch()
    with SetWorkflowID("w"):
        return scene.caught(work)


def _initialization(scene: Scene) -> BaseException:
    return scene.caught(lambda: scene.launch(name="NO GOOD"))


def _unregistered(scene: Scene) -> BaseException:
    scene.launch()
    return scene.caught(lambda: DBOS.start_workflow(len, "text"))


def _nonexistent(scene: Scene) -> BaseException:
    scene.launch()
    return scene.caught(lambda: DBOS.retrieve_workflow("nobody"))


def _retries(scene: Scene) -> BaseException:
    @DBOS.step(name="step", retries_allowed=True, max_attempts=2, interval_seconds=0.001)
    def step() -> None:
        raise ValueError("no")

    @DBOS.workflow(name="work")
    def work() -> None:
        step()

    scene.launch()
    return scene.caught(work)


def _not_authorized(scene: Scene) -> BaseException:
    @DBOS.required_roles(["admin"])
    @DBOS.workflow(name="work")
    def work() -> None:
        raise AssertionError("it ran")

    scene.launch()
    return scene.caught(work)


def _conflicting(scene: Scene) -> BaseException:
    scene.client.enqueue({"workflow_name": "one", "queue_name": "queue", "workflow_id": "w"})
    return scene.caught(
        lambda: scene.client.enqueue({"workflow_name": "two", "queue_name": "queue", "workflow_id": "w"})
    )


def _deduplicated(scene: Scene) -> BaseException:
    @DBOS.workflow(name="work")
    def work() -> None:
        raise AssertionError("nobody serves the queue")

    queue = Queue("queue")
    DBOS.listen_queues([])
    scene.launch()

    def twice() -> None:
        for name in ("first", "second"):
            with SetEnqueueOptions(deduplication_id="one"), SetWorkflowID(name):
                queue.enqueue(work)

    return scene.caught(twice)


def _awaited(scene: Scene, status: str) -> BaseException:
    handle = scene.client.enqueue({"workflow_name": "work", "queue_name": "queue", "workflow_id": "w"})
    scene.sql.execute("UPDATE dbos.workflow_status SET status = %s", [status])
    return scene.caught(handle.get_result)


def _stream_timeout(scene: Scene) -> BaseException:
    scene.client.enqueue({"workflow_name": "work", "queue_name": "queue", "workflow_id": "w"})
    return scene.caught(lambda: list(scene.client.read_stream("w", "key", timeout_seconds=0.01)))


def _streams_at_once(scene: Scene) -> BaseException:
    @DBOS.workflow(name="work")
    async def work() -> None:
        async def read(key: str) -> None:
            async for _ in DBOS.read_stream_async("other", key):
                pass

        await asyncio.gather(read("a"), read("b"))

    scene.launch()
    scene.client.enqueue({"workflow_name": "other", "queue_name": "queue", "workflow_id": "other"})
    return scene.caught(lambda: asyncio.run(work()))  # type: ignore[arg-type]


def _step_timeout(scene: Scene) -> BaseException:
    @DBOS.step(name="step", timeout_seconds=0.01)
    async def step() -> None:
        await asyncio.sleep(60)

    @DBOS.workflow(name="work")
    async def work() -> None:
        await step()

    scene.launch()
    return scene.caught(lambda: asyncio.run(work()))  # type: ignore[arg-type]


def _id_in_use(scene: Scene) -> BaseException:
    options: Any = {"workflow_name": "work", "queue_name": "queue", "workflow_id": "w"}
    scene.client.enqueue(options)
    return scene.caught(lambda: scene.client.enqueue({**options, "workflow_id_reuse_policy": "reject"}))


def _query_timeout(scene: Scene) -> BaseException:
    with (
        DBOSClient(system_database_url=scene.database_url, observability_query_timeout_sec=0.05) as hasty,
        psycopg.connect(scene.database_url) as locker,
    ):
        locker.execute("LOCK dbos.workflow_status IN ACCESS EXCLUSIVE MODE")
        return scene.caught(hasty.list_workflows)


AWAITED_DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
SCENARIOS: list[tuple[type[BaseException], int, Callable[[Scene], BaseException], dict[str, Any]]] = [
    (error.DBOSWorkflowConflictIDError, 1, _lost, {}),
    (error.DBOSInitializationError, 3, _initialization, {}),
    (error.DBOSWorkflowFunctionNotFoundError, 4, _unregistered, {}),
    (error.DBOSNonExistentWorkflowError, 5, _nonexistent, {"destination_id": "nobody"}),
    (error.DBOSMaxStepRetriesExceeded, 7, _retries, {"step_name": "step", "max_retries": 2}),
    (error.DBOSNotAuthorizedError, 8, _not_authorized, {}),
    (error.DBOSConflictingWorkflowError, 9, _conflicting, {"workflow_id": "w"}),
    (error.DBOSWorkflowCancelledError, 10, _cancelled, {}),
    (error.DBOSUnexpectedStepError, 11, _unexpected_step, {}),
    (
        error.DBOSQueueDeduplicatedError,
        12,
        _deduplicated,
        {"workflow_id": "second", "queue_name": "queue", "deduplication_id": "one"},
    ),
    (error.DBOSAwaitedWorkflowCancelledError, 13, lambda scene: _awaited(scene, "CANCELLED"), {"workflow_id": "w"}),
    (
        error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
        14,
        lambda scene: _awaited(scene, AWAITED_DEAD),
        {"workflow_id": "w"},
    ),
    (error.DBOSStreamTimeoutError, 16, _stream_timeout, {"workflow_id": "w", "key": "key", "timeout_seconds": 0.01}),
    (error.DBOSStreamNondeterminismError, 17, _streams_at_once, {}),
    (error.DBOSStepTimeoutError, 18, _step_timeout, {"step_name": "step", "timeout_seconds": 0.01}),
    (error.DBOSWorkflowIDInUseError, 27, _id_in_use, {"workflow_id": "w", "workflow_name": "work"}),
    (error.DBOSStepNondeterminismError, 28, _other_outcome, {"workflow_id": "w", "step_id": 1}),
]
ELSEWHERE = {
    error.DBOSException: "the base",
    error.DBOSBaseException: "the base",
    error.DBOSRecoveryError: "read from pickles of other releases: recovery re-enqueues, and does not fail",
    error.MaxRecoveryAttemptsExceededError: "logged by the worker that finds a dead letter; nobody calls it",
    error.DBOSPatchNondeterminismError: "read from pickles of other releases",
    error.DBOSQueryTimeoutError: "of PostgreSQL alone: below",
}


def _check(raised: BaseException, kind: type[BaseException], code: int, attributes: dict[str, Any]) -> None:
    again = pickle.loads(pickle.dumps(raised))
    for each in (raised, again):
        assert type(each) is kind, repr(raised)
        assert each.dbos_error_code == code  # type: ignore[attr-defined]
        assert str(each).startswith(f"DBOS Error {code}: ")
        assert {name: getattr(each, name) for name in attributes} == attributes
    assert isinstance(raised, Exception) is (code not in {1, 10}), "a workflow must not stop a signal by accident"


@pytest.fixture
def scene(launch: Launch, sql: Bystander, client: DBOSClient, database_url: str) -> Scene:
    """Where the scenarios play."""
    return Scene(launch, sql, client, database_url)


@pytest.mark.parametrize(
    ("kind", "code", "scenario", "attributes"), SCENARIOS, ids=[scenario[0].__name__ for scenario in SCENARIOS]
)
def test_an_error_is_raised_where_the_documentation_says(
    scene: Scene,
    kind: type[BaseException],
    code: int,
    scenario: Callable[[Scene], BaseException],
    attributes: dict[str, Any],
) -> None:
    _check(scenario(scene), kind, code, attributes)


@pytest.mark.postgresql_only
def test_a_listing_that_takes_too_long_is_an_error(scene: Scene) -> None:
    _check(_query_timeout(scene), error.DBOSQueryTimeoutError, 26, {"timeout_seconds": 0.05})


def test_every_error_has_its_scenario() -> None:
    classes = {value for value in vars(error).values() if isinstance(value, type) and issubclass(value, BaseException)}
    assert {scenario[0] for scenario in SCENARIOS} | set(ELSEWHERE) == classes
    assert {scenario[0] for scenario in SCENARIOS}.isdisjoint(ELSEWHERE)
