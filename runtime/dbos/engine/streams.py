"""Streams: values that a workflow appends under a key, read in order from anywhere while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dbos._error import DBOSNonExistentWorkflowError, DBOSStreamNondeterminismError, DBOSStreamTimeoutError
from dbos._serialization import WorkflowSerializationFormat
from dbos.core.ids import check_topic
from dbos.core.outcome import Outcome
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.clock import epoch_seconds
from dbos.engine.context import Execution, StepScope
from dbos.engine.operations import operate_here
from dbos.engine.pauses import pausing
from dbos.engine.places import caller, encoded
from dbos.engine.plan import Plan, Read, Wait
from dbos.engine.services import Services, epoch_ms
from dbos.engine.spans import spanned
from dbos.engine.steps import Operated, checkpoint_record, record_checkpoint, replay
from dbos.engine.waiting import Channel, Topic
from dbos.serialization.decoding import UndecodableError, decode_value
from dbos.serialization.encoding import PORTABLE_JSON, encode_value
from dbos.store.operation import Operation
from dbos.store.streams import PAGE, StreamPage, append_to_stream, load_stream
from dbos.store.values import Stored

WRITE, CLOSE, READ, READ_OFFSET = "DBOS.writeStream", "DBOS.closeStream", "DBOS.readStream", "DBOS.readStreamOffset"
CLOSED = "__DBOS_STREAM_CLOSED__"
"""The value that ends a stream."""
ACTIVE = frozenset(status for status in WorkflowStatusString if status.active)


@dataclass(slots=True, kw_only=True)
class StreamReader:
    """Where somebody is in a stream."""

    workflow_id: str
    key: str
    offset: int
    polling_seconds: float
    timeout_seconds: float | None = None
    """For each value; None: as long as the workflow runs."""
    page: int = PAGE
    """How many values are read at once."""
    ahead: deque[Stored] = field(default_factory=deque)
    """What was read and not given yet."""
    ended: bool = False

    def load(self) -> Operation[StreamPage | None]:
        """Read on."""
        return load_stream(self.workflow_id, self.key, self.offset, limit=self.page)


@spanned("write_stream")
def write_stream(
    services: Services,
    place: tuple[Execution, StepScope | None],
    key: str,
    value: Any,
    serialization_type: WorkflowSerializationFormat,
) -> Plan[None]:
    """Append a value: exactly once by a workflow, each time that it runs by a step."""
    return (yield from _append(services, place, key, WRITE, lambda: encoded(services, value, serialization_type)))


@spanned("close_stream")
def close_stream(services: Services, place: tuple[Execution, StepScope | None], key: str) -> Plan[None]:
    """Tell readers that nothing more comes; as write_stream."""
    sentinel = Stored(encode_value(CLOSED, PORTABLE_JSON), PORTABLE_JSON)
    return (yield from _append(services, place, key, CLOSE, lambda: sentinel))


def read_next(services: Services, reader: StreamReader) -> Plan[Outcome | None]:
    """The next value of a stream, as soon as there is one; None when the stream was closed or its workflow ended.

    In a workflow each value is a step, so that a replay reads the same. Raises DBOSNonExistentWorkflowError,
    DBOSStreamTimeoutError and, while another read of the workflow goes on, DBOSStreamNondeterminismError.
    """
    if reader.ended:
        return None
    outcome = yield from _read(services, reader, READ)
    reader.offset += 1
    reader.ended = outcome.error is not None or _closes(outcome.value)
    return None if _closes(outcome.unwrap()) else outcome


def read_offset(services: Services, reader: StreamReader) -> Plan[Any]:
    """The value at an offset, as soon as there is one; as read_next.

    Raises DBOSStreamTimeoutError also when there never will be one.
    """
    outcome = yield from _read(services, reader, READ_OFFSET)
    value = outcome.unwrap()
    if _closes(value):
        raise DBOSStreamTimeoutError(reader.workflow_id, reader.key)
    return value


def _append(
    services: Services, place: tuple[Execution, StepScope | None], key: str, name: str, value: Callable[[], Stored]
) -> Plan[None]:
    check_topic(key, subject="key")
    execution, _ = place

    def prepare(function_id: int) -> Callable[[], Operation[int]]:
        stored = value()
        return lambda: append_to_stream(execution.workflow_id, function_id, key, stored)

    yield from operate_here(services, place, name, prepare)
    services.tell(Topic(Channel.STREAMS, execution.workflow_id, key))


def _read(services: Services, reader: StreamReader, name: str) -> Plan[Outcome]:
    execution, scope = caller(services)
    if execution is None or scope is not None:
        return (yield from _look(services, execution, reader))
    with _alone(execution, reader.key):
        function_id = execution.next_function_id()
        replayed = replay(execution, function_id, name)
        if replayed is not None:
            yield Wait(0)  # reads that were refused because of this one come now, and are refused again
            return replayed
        operated = Operated(function_id, name, epoch_ms())
        outcome = yield from _look(services, execution, reader)
        yield from record_checkpoint(execution, checkpoint_record(services, execution, operated, outcome))
        return outcome


def _look(services: Services, execution: Execution | None, reader: StreamReader) -> Plan[Outcome]:
    try:
        stored = yield from _await_value(services, execution, reader)
        return Outcome(CLOSED if stored is None else decode_value(stored.text, stored.serialization))
    except (DBOSStreamTimeoutError, UndecodableError) as error:
        return Outcome(error=error)


def _await_value(services: Services, execution: Execution | None, reader: StreamReader) -> Plan[Stored | None]:
    if reader.ahead:
        return reader.ahead.popleft()
    until = None if reader.timeout_seconds is None else epoch_seconds() + reader.timeout_seconds
    topic = Topic(Channel.STREAMS, reader.workflow_id, reader.key)
    with pausing(services, execution, topic.key, reader.workflow_id) as pause:
        while True:
            pause.rearm()
            over = until is not None and epoch_seconds() >= until
            page: StreamPage | None = yield Read(reader.load, polls=True)
            if page is None:
                raise DBOSNonExistentWorkflowError("target", reader.workflow_id)
            if page.values:
                reader.ahead.extend(page.values)
                return reader.ahead.popleft()
            if page.status not in ACTIVE:
                return None
            if over:
                raise DBOSStreamTimeoutError(reader.workflow_id, reader.key, reader.timeout_seconds)
            yield from pause.until(until, at_most=reader.polling_seconds)


@contextmanager
def _alone(execution: Execution, key: str) -> Iterator[None]:
    if execution.reads_stream:
        raise DBOSStreamNondeterminismError(execution.workflow_id, key)
    execution.reads_stream = True
    try:
        yield
    finally:
        execution.reads_stream = False


def _closes(value: Any) -> bool:
    return isinstance(value, str) and value == CLOSED
