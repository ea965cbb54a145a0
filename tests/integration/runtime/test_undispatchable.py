"""What cannot run here ends visibly or waits for who can, and never blocks its queue."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, Queue
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.waiting import eventually

pytestmark = pytest.mark.both_databases

Sql = Bystander


def _row(sql: Sql, workflow_id: str) -> dict[str, Any]:
    row = sql.execute("SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", [workflow_id]).fetchone()
    assert row is not None
    return row


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
        assert waiting.result(10) is None
