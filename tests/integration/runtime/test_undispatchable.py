"""What cannot run here ends visibly or waits for who can, and never blocks its queue."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue, WorkflowStatus
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

Sql = Bystander


@pytest.fixture
def refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is not here is not tried again within a test: for that moment its row would be PENDING."""
    monkeypatch.setattr("dbos.engine.queue_worker.UNKNOWN_BACKOFF_SECONDS", (600.0, 600.0))


def _row(sql: Sql, workflow_id: str) -> dict[str, Any]:
    row = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row


@pytest.mark.usefixtures("refused_once")
def test_a_function_that_nobody_has_here_stays_enqueued_as_it_was(
    launch: Launch, client: DBOSClient, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    Queue("work", worker_concurrency=2)

    @DBOS.workflow(name="known")
    def known(number: int) -> int:
        return number

    strange = [client.enqueue({"workflow_name": "strange", "queue_name": "work"}) for _ in range(5)]
    before = [_row(sql, handle.workflow_id) for handle in strange]
    with caplog.at_level(logging.WARNING, "dbos"):
        launch()
        handles = [client.enqueue({"workflow_name": "known", "queue_name": "work"}, number) for number in range(5)]
        assert [handle.get_result(polling_interval_sec=0.05) for handle in handles] == list(range(5))
    assert "No function is registered for workflow 'strange'" in caplog.text
    for handle, row in zip(strange, before, strict=True):
        now = _row(sql, handle.workflow_id)
        assert {**now, "updated_at": 0} == {**row, "updated_at": 0}


@pytest.mark.parametrize("place", [{"class_name": "Strange"}, {"instance_name": "strange"}])
def test_a_method_of_a_class_that_is_unknown_does_not_hide_the_function_of_its_name(
    launch: Launch, client: DBOSClient, sql: Sql, place: Any
) -> None:
    Queue("work")

    @DBOS.workflow(name="known")
    def known() -> int:
        return 1

    launch()
    strange = client.enqueue({"workflow_name": "known", "queue_name": "work", **place})
    assert client.enqueue({"workflow_name": "known", "queue_name": "work"}).get_result(polling_interval_sec=0.05) == 1
    assert client.enqueue({"workflow_name": "known", "queue_name": "work"}).get_result(polling_interval_sec=0.05) == 1
    assert eventually(lambda: _row(sql, strange.workflow_id)["status"], lambda status: status == "ENQUEUED")


@pytest.mark.parametrize(
    ("inputs", "serialization"),
    [
        ("not base64 at all", "py_pickle"),
        ("gASVHgAAAAAAAACMDW5vX3N1Y2hfbW9kdWxllIwEVGhpbmeUk5Qu", "py_pickle"),
        ("gARLAS4=", "py_pickle"),
        ("{", "portable_json"),
        ("[]", "portable_json"),
        ("{}", "js_superjson"),
        (None, "py_pickle"),
    ],
)
def test_arguments_that_cannot_be_read_end_the_workflow_in_an_error(
    launch: Launch, client: DBOSClient, sql: Sql, inputs: str | None, serialization: str
) -> None:
    Queue("work", worker_concurrency=1)
    runs = []

    @DBOS.workflow(name="known")
    def known(number: int) -> int:
        runs.append(number)
        return number

    broken = client.enqueue({"workflow_name": "known", "queue_name": "work"}, 1)
    sql.execute("UPDATE dbos.workflow_input SET inputs = %s", [inputs]) if inputs else sql.execute(
        "DELETE FROM dbos.workflow_input"
    )
    sql.execute("UPDATE dbos.workflow_status SET serialization = %s", [serialization])
    launch()
    sound = client.enqueue({"workflow_name": "known", "queue_name": "work"}, 2)
    assert sound.get_result(polling_interval_sec=0.05) == 2
    row = eventually(lambda: _row(sql, broken.workflow_id), lambda row: row["status"] == "ERROR")
    assert (row["owner_xid"], row["completed_at"] is not None) == (None, True)
    assert runs == [2]
    listed = {status.workflow_id: status for status in client.list_workflows()}
    assert listed[broken.workflow_id].error is not None


def test_wrong_arguments_end_the_workflow_in_an_error(launch: Launch, client: DBOSClient) -> None:
    Queue("work")

    @DBOS.workflow(name="known")
    def known(number: int) -> int:
        return number

    launch()
    handle = client.enqueue({"workflow_name": "known", "queue_name": "work"}, 1, 2, 3)
    with pytest.raises(TypeError, match="positional argument"):
        handle.get_result(polling_interval_sec=0.05)


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_a_workflow_that_exits_its_process_exits_no_process(launch: Launch, client: DBOSClient, kind: str) -> None:
    Queue("work")

    @DBOS.workflow(name="thread")
    def leave() -> None:
        sys.exit(3)

    @DBOS.workflow(name="loop")
    async def leave_loop() -> None:
        sys.exit(3)

    launch(max_executor_threads=1)
    for _ in range(2):  # the only thread, and the only loop, go on
        for handle in (
            client.enqueue({"workflow_name": kind, "queue_name": "work"}),
            DBOS.start_workflow(leave if kind == "thread" else leave_loop),
        ):
            with pytest.raises(RuntimeError, match="SystemExit: 3"):
                handle.get_result(polling_interval_sec=0.05)


def test_an_exception_that_cannot_even_be_told_ends_its_workflow(launch: Launch) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        def __reduce__(self) -> Any:
            raise RuntimeError("no pickle")

    queue = Queue("work")

    @DBOS.workflow()
    def work() -> None:
        raise MuteError

    launch()
    handle = queue.enqueue(work)
    with pytest.raises(Exception, match="MuteError"):
        handle.get_result()


def test_a_listing_shows_rows_that_cannot_be_decoded(launch: Launch, client: DBOSClient, sql: Sql) -> None:
    one = client.enqueue({"workflow_name": "x", "queue_name": "nowhere"}, 1)
    two = client.enqueue({"workflow_name": "x", "queue_name": "nowhere"}, 2)
    sql.execute(
        "UPDATE dbos.workflow_status SET serialization = 'js_superjson' WHERE workflow_uuid = %s", [one.workflow_id]
    )
    listed = {status.workflow_id: status for status in client.list_workflows()}
    assert isinstance(listed[one.workflow_id].input, str)
    assert listed[two.workflow_id].input == {"args": (2,), "kwargs": {}}


@pytest.mark.postgresql_only  # where a table can be given a rule afterwards
@pytest.mark.parametrize("how", ["enqueued", "started", "called"])
def test_an_outcome_that_the_database_refuses_ends_the_workflow_in_an_error_that_says_so(
    launch: Launch, sql: Sql, how: str
) -> None:
    queue = Queue("work")
    sql.execute("ALTER TABLE dbos.workflow_output ADD CHECK (length(output) < 1000)")

    @DBOS.workflow(name="work")
    def work() -> str:
        return "x" * 2000

    launch()
    begin = {"enqueued": queue.enqueue, "started": DBOS.start_workflow}.get(how)
    with pytest.raises(RuntimeError, match="could not be stored: CheckViolation"):
        work() if begin is None else begin(work).get_result()
    row = sql.execute("SELECT status FROM dbos.workflow_status").fetchone()
    assert row == {"status": "ERROR"}


@pytest.mark.parametrize("roles", ["not json", "5", ""])
def test_a_listing_shows_rows_with_strange_roles(client: DBOSClient, sql: Sql, roles: str) -> None:
    handle = client.enqueue({"workflow_name": "x", "queue_name": "nowhere"})
    sql.execute("UPDATE dbos.workflow_status SET authenticated_roles = %s", [roles])
    assert handle.get_status().authenticated_roles == roles
    sql.execute("""UPDATE dbos.workflow_status SET authenticated_roles = '["a"]'""")
    assert handle.get_status().authenticated_roles == ["a"]


def test_a_row_without_a_count_of_attempts_runs(launch: Launch, client: DBOSClient, sql: Sql) -> None:
    Queue("work")

    @DBOS.workflow(name="known")
    def known() -> int:
        return 1

    handle = client.enqueue({"workflow_name": "known", "queue_name": "work"})
    sql.execute("UPDATE dbos.workflow_status SET recovery_attempts = NULL")
    launch()
    assert handle.get_result(polling_interval_sec=0.05) == 1


def test_a_state_that_this_release_does_not_know_is_waited_through(client: DBOSClient, sql: Sql) -> None:
    handle = client.enqueue({"workflow_name": "x", "queue_name": "nowhere"})
    sql.execute("UPDATE dbos.workflow_status SET status = 'SOMETHING_NEW'")
    assert handle.get_status().status == "SOMETHING_NEW"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: handle.get_result(polling_interval_sec=0.05))
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        sql.execute("UPDATE dbos.workflow_status SET status = 'SUCCESS'")
        assert waiting.result(30) is None


