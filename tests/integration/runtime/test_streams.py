"""Streams: every value in order, while the workflow runs, until it closes the stream or ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from dbos import DBOS, DBOSClient, SetWorkflowID, WorkflowSerializationFormat
from dbos.error import (
    DBOSException,
    DBOSNonExistentWorkflowError,
    DBOSStreamNondeterminismError,
    DBOSStreamTimeoutError,
)
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.twins import Options, Twin

pytestmark = pytest.mark.both_databases

Sql = Bystander
CLOSED = "__DBOS_STREAM_CLOSED__"


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Both kinds of calls."""
    return Twin(is_async=request.param)


def _start(workflow: Any, workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


def _rows(sql: Sql) -> list[tuple[Any, ...]]:
    rows = sql.execute('SELECT "offset", value, function_id, serialization FROM dbos.streams ORDER BY "offset"')
    return [tuple(row.values()) for row in rows.fetchall()]


def _steps(sql: Sql, workflow_id: str) -> list[tuple[int, str]]:
    rows = sql.execute(
        "SELECT function_id, function_name FROM dbos.operation_outputs WHERE workflow_uuid = %s ORDER BY function_id",
        [workflow_id],
    ).fetchall()
    return [(row["function_id"], row["function_name"]) for row in rows]


def _again(sql: Sql, workflow_id: str) -> Any:
    """Run a workflow that has ended once more, from its checkpoints."""
    sql.execute(
        "UPDATE dbos.workflow_status SET status = 'ENQUEUED', queue_name = '_dbos_internal_queue', owner_xid = NULL"
        " WHERE workflow_uuid = %s",
        [workflow_id],
    )
    return DBOS.retrieve_workflow(workflow_id).get_result(polling_interval_sec=0.05)


def _writer(twin: Twin) -> Callable[..., Any]:
    """Writes values to stream `s`; closes it; waits until it is told to end."""

    def body(values: Any, close: bool = True, wait: bool = False) -> Any:
        for value in values:
            yield "write_stream", "s", value
        if close:
            yield "close_stream", "s"
        if wait:
            yield "recv", "end", 60

    return twin.workflow(body, name="writer")


def test_values_are_read_in_order_until_the_stream_is_closed(
    launch: Launch, twin: Twin, sql: Sql, client: DBOSClient
) -> None:
    writer = _writer(twin)
    launch()
    handle = _start(writer, "w", ["a", None, {"b": 1}], True, True)
    for reader in (DBOS, client):
        assert twin.values(reader, "w", "s") == ["a", None, {"b": 1}]
        assert twin.values(reader, "w", "s", offset=2) == [{"b": 1}]
        assert twin.call(reader, "read_stream_offset", "w", "s", 2) == {"b": 1}
    DBOS.send("w", 1, "end")
    handle.get_result()
    assert [(row[0], row[2], row[3]) for row in _rows(sql)] == [
        (0, 1, "py_pickle"),
        (1, 2, "py_pickle"),
        (2, 3, "py_pickle"),
        (3, 4, "portable_json"),
    ]
    assert _rows(sql)[3][1] == f'"{CLOSED}"'
    names = ["DBOS.writeStream"] * 3 + ["DBOS.closeStream"]
    assert [name for _, name in _steps(sql, "w")][:4] == names


def test_a_stream_that_nobody_closes_ends_with_its_workflow(launch: Launch, twin: Twin) -> None:
    writer = _writer(twin)
    launch()
    _start(writer, "w", range(250), False).get_result()
    assert twin.values(DBOS, "w", "s") == list(range(250))
    assert twin.values(DBOS, "w", "another") == []
    assert twin.values(DBOS, "w", "s", offset=300) == []


def test_values_come_while_they_are_written(launch: Launch, twin: Twin) -> None:
    def body() -> Any:
        for number in range(3):
            yield "write_stream", "s", (number, time.time())
            yield "recv", "next", 60

    writer = twin.workflow(body, name="writer")
    launch()
    handle = _start(writer, "w")
    delays = []
    for number, (value, written) in enumerate(DBOS.read_stream("w", "s", polling_interval_sec=60)):
        assert value == number
        delays.append(time.time() - written)
        DBOS.send("w", "go on", "next")
    assert len(delays) == 3
    assert max(delays) < 30, "each is told at once, not found by the next poll"
    handle.get_result()


def test_each_read_value_is_a_step_that_a_replay_reads_again(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        values = yield "read_stream", "w", "s"
        return [values, (yield "read_stream_offset", "w", "s", 1)]

    reader = twin.workflow(body, name="reader")
    writer = _writer(twin)
    launch()
    _start(writer, "w", [1, 2]).get_result()
    first = _start(reader, "reader").get_result()
    assert first == [[1, 2], 2]
    assert _steps(sql, "reader") == [
        (1, "DBOS.readStream"),
        (2, "DBOS.readStream"),
        (3, "DBOS.readStream"),
        (4, "DBOS.readStreamOffset"),
    ]
    sql.execute("DELETE FROM dbos.streams")
    assert _again(sql, "reader") == first


def test_a_replay_goes_on_where_the_values_were_recorded(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        return (yield "read_stream", "w", "s")

    reader = twin.workflow(body, name="reader")
    writer = _writer(twin)
    launch()
    _start(writer, "w", [1, 2, 3]).get_result()
    assert _start(reader, "reader").get_result() == [1, 2, 3]
    sql.execute("DELETE FROM dbos.operation_outputs WHERE workflow_uuid = 'reader' AND function_id > 2")
    sql.execute("UPDATE dbos.streams SET value = 'gARLCS4='")
    sql.execute("""UPDATE dbos.streams SET value = '"__DBOS_STREAM_CLOSED__"' WHERE "offset" = 3""")
    assert _again(sql, "reader") == [1, 2, 9]


def test_a_value_that_does_not_come_in_time_is_an_error_that_is_recorded(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        told = []
        for call in (
            ("read_stream", "w", "s", Options(timeout_seconds=0.05)),
            ("read_stream_offset", "w", "s", 7, Options(timeout_seconds=0.05)),
        ):
            try:
                yield call
            except DBOSStreamTimeoutError as error:
                told.append((error.workflow_id, error.key, error.timeout_seconds, error.dbos_error_code))
        return told

    reader = twin.workflow(body, name="reader")
    writer = _writer(twin)
    launch()
    handle = _start(writer, "w", [1], False, True)
    assert twin.call(DBOS, "read_stream_offset", "w", "s", 0) == 1
    expected = [("w", "s", 0.05, 16)] * 2
    assert _start(reader, "reader").get_result() == expected
    with pytest.raises(DBOSStreamTimeoutError):
        twin.values(DBOS, "w", "s", timeout_seconds=0.05)
    DBOS.send("w", 1, "end")
    handle.get_result()
    assert _again(sql, "reader") == expected
    assert _steps(sql, "reader") == [(1, "DBOS.readStream"), (2, "DBOS.readStream"), (3, "DBOS.readStreamOffset")]


def test_an_offset_that_never_comes_is_an_error(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        try:
            yield "read_stream_offset", "w", "s", 1
        except DBOSStreamTimeoutError as error:
            return error.timeout_seconds is None

    reader = twin.workflow(body, name="reader")
    writer = _writer(twin)
    launch()
    _start(writer, "w", [1]).get_result()
    for offset in (1, 2, 50):
        with pytest.raises(DBOSStreamTimeoutError, match=r"No value arrived on stream s of workflow w$"):
            twin.call(DBOS, "read_stream_offset", "w", "s", offset)
    assert _start(reader, "reader").get_result() is True
    assert _again(sql, "reader") is True


def test_two_reads_at_once_in_one_workflow_are_refused_also_when_it_is_replayed(launch: Launch, sql: Sql) -> None:
    @DBOS.workflow()
    async def reader() -> list[str]:
        async def read(key: str) -> list[Any]:
            return [value async for value in DBOS.read_stream_async("w", key)]

        results = await asyncio.gather(
            read("s"), read("t"), DBOS.read_stream_offset_async("w", "s", 0), return_exceptions=True
        )
        return [repr(result) if isinstance(result, list) else type(result).__name__ for result in results]

    writer = _writer(Twin(is_async=True))
    launch()
    _start(writer, "w", [1, 2]).get_result()
    refused = DBOSStreamNondeterminismError.__name__
    expected = ["[1, 2]", refused, refused]
    assert _start(reader, "reader").get_result() == expected
    assert _again(sql, "reader") == expected


def test_reads_that_take_turns_are_fine(launch: Launch) -> None:
    @DBOS.workflow()
    def reader() -> list[int]:
        one, two = DBOS.read_stream("w", "s"), DBOS.read_stream("w", "s", offset=1)
        return [next(one), next(two), next(one), next(two)]

    writer = _writer(Twin(is_async=False))
    launch()
    _start(writer, "w", [1, 2, 3]).get_result()
    assert _start(reader, "reader").get_result() == [1, 2, 2, 3]


def test_steps_write_and_close_under_their_own_number(launch: Launch, twin: Twin, sql: Sql) -> None:
    def step_body() -> Any:
        yield "write_stream", "s", 1
        yield "write_stream", "s", 2
        yield "close_stream", "s"

    step = twin.step(step_body, name="writes")

    def body() -> Any:
        yield "write_stream", "s", 0
        yield (step,)

    writer = twin.workflow(body, name="writer")
    launch()
    _start(writer, "w").get_result()
    assert twin.values(DBOS, "w", "s") == [0, 1, 2]
    assert [row[2] for row in _rows(sql)] == [1, 2, 2, 2]
    assert _steps(sql, "w") == [(1, "DBOS.writeStream"), (2, "writes")]


def test_writers_side_by_side_lose_nothing(launch: Launch, sql: Sql) -> None:
    @DBOS.step()
    async def write(number: int) -> None:
        for value in range(10):
            await DBOS.write_stream_async("s", (number, value))

    @DBOS.workflow()
    async def writer() -> None:
        await asyncio.gather(*(write(number) for number in range(8)))

    launch()
    _start(writer, "w").get_result()
    values = list(DBOS.read_stream("w", "s"))
    assert sorted(values) == [(number, value) for number in range(8) for value in range(10)]
    assert [row[0] for row in _rows(sql)] == list(range(80))


@pytest.mark.postgresql_only  # enqueues by the SQL function
def test_formats_are_those_asked_for_or_the_workflows(launch: Launch, twin: Twin, sql: Sql) -> None:
    def body() -> Any:
        yield "write_stream", "s", (1,)
        yield "write_stream", "s", (1,), Options(serialization_type=WorkflowSerializationFormat.NATIVE)

    twin.workflow(body, name="writer")
    launch()
    sql.execute("SELECT dbos.enqueue_workflow('writer', '_dbos_internal_queue', workflow_id => 'w')")
    DBOS.retrieve_workflow("w").get_result(polling_interval_sec=0.05)
    assert [row[3] for row in _rows(sql)] == ["portable_json", "py_pickle"]
    assert twin.values(DBOS, "w", "s") == [[1], (1,)]


@pytest.mark.parametrize("row", [("gASVGgAAAAAAAACMFl9fREJPU19TVFJFQU1fQ0xPU0VEX1+ULg==", "py_pickle")])
def test_whatever_reads_as_the_end_is_the_end(launch: Launch, twin: Twin, sql: Sql, row: tuple[str, str]) -> None:
    writer = _writer(twin)
    launch()
    _start(writer, "w", [1, 2, 3], False).get_result()
    sql.execute("""UPDATE dbos.streams SET value = %s, serialization = %s WHERE "offset" = 1""", row)
    assert twin.values(DBOS, "w", "s") == [1]


def test_a_gap_is_waited_for_while_the_workflow_runs(launch: Launch, twin: Twin, sql: Sql) -> None:
    writer = _writer(twin)
    launch()
    handle = _start(writer, "w", [1, 2, 3], False, True)
    assert twin.call(DBOS, "read_stream_offset", "w", "s", 2) == 3
    sql.execute("""DELETE FROM dbos.streams WHERE "offset" = 1""")
    with pytest.raises(DBOSStreamTimeoutError):
        twin.values(DBOS, "w", "s", timeout_seconds=0.1)
    DBOS.send("w", 1, "end")
    handle.get_result()
    assert twin.values(DBOS, "w", "s") == [1]


REFUSED: list[tuple[Any, type[Exception], str]] = [
    ({"offset": -1}, ValueError, "offset: expected 0 or more, got -1"),
    ({"offset": "1"}, TypeError, "offset: expected a whole number, got '1'"),
    ({"offset": 0, "polling_interval_sec": 0}, ValueError, "polling_interval_sec: expected at least 0.001"),
    ({"offset": 0, "timeout_seconds": -1}, ValueError, "timeout_seconds: expected 0 or more, or None, got -1"),
    ({"offset": 0, "timeout_seconds": "1"}, TypeError, "timeout_seconds: expected a number of seconds"),
]


def test_what_cannot_be_is_refused_by_name(launch: Launch, twin: Twin, client: DBOSClient) -> None:
    launch()
    for options, kind, said in REFUSED:
        for reader in (DBOS, client):
            with pytest.raises(kind, match=said):
                twin.values(reader, "w", "s", **options)
            with pytest.raises(kind, match=said):
                twin.call(reader, "read_stream_offset", "w", "s", **options)


def test_a_stream_of_no_workflow_is_an_error(launch: Launch, twin: Twin, client: DBOSClient) -> None:
    launch()
    for reader in (DBOS, client):
        with pytest.raises(DBOSNonExistentWorkflowError, match="nowhere"):
            twin.values(reader, "nowhere", "s")
        with pytest.raises(DBOSNonExistentWorkflowError, match="nowhere"):
            twin.call(reader, "read_stream_offset", "nowhere", "s", 0)


def test_only_workflows_and_steps_write(launch: Launch, twin: Twin) -> None:
    launch()
    with pytest.raises(DBOSException, match=r"write_stream\(\) must be called from within a workflow or step"):
        twin.call(DBOS, "write_stream", "s", 1)
    with pytest.raises(DBOSException, match=r"close_stream\(\) must be called from within a workflow or step"):
        twin.call(DBOS, "close_stream", "s")


async def test_on_an_event_loop_the_twins_are_named(launch: Launch) -> None:
    await asyncio.to_thread(launch)
    calls = (
        lambda: DBOS.write_stream("s", 1),
        lambda: DBOS.close_stream("s"),
        lambda: next(DBOS.read_stream("w", "s")),
        lambda: DBOS.read_stream_offset("w", "s", 0),
    )
    for call in calls:
        with pytest.raises(RuntimeError, match=r"await DBOS\.\w+_async instead"):
            call()
