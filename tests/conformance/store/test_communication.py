"""Messages, events and streams as rows, and that operations which find nothing to do leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbos._error import DBOSNonExistentWorkflowError
from dbos.core.ids import OwnerToken, WorkflowId
from dbos.store.database import SystemDatabase
from dbos.store.events import load_event, load_events, put_event
from dbos.store.messages import NewMessage, has_message, send_messages, take_message
from dbos.store.operation import Operation
from dbos.store.steps import Done, NothingDoneError, OwnershipLostError, load_owners, load_step, perform_checkpointed
from dbos.store.streams import StreamPage, append_to_stream, load_stream
from dbos.store.values import Stored
from support.bystander import Bystander
from support.store_records import a_running_workflow, a_step, an_outcome, opened, writing

pytestmark = pytest.mark.both_databases

W = WorkflowId("w")
TOKEN = "00000000-0000-4000-8000-00000000000{}"


@pytest.fixture
def database(database_url: str) -> Iterator[SystemDatabase]:
    """The system database, with the workflows `w` and `x` running."""
    with opened(database_url) as store:
        with writing(store) as writer:
            for name in ("w", "x"):
                writer.write(a_running_workflow(name))
        yield store


def a_message(number: int = 1, **fields: Any) -> NewMessage:
    """A message to `w`; keywords replace fields."""
    message = NewMessage(destination="w", topic="t", value=Stored(str(number), None), token=TOKEN.format(number))
    return replace(message, **fields)


def _send(database: SystemDatabase, *messages: NewMessage, to_forks: bool = False) -> list[NewMessage]:
    return database.transact(lambda: send_messages(messages, to_forks=to_forks))


def _take(database: SystemDatabase, function_id: int = 1, *, topic: str = "t") -> Stored | None:
    return database.transact(lambda: take_message(W, topic, function_id, last_try=True))


def test_a_message_is_stored_once_for_its_id(database: SystemDatabase, sql: Bystander) -> None:
    keyed = a_message(2, idempotency_key="key")
    for _ in range(2):
        _send(database, a_message(1), keyed, replace(keyed, token=TOKEN.format(3)), replace(keyed, destination="x"))
    rows = sql.execute("SELECT message_uuid, destination_uuid, consumed FROM dbos.notifications").fetchall()
    assert sorted((row["message_uuid"], row["destination_uuid"], bool(row["consumed"])) for row in rows) == [
        (TOKEN.format(1), "w", False),
        ("key::w", "w", False),
        ("key::x", "x", False),
    ]


def test_messages_are_taken_in_their_order_each_by_one(database: SystemDatabase, sql: Bystander) -> None:
    _send(database, *(a_message(number) for number in (3, 1, 2)))
    _send(database, a_message(5, topic=""), a_message(4))
    assert database.run(lambda: has_message(W, "t"))
    assert not database.run(lambda: has_message(W, "other"))
    assert not database.run(lambda: has_message(WorkflowId("x"), "t"))
    assert [_take(database, number) for number in (7, 8, 9, 10)] == [Stored(str(n), None) for n in (3, 1, 2, 4)]
    assert _take(database) is None
    assert _take(database, topic="") == Stored("5", None)
    taken = sql.execute("SELECT message, consumed_by_function_id AS by FROM dbos.notifications").fetchall()
    assert {row["message"]: row["by"] for row in taken} == {"3": 7, "1": 8, "2": 9, "4": 10, "5": 1}


SENT = st.tuples(st.just("send"), st.sampled_from(["", "t", "u::v"]), st.sampled_from([None, "k1", "k2"]))
TAKEN = st.tuples(st.just("take"), st.sampled_from(["", "t", "u::v"]), st.none())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(SENT | TAKEN, max_size=25))
def test_whatever_is_sent_and_taken_each_topic_is_a_queue(
    database: SystemDatabase, sql: Bystander, acts: list[tuple[str, str, str | None]]
) -> None:
    sql.execute("DELETE FROM dbos.notifications")
    expected: dict[str, list[str]] = {}
    keys: set[str] = set()
    for number, (act, topic, key) in enumerate(acts, start=1):
        waiting = expected.setdefault(topic, [])
        if act == "take":
            first = _take(database, number, topic=topic)
            assert (None if first is None else first.text) == (waiting.pop(0) if waiting else None)
            continue
        _send(database, a_message(number, topic=topic, token=str(UUID(int=number)), idempotency_key=key))
        if key is None or key not in keys:
            waiting.append(str(number))
        keys |= {key} - {None}  # type: ignore[arg-type]
    for topic, waiting in expected.items():
        assert database.run(lambda topic=topic: has_message(W, topic)) == bool(waiting)


def test_a_destination_that_is_none_stops_them_all(database: SystemDatabase, sql: Bystander) -> None:
    with pytest.raises(DBOSNonExistentWorkflowError, match="nobody, nowhere"):
        _send(database, a_message(1), a_message(2, destination="nowhere"), a_message(3, destination="nobody"))
    assert sql.execute("SELECT * FROM dbos.notifications").fetchall() == []
    assert _send(database) == []


def test_copies_for_forks_have_ids_that_a_second_try_gives_again(database: SystemDatabase, sql: Bystander) -> None:
    sql.execute("UPDATE dbos.workflow_status SET forked_from = 'w' WHERE workflow_uuid = 'x'")
    first = _send(database, a_message(1), to_forks=True)
    assert [message.destination for message in first] == ["w", "x"]
    assert [message.message_id for message in _send(database, a_message(1), to_forks=True)] == [
        message.message_id for message in first
    ]
    keyed = _send(database, a_message(2, idempotency_key="key"), to_forks=True)
    assert [message.message_id for message in keyed] == ["key::w", "key::x"]
    assert len(sql.execute("SELECT * FROM dbos.notifications").fetchall()) == 4


def _checkpointed(database: SystemDatabase, act: Any, **fields: Any) -> Done[Any]:
    step = a_step("w", **fields)
    return database.transact(lambda: perform_checkpointed(lambda _value: step, act, step=step))


def test_an_operation_that_finds_nothing_to_do_leaves_no_trace(database: SystemDatabase, sql: Bystander) -> None:
    def act() -> Operation[Stored | None]:
        yield from put_event(W, 1, "key", Stored("1", None))
        return (yield from take_message(W, "t", 1, last_try=False))

    with pytest.raises(NothingDoneError):
        _checkpointed(database, act)
    assert database.run(lambda: load_step(W, 1)) is None
    assert database.run(lambda: load_events("w")) == {}
    _send(database, a_message(1))
    assert _checkpointed(database, act).value == Stored("1", None)
    assert _checkpointed(database, act).recorded is not None
    assert database.run(lambda: load_event("w", "key")) == Stored("1", None)


def test_who_lost_the_workflow_changes_nothing(database: SystemDatabase) -> None:
    with pytest.raises(OwnershipLostError):
        _checkpointed(database, lambda: put_event(W, 1, "key", Stored("1", None)), owner=OwnerToken("thief"))
    assert database.run(lambda: load_event("w", "key")) is None


def test_an_event_has_its_latest_value_and_one_for_each_step(database: SystemDatabase, sql: Bystander) -> None:
    for function_id, value in ((1, "a"), (2, "b"), (2, "c")):
        database.transact(lambda f=function_id, v=value: put_event(W, f, "key", Stored(v, "py_pickle")))
    assert database.run(lambda: load_events("w")) == {"key": Stored("c", "py_pickle")}
    rows = sql.execute("SELECT function_id, value FROM dbos.workflow_events_history ORDER BY function_id").fetchall()
    assert [(row["function_id"], row["value"]) for row in rows] == [(1, "a"), (2, "c")]


def _append(database: SystemDatabase, value: str, key: str = "s") -> int:
    return database.transact(lambda: append_to_stream(W, 1, key, Stored(value, None)))


def _load(database: SystemDatabase, offset: int, limit: int = 100) -> StreamPage | None:
    return database.run(lambda: load_stream("w", "s", offset, limit=limit))


def test_values_get_the_next_offsets_of_their_stream(database: SystemDatabase) -> None:
    assert [_append(database, value) for value in "abc"] == [0, 1, 2]
    assert _append(database, "x", key="another") == 0
    assert _load(database, 1) == StreamPage("PENDING", [Stored("b", None), Stored("c", None)])
    assert _load(database, 0, limit=1) == StreamPage("PENDING", [Stored("a", None)])
    assert _load(database, 3) == StreamPage("PENDING", [])
    assert database.run(lambda: load_stream("nowhere", "s", 0, limit=1)) is None


def test_a_page_ends_at_a_gap_and_tells_that_the_workflow_has_ended(database: SystemDatabase, sql: Bystander) -> None:
    for value in "abcd":
        _append(database, value)
    sql.execute("""DELETE FROM dbos.streams WHERE "offset" = 2""")
    with writing(database) as writer:
        writer.write(an_outcome("w"))
    assert _load(database, 0) == StreamPage("SUCCESS", [Stored("a", None), Stored("b", None)])
    assert _load(database, 2) == StreamPage("SUCCESS", [])
    assert _load(database, 3) == StreamPage("SUCCESS", [Stored("d", None)])


def test_writers_that_do_not_know_of_each_other_never_share_an_offset(
    database: SystemDatabase, database_url: str
) -> None:
    with opened(database_url) as other, ThreadPoolExecutor(8) as threads:
        offsets = list(threads.map(lambda n: _append((database, other)[n % 2], str(n)), range(60)))
    assert sorted(offsets) == list(range(60))


def test_owners_are_told_of_workflows_that_are_there(database: SystemDatabase, sql: Bystander) -> None:
    sql.execute("UPDATE dbos.workflow_status SET status = 'CANCELLED', owner_xid = NULL WHERE workflow_uuid = 'x'")
    found = database.run(lambda: load_owners([W, WorkflowId("x"), WorkflowId("nowhere")]))
    assert found == {"w": ("PENDING", "owner"), "x": ("CANCELLED", None)}
