"""Messages: sent once, received once, in order, by topic; waited for and given up on."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from dbos import DBOS, DBOSClient, SendMessage, SetWorkflowID, WorkflowSerializationFormat
from dbos.error import DBOSException, DBOSNonExistentWorkflowError
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Options, Twin

pytestmark = pytest.mark.both_databases

Sql = Bystander


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


def _receiver(twin: Twin, *, count: int = 1, topic: str | None = None, seconds: float = 30) -> Any:
    def body() -> Any:
        received: list[Any] = []
        while len(received) < count:
            received.append((yield "recv", topic, seconds))
        return received

    return twin.workflow(body, name="receiver")


def _start(workflow: Any, workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


def _messages(sql: Sql) -> list[dict[str, Any]]:
    return sql.execute("SELECT * FROM dbos.notifications ORDER BY created_at_epoch_ms, ctid").fetchall()


def _steps(sql: Sql, workflow_id: str) -> list[tuple[int, str, str | None, str | None]]:
    rows = sql.execute(
        "SELECT function_id, function_name, output, serialization FROM dbos.operation_outputs"
        " WHERE workflow_uuid = %s ORDER BY function_id",
        [workflow_id],
    ).fetchall()
    return [tuple(row.values()) for row in rows]  # type: ignore[misc]


def test_messages_arrive_in_order_and_by_topic(launch: Launch, twin: Twin) -> None:
    def body() -> Any:
        first = yield "recv", "b", 30
        others = [(yield "recv", None, 30), (yield "recv", None, 30)]
        return [first, *others, (yield "recv", "b", 30), (yield "recv", None, 0.05)]

    receiver = twin.workflow(body, name="receiver")
    launch()
    handle = _start(receiver, "r")
    for message, topic in ((1, None), (2, "b"), (3, None), (4, "b")):
        twin.call(DBOS, "send", "r", message, topic)
    assert handle.get_result() == [2, 1, 3, 4, None]


def test_a_message_wakes_its_receiver_at_once(launch: Launch, twin: Twin, client: DBOSClient) -> None:
    receiver = _receiver(twin, count=3, seconds=60)
    launch()
    handle = _start(receiver, "r")
    for number in range(3):
        time.sleep(0.1)
        sender: Any = client if number == 1 else DBOS
        twin.call(sender, "send", "r", number)
    began = time.monotonic()
    assert handle.get_result() == [0, 1, 2]
    assert time.monotonic() - began < 30


def test_a_bulk_is_received_in_its_order(launch: Launch, twin: Twin, sql: Sql) -> None:
    receiver = _receiver(twin, count=50)
    launch()
    handle = _start(receiver, "r")
    twin.call(DBOS, "send_bulk", [SendMessage("r", number) for number in range(50)])
    assert handle.get_result() == list(range(50))
    assert {row["created_at_epoch_ms"] for row in _messages(sql)} == {_messages(sql)[0]["created_at_epoch_ms"]}
    twin.call(DBOS, "send_bulk", [])


def test_rows_of_a_receipt_name_the_step_that_took_it(launch: Launch, twin: Twin, sql: Sql) -> None:
    receiver = _receiver(twin)
    launch()
    began = time.time()
    handle = _start(receiver, "r")
    twin.call(DBOS, "send", "r", {"a": 1}, serialization_type=WorkflowSerializationFormat.PORTABLE)
    assert handle.get_result() == [{"a": 1}]
    (message,) = _messages(sql)
    assert (message["topic"], message["message"], message["serialization"]) == (
        "__null__topic__",
        '{"a":1}',
        "portable_json",
    )
    assert (message["consumed"], message["consumed_by_function_id"]) == (True, 1)
    first, second = _steps(sql, "r")
    assert first == (1, "DBOS.recv", '{"a":1}', "portable_json")
    assert (second[0], second[1], second[3]) == (2, "DBOS.sleep", "portable_json")
    assert began + 30 <= float(second[2] or 0) <= time.time() + 30


def test_who_gets_nothing_in_time_gets_none(launch: Launch, twin: Twin, sql: Sql) -> None:
    receiver = _receiver(twin, seconds=0.05)
    launch()
    assert _start(receiver, "r").get_result() == [None]
    assert _steps(sql, "r")[0] == (1, "DBOS.recv", "gAROLg==", "py_pickle")


def test_one_key_is_one_message(launch: Launch, twin: Twin, sql: Sql, client: DBOSClient) -> None:
    launch()
    _start(_receiver(twin, seconds=0), "r").get_result()
    for sender in (DBOS, client, DBOS):
        twin.call(sender, "send", "r", 1, idempotency_key="key")
    for number in range(2):
        with SetWorkflowID("my-send"):
            twin.call(DBOS, "send", "r", number, "swid")
            twin.call(DBOS, "send", "r", number, "only the first takes the ID")
    ids = [row["message_uuid"] for row in _messages(sql)]
    assert ids.count("key::r") == 1
    assert ids.count("my-send::r") == 1
    assert len(ids) == 4


def test_a_workflow_sends_once_and_a_step_each_time(launch: Launch, twin: Twin, sql: Sql) -> None:
    def step_body() -> Any:
        yield "send", "target", "from a step"

    step = twin.step(step_body, name="sends_in_step")

    def body() -> Any:
        yield "send", "target", "from a workflow"
        yield (step,)
        try:
            yield "send", "nowhere", 1
        except DBOSNonExistentWorkflowError as error:
            return str(error)

    sender = twin.workflow(body, name="sender")
    launch()
    target = _start(_receiver(twin, count=2), "target")
    told = _start(sender, "s").get_result()
    assert target.get_result() == ["from a workflow", "from a step"]
    assert told.startswith("DBOS Error 5: ")
    assert [row[:2] for row in _steps(sql, "s")] == [(1, "DBOS.send"), (2, "sends_in_step"), (3, "DBOS.send")]

    sql.execute("DELETE FROM dbos.operation_outputs WHERE workflow_uuid = 's' AND function_id = 2")
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', queue_name = '_dbos_internal_queue', owner_xid = NULL"
        " WHERE workflow_uuid = 's'"
    )
    assert DBOS.retrieve_workflow("s").get_result(polling_interval_sec=0.05) == told
    assert [row["message"] for row in _messages(sql)].count(_messages(sql)[0]["message"]) == 1
    assert len(_messages(sql)) == 3


@pytest.mark.postgresql_only  # enqueues by the SQL function
def test_a_portable_workflow_sends_portably_unless_told_otherwise(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        yield "send", "target", [1]
        yield "send", "target", [2], Options(serialization_type=WorkflowSerializationFormat.NATIVE)

    twin.workflow(body, name="sender")
    launch()
    target = _start(_receiver(twin, count=2), "target")
    sql.execute("SELECT dbos.enqueue_workflow('sender', '_dbos_internal_queue', workflow_id => 's')")
    assert target.get_result() == [[1], [2]]
    assert [row["serialization"] for row in _messages(sql)] == ["portable_json", "py_pickle"]


def test_copies_go_to_forks_and_forks_of_forks(launch: Launch, twin: Twin, sql: Sql) -> None:
    launch()
    for workflow_id, origin in (("root", None), ("fork", "root"), ("fork-of-fork", "fork"), ("other", None)):
        _start(_receiver(twin, seconds=0), workflow_id).get_result()
        sql.execute("UPDATE dbos.workflow_status SET forked_from = %s WHERE workflow_uuid = %s", [origin, workflow_id])
    twin.call(DBOS, "send", "root", 1, idempotency_key="key", send_to_forks=True)
    assert [row["message_uuid"] for row in _messages(sql)] == ["key::root", "key::fork", "key::fork-of-fork"]
    twin.call(DBOS, "send_bulk", [SendMessage("fork", 1, "bulk"), SendMessage("other", 2, "bulk")], send_to_forks=True)
    bulk = [row for row in _messages(sql) if row["topic"] == "bulk"]
    assert sorted(row["destination_uuid"] for row in bulk) == ["fork", "fork-of-fork", "other"]
    assert len({row["message_uuid"] for row in bulk}) == 3


def test_messages_are_all_sent_or_none(launch: Launch, twin: Twin, sql: Sql) -> None:
    launch()
    _start(_receiver(twin, seconds=0), "r").get_result()
    with pytest.raises(DBOSNonExistentWorkflowError, match="nobody, nowhere") as caught:
        twin.call(DBOS, "send_bulk", [SendMessage("r", 1), SendMessage("nowhere", 2), SendMessage("nobody", 3)])
    assert caught.value.dbos_error_code == 5
    with pytest.raises(DBOSException, match="two messages have the idempotency key 'k'"):
        twin.call(DBOS, "send_bulk", [SendMessage("r", 1, None, "k"), SendMessage("r", 2, None, "k")])
    assert _messages(sql) == []


@pytest.mark.parametrize("how", ["connection", "session"])
def test_a_message_in_a_callers_transaction_is_sent_with_it(
    launch: Launch, sql: Sql, client: DBOSClient, database_url: str, how: str
) -> None:
    launch()
    handle = _start(_receiver(Twin(is_async=False), count=2), "r")
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() if how == "connection" else Session(engine) as transaction:
            client.send_in_transaction(transaction, "r", "rolled back")
            transaction.rollback()
            client.send_in_transaction(transaction, "r", "kept", None, "key")
            with pytest.raises(DBOSNonExistentWorkflowError):
                client.send_in_transaction(transaction, "nowhere", 1)
            client.send_bulk_in_transaction(transaction, [SendMessage("r", "too")])
            assert _messages(sql) == []
            transaction.commit()
        assert handle.get_result() == ["kept", "too"]
    finally:
        engine.dispose()


def test_a_transaction_that_is_none_is_refused(launch: Launch, client: DBOSClient, sql: Sql) -> None:
    launch()
    for thing in (None, sql, "BEGIN"):
        with pytest.raises(TypeError, match="expected a Connection or a Session of SQLAlchemy"):
            client.send_in_transaction(thing, "r", 1)  # type: ignore[arg-type]


UNSENDABLE: list[tuple[Any, Any, type[Exception], str]] = [
    ((None, 1), {}, TypeError, "destination_id: expected text, got NoneType"),
    ((" ", 1), {}, ValueError, "destination_id: expected text that is not blank"),
    (("r", 1, 5), {}, TypeError, "topic: expected text, got int"),
    (("r", 1, "a\0"), {}, ValueError, "topic: expected text without NUL"),
    (("r", 1, "x" * 8000), {}, ValueError, "topic: expected less than 8000 bytes"),
    (("r", 1), {"idempotency_key": 5}, TypeError, "idempotency_key: expected text, got int"),
    (("r", 1), {"idempotency_key": ""}, ValueError, "idempotency_key: expected text that is not blank"),
    (("r", 1), {"serialization_type": "json"}, TypeError, "serialization_type: expected a member"),
    (("r", threading.Lock()), {}, TypeError, "pickle"),
    (("r", object()), {"serialization_type": WorkflowSerializationFormat.JSON}, TypeError, "portable JSON has no"),
]


def test_what_cannot_be_sent_is_refused_by_name(launch: Launch, twin: Twin) -> None:
    launch()
    _start(_receiver(twin, seconds=0), "r").get_result()
    for args, kwargs, kind, said in UNSENDABLE:
        with pytest.raises(kind, match=said):
            twin.call(DBOS, "send", *args, **kwargs)
    for messages in (None, "text", iter([SendMessage("r", 1)])):
        with pytest.raises(TypeError, match="messages: expected a list of SendMessage"):
            twin.call(DBOS, "send_bulk", messages)


def test_only_workflows_receive(launch: Launch, twin: Twin) -> None:
    def step_body() -> Any:
        yield "recv", None, 0

    step = twin.step(step_body, name="receives")

    def body() -> Any:
        yield (step,)

    receiver = twin.workflow(body, name="receiver")
    launch()
    with pytest.raises(DBOSException, match=r"recv\(\) must be called from within a workflow"):
        twin.call(DBOS, "recv")
    with pytest.raises(DBOSException, match=r"recv\(\) must be called from within a workflow"):
        _start(receiver, "r").get_result()
    with pytest.raises(TypeError, match="messages: expected SendMessage, got"):
        twin.call(DBOS, "send_bulk", [("r", 1)])


async def test_on_an_event_loop_the_twins_are_named(launch: Launch) -> None:
    await asyncio.to_thread(launch)
    for call in (lambda: DBOS.send("r", 1), lambda: DBOS.send_bulk([]), DBOS.recv):
        with pytest.raises(RuntimeError, match=r"await DBOS\.\w+_async instead"):
            call()


def test_without_a_launch_there_is_nowhere_to_send() -> None:
    with pytest.raises(DBOSException, match="DBOS is not configured"):
        DBOS.send("r", 1)


def test_two_who_wait_for_a_topic_get_a_message_each(launch: Launch) -> None:
    @DBOS.workflow()
    async def receiver() -> list[Any]:
        return sorted(await asyncio.gather(DBOS.recv_async("t", 30), DBOS.recv_async("t", 30)))

    launch()
    handle = _start(receiver, "r")
    DBOS.send("r", 1, "t")
    DBOS.send("r", 2, "t")
    assert handle.get_result() == [1, 2]