# -- as the status API tells it --------------------------------------------------------------------------------------


def _reasons(statuses: list[WorkflowStatus]) -> dict[str, str | None]:
    return {status.workflow_id: status.undispatchable for status in statuses}


@pytest.mark.usefixtures("refused_once")
def test_each_status_says_why_nobody_takes_a_workflow_that_waits(launch: Launch, client: DBOSClient, sql: Sql) -> None:
    @DBOS.workflow(name="known")
    def known() -> None:
        pass

    launch()
    DBOS.register_queue("work")
    DBOS.register_queue("lanes", partition_concurrency=1)
    DBOS.register_queue("full", global_concurrency=1)
    sql.execute("INSERT INTO dbos.queues (name, updated_at, application_name) VALUES ('foreign', 0, 'shop')")
    DBOS.destroy()  # until it is seen as it was enqueued, nobody takes a look at anything
    wanted: dict[str, str | None] = {}

    def enqueue(queue: str, name: str, reason: str | None, **options: Any) -> None:
        handle = client.enqueue({"queue_name": queue, "workflow_name": name, **options})
        wanted[handle.workflow_id] = reason

    enqueue("nowhere", "known", "unregistered queue")
    enqueue("nowhere", "known", "unregistered queue", delay_seconds=3600)
    enqueue("foreign", "known", "unregistered queue")
    enqueue("lanes", "known", "no partition key")
    enqueue("work", "known", None, delay_seconds=3600)
    enqueue("work", "known", None, app_version="another")
    enqueue("work", "strange", "unknown function")
    enqueue("work", "known", "unknown function", class_name="Strange")
    stuck = {workflow_id: reason for workflow_id, reason in wanted.items() if reason is not None}
    before = sql.execute("SELECT * FROM dbos.workflow_status ORDER BY workflow_uuid").fetchall()
    launch()
    eventually(lambda: _reasons(client.list_workflows()), lambda found: found == wanted)
    assert _reasons(DBOS.list_workflows()) == wanted
    assert _reasons(DBOS.list_queued_workflows(undispatchable=True)) == stuck
    assert _reasons(client.list_workflows(undispatchable=True, load_input=False)) == stuck
    assert _reasons(client.list_workflows(undispatchable=True, status="DELAYED")).keys() == {
        workflow_id for workflow_id in stuck if client.retrieve_workflow(workflow_id).get_status().status == "DELAYED"
    }
    rest = client.list_workflows(undispatchable=False)
    assert _reasons(rest) == {workflow_id: None for workflow_id, reason in wanted.items() if reason is None}
    for workflow_id, reason in wanted.items():
        assert client.retrieve_workflow(workflow_id).get_status().undispatchable == reason
    after = sql.execute("SELECT * FROM dbos.workflow_status ORDER BY workflow_uuid").fetchall()
    assert [{**row, "updated_at": 0} for row in after] == [{**row, "updated_at": 0} for row in before]


