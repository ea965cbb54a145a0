"""Events: a workflow's latest word on a key, for whoever asks or waits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dbos._serialization import WorkflowSerializationFormat
from dbos.core.ids import check_text, check_topic
from dbos.engine.clock import epoch_seconds
from dbos.engine.context import Execution, StepScope
from dbos.engine.messages import as_stored
from dbos.engine.operations import operate, operate_here
from dbos.engine.pauses import Pause, pausing, wake_time
from dbos.engine.places import caller, encoded
from dbos.engine.plan import Plan, Read
from dbos.engine.services import Services, epoch_ms
from dbos.engine.spans import spanned
from dbos.engine.steps import new_step, record_checkpoint, replay
from dbos.engine.waiting import Channel, Topic
from dbos.serialization.decoding import UndecodableError, decode_value
from dbos.store.events import load_event, load_events, put_event
from dbos.store.operation import Operation
from dbos.store.values import Stored

logger = logging.getLogger("dbos")

SET_EVENT, GET_EVENT, GET_EVENTS = "DBOS.setEvent", "DBOS.getEvent", "DBOS.get_events"


@spanned("set_event")
def set_event(
    services: Services,
    place: tuple[Execution, StepScope | None],
    key: str,
    value: Any,
    serialization_type: WorkflowSerializationFormat,
) -> Plan[None]:
    """Set an event: exactly once by a workflow, each time that it runs by a step."""
    check_topic(key, subject="key")
    execution, _ = place

    def prepare(function_id: int) -> Callable[[], Operation[None]]:
        stored = encoded(services, value, serialization_type)
        return lambda: put_event(execution.workflow_id, function_id, key, stored)

    yield from operate_here(services, place, SET_EVENT, prepare)
    services.tell(Topic(Channel.EVENTS, execution.workflow_id, key))


@spanned("get_event")
def get_event(services: Services, workflow_id: str, key: str, seconds: float) -> Plan[Any]:
    """The latest value of an event, as soon as there is one; None when the time is over.

    In a workflow the value is recorded, so that a replay gets the same.
    """
    topic = Topic(Channel.EVENTS, check_text(workflow_id, subject="workflow_id"), check_topic(key, subject="key"))
    execution, scope = caller(services)
    if execution is None or scope is not None:
        with pausing(services, execution, topic.key) as pause:
            found = yield from _await_event(services, pause, topic, epoch_seconds() + seconds)
        return None if found is None else decode_value(found.text, found.serialization)
    return (yield from _get_event_once(services, execution, topic, seconds))


def get_all_events(services: Services, workflow_id: str) -> Plan[dict[str, Any]]:
    """The latest value of each event of a workflow; what cannot be decoded here stays text."""
    check_text(workflow_id, subject="workflow_id")

    def act() -> Operation[dict[str, Any]]:
        events = yield from load_events(workflow_id)
        return {key: _readable(workflow_id, key, stored) for key, stored in events.items()}

    return (yield from operate(services, GET_EVENTS, act))


def _get_event_once(services: Services, execution: Execution, topic: Topic, seconds: float) -> Plan[Any]:
    function_id, timeout_id = execution.next_function_id(), execution.next_function_id()
    replayed = replay(execution, function_id, GET_EVENT)
    if replayed is not None:
        return replayed.unwrap()
    step = new_step(services, execution, GET_EVENT, function_id)
    until = yield from wake_time(services, execution, timeout_id, seconds)
    with pausing(services, execution, topic.key) as pause:
        found = yield from _await_event(services, pause, topic, until)
    output, serialization = as_stored(services)(found)
    yield from record_checkpoint(
        execution, replace(step, output=output, serialization=serialization, completed_at_ms=epoch_ms())
    )
    return decode_value(output, serialization)


def _await_event(services: Services, pause: Pause, topic: Topic, until: float) -> Plan[Stored | None]:
    while True:
        pause.rearm()
        over = epoch_seconds() >= until
        found: Stored | None = yield Read(lambda: load_event(topic.workflow_id, topic.name), polls=True)
        if found is not None or over:
            return found
        yield from pause.until(until, at_most=services.recheck_seconds(topic))


def _readable(workflow_id: str, key: str, stored: Stored) -> Any:
    try:
        return decode_value(stored.text, stored.serialization)
    except UndecodableError as error:
        logger.warning("Event %r of workflow %s is given as it is stored: %s", key, workflow_id, error)
        return stored.text
