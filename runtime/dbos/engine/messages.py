"""Messages: sent exactly once by workflows, received one by one, waited for without polling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbos._error import DBOSException
from dbos._serialization import WorkflowSerializationFormat
from dbos._sys_db import SendMessage
from dbos.core.ids import check_text, check_topic
from dbos.engine.clock import epoch_seconds
from dbos.engine.context import Execution, take_pending_id
from dbos.engine.operations import operate_as, operate_here
from dbos.engine.pauses import pausing, wake_time
from dbos.engine.places import caller, encoded
from dbos.engine.plan import Plan, Read, Transact
from dbos.engine.services import Services
from dbos.engine.spans import spanned
from dbos.engine.steps import new_step, replay
from dbos.engine.uuids import new_uuid
from dbos.engine.waiting import MAX_ANNOUNCED_BYTES, Channel, Topic
from dbos.serialization.decoding import decode_value
from dbos.serialization.encoding import encode_value
from dbos.store.messages import NO_TOPIC, NewMessage, has_message, send_messages, take_message
from dbos.store.operation import Operation
from dbos.store.rows import StepRecord
from dbos.store.steps import NothingDoneError
from dbos.store.values import Stored

SEND, SEND_BULK, RECV = "DBOS.send", "DBOS.send_bulk", "DBOS.recv"


@spanned("send")
def send(
    services: Services, message: SendMessage, serialization_type: WorkflowSerializationFormat, *, to_forks: bool
) -> Plan[None]:
    """Send a message: once and for all by a workflow; elsewhere once for an idempotency key.

    Outside of workflows the ID of a surrounding SetWorkflowID is such a key.
    """
    execution, _ = caller(services)
    if execution is None and services.records_steps and message.idempotency_key is None:
        message = SendMessage(message.destination_id, message.message, message.topic, take_pending_id())
    return _send(services, [message], serialization_type, name=SEND, to_forks=to_forks)


@spanned("send_bulk")
def send_bulk(
    services: Services,
    messages: Sequence[SendMessage],
    serialization_type: WorkflowSerializationFormat,
    *,
    to_forks: bool,
) -> Plan[None]:
    """Send messages, all or none; as send."""
    return _send(services, messages, serialization_type, name=SEND_BULK, to_forks=to_forks)


def _send(
    services: Services,
    messages: Sequence[SendMessage],
    serialization_type: WorkflowSerializationFormat,
    *,
    name: str,
    to_forks: bool,
) -> Plan[None]:
    _check(messages)

    def prepare(_function_id: int) -> Callable[[], Operation[list[NewMessage]]]:
        return sending(services, messages, serialization_type, to_forks=to_forks)

    execution, step = caller(services)
    sent: list[NewMessage] | None
    if execution is None:
        sent = yield Transact(prepare(0))
    else:
        sent = yield from operate_here(services, (execution, step), name, prepare)
    for message in sent or ():
        services.signals.ring(Topic(Channel.MESSAGES, message.destination, message.topic).key)


def sending(
    services: Services,
    messages: Sequence[SendMessage],
    serialization_type: WorkflowSerializationFormat,
    *,
    to_forks: bool,
) -> Callable[[], Operation[list[NewMessage]]]:
    """The operation that stores messages; it may be tried again."""
    outgoing = [
        NewMessage(
            destination=message.destination_id,
            topic=NO_TOPIC if message.topic is None else message.topic,
            value=encoded(services, message.message, serialization_type),
            token=new_uuid(),
            idempotency_key=message.idempotency_key,
        )
        for message in messages
    ]
    return lambda: send_messages(outgoing, to_forks=to_forks)


@spanned("recv")
def receive(services: Services, execution: Execution, topic: str | None, seconds: float) -> Plan[object]:
    """The oldest message of a topic, as soon as there is one; None when the time is over.

    Message and step are recorded together, so a message is received once, whatever happens.
    """
    name = NO_TOPIC if topic is None else check_topic(topic, subject="topic")
    function_id, timeout_id = execution.next_function_id(), execution.next_function_id()
    replayed = replay(execution, function_id, RECV)
    if replayed is not None:
        return replayed.unwrap()
    step = new_step(services, execution, RECV, function_id)
    until = yield from wake_time(services, execution, timeout_id, seconds)
    news = Topic(Channel.MESSAGES, execution.workflow_id, name)
    with pausing(services, execution, news.key) as pause:
        while True:
            pause.rearm()
            last_try = epoch_seconds() >= until
            if last_try or (yield Read(lambda: has_message(execution.workflow_id, name), polls=True)):
                try:
                    return (yield from _take(services, execution, step, name, last_try=last_try))
                except NothingDoneError:
                    continue  # another recv of this workflow was faster
            yield from pause.until(until, at_most=services.recheck_seconds(news))


def _take(services: Services, execution: Execution, step: StepRecord, topic: str, *, last_try: bool) -> Plan[object]:
    def act() -> Operation[Stored | None]:
        return take_message(execution.workflow_id, topic, step.function_id, last_try=last_try)

    taken: object = yield from operate_as(services, execution, step, act, encode=as_stored(services))
    return decode_value(taken.text, taken.serialization) if isinstance(taken, Stored) else taken


def as_stored(services: Services) -> Callable[[Stored | None], tuple[str | None, str | None]]:
    """How a step records what was sent to it: as it was sent; nothing in the application's format."""

    def encode(value: Stored | None) -> tuple[str | None, str | None]:
        if value is None:
            return encode_value(None, services.serialization), services.serialization
        return value.text, value.serialization

    return encode


def _check(messages: Sequence[SendMessage]) -> None:
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        raise TypeError(f"messages: expected a list of SendMessage, got {messages!r}")
    keys: set[str] = set()
    for message in messages:
        if not isinstance(message, SendMessage):
            raise TypeError(f"messages: expected SendMessage, got {message!r}")
        check_text(message.destination_id, subject="destination_id")
        topic = "" if message.topic is None else check_topic(message.topic, subject="topic")
        if not Topic(Channel.MESSAGES, message.destination_id, topic).announced:  # nor could it be stored
            raise ValueError(
                f"topic: expected less than {MAX_ANNOUNCED_BYTES} bytes together with the destination's ID"
            )
        if message.idempotency_key is None:
            continue
        check_text(message.idempotency_key, subject="idempotency_key")
        if message.idempotency_key in keys:
            raise DBOSException(f"send_bulk: two messages have the idempotency key {message.idempotency_key!r}")
        keys.add(message.idempotency_key)