def test_what_runs_or_ended_is_not_undispatchable(launch: Launch, client: DBOSClient, sql: Sql) -> None:
    Queue("work")

    @DBOS.workflow(name="known")
    def known() -> None:
        pass

    launch()
    handle = client.enqueue({"workflow_name": "known", "queue_name": "work"})
    handle.get_result()
    sql.execute("DELETE FROM dbos.queues")
    direct = DBOS.start_workflow(known)
    direct.get_result()
    assert _reasons(client.list_workflows()) == {handle.workflow_id: None, direct.workflow_id: None}
    assert client.list_workflows(undispatchable=True) == []


def test_a_reason_is_gone_when_somebody_can_take_the_workflow(launch: Launch, client: DBOSClient) -> None:
    @DBOS.workflow(name="known")
    def known() -> int:
        return 5

    launch()
    handle = client.enqueue({"workflow_name": "known", "queue_name": "late"})
    assert handle.get_status().undispatchable == "unregistered queue"
    DBOS.register_queue("late")
    assert handle.get_result(polling_interval_sec=0.05) == 5
    assert handle.get_status().undispatchable is None


def test_what_a_process_refused_is_forgotten_when_it_ends(launch: Launch, client: DBOSClient) -> None:
    Queue("work")
    launch()
    handle = client.enqueue({"workflow_name": "strange", "queue_name": "work"})
    eventually(lambda: handle.get_status().undispatchable, lambda reason: reason == "unknown function")
    DBOS.destroy()
    assert handle.get_status().undispatchable is None


def test_a_database_without_tables_of_ours_tells_what_its_rows_say(client: DBOSClient) -> None:
    handle = client.enqueue({"workflow_name": "strange", "queue_name": "nowhere"})
    assert handle.get_status().undispatchable == "unregistered queue"
    [listed] = client.list_workflows(undispatchable=True)
    assert listed.workflow_id == handle.workflow_id


@pytest.mark.usefixtures("refused_once")
def test_a_queue_full_of_what_nobody_takes_holds_no_slot(launch: Launch, client: DBOSClient) -> None:
    Queue("work", concurrency=2, worker_concurrency=2)

    @DBOS.workflow(name="known")
    def known(number: int) -> int:
        return number

    launch()
    strange = [client.enqueue({"workflow_name": "strange", "queue_name": "work", "priority": 1}) for _ in range(30)]
    handles = [client.enqueue({"workflow_name": "known", "queue_name": "work", "priority": 9}, n) for n in range(5)]
    assert [handle.get_result(polling_interval_sec=0.05) for handle in handles] == list(range(5))
    assert {handle.get_status().status for handle in strange} == {"ENQUEUED"}
