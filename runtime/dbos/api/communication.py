"""Messages, events, streams and durable sleep, as the class methods of DBOS."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from dbos._serialization import WorkflowSerializationFormat
from dbos._sys_db import SendMessage
from dbos.api.runtime import engine, refuse_event_loop
from dbos.api.streaming import make_reader, offset_reader, values, values_async
from dbos.engine.events import get_all_events, get_event, set_event
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.messages import receive, send, send_bulk
from dbos.engine.pauses import sleep
from dbos.engine.places import (
    calling_workflow,
    calling_workflow_or_step,
    check_duration,
    check_format,
    check_patience,
)
from dbos.engine.plan import Plan
from dbos.engine.services import Services
from dbos.engine.streams import close_stream, read_offset, write_stream

DEFAULT = WorkflowSerializationFormat.DEFAULT


class Communication:
    """What workflows tell each other and the world. Each call has a twin in `_async` for coroutines."""

    @classmethod
    def send(
        cls,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        *,
        idempotency_key: str | None = None,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """Send a message to a workflow, whatever its state; it is stored when this returns.

        Exactly once from a workflow. From a step, and elsewhere, once for its `idempotency_key`; outside of
        workflows the ID of a surrounding SetWorkflowID is that key. With `send_to_forks` every fork of the
        workflow gets a copy. Raises DBOSNonExistentWorkflowError when there is no such workflow.
        """
        refuse_event_loop("DBOS.send")
        services = engine().services
        sent = SendMessage(destination_id, message, topic, idempotency_key)
        run_blocking(send(services, sent, check_format(serialization_type), to_forks=send_to_forks), services)

    @classmethod
    async def send_async(
        cls,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        *,
        idempotency_key: str | None = None,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """As send."""
        services = engine().services
        sent = SendMessage(destination_id, message, topic, idempotency_key)
        await run_on_loop(send(services, sent, check_format(serialization_type), to_forks=send_to_forks), services)

    @classmethod
    def send_bulk(
        cls,
        messages: list[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """Send many messages in one transaction, all or none; as send.

        Raises DBOSException when two of them have one idempotency key.
        """
        refuse_event_loop("DBOS.send_bulk")
        services = engine().services
        plan = send_bulk(services, messages, check_format(serialization_type), to_forks=send_to_forks)
        run_blocking(plan, services)

    @classmethod
    async def send_bulk_async(
        cls,
        messages: list[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """As send_bulk."""
        services = engine().services
        plan = send_bulk(services, messages, check_format(serialization_type), to_forks=send_to_forks)
        await run_on_loop(plan, services)

    @classmethod
    def recv(cls, topic: str | None = None, timeout_seconds: float = 60) -> Any:
        """The oldest message of a topic that was sent to this workflow, as soon as there is one.

        None when `timeout_seconds` are over. Each message is received once; without a topic, those that were
        sent without one. Raises DBOSException outside of workflows and in steps.
        """
        refuse_event_loop("DBOS.recv")
        services = engine().services
        return run_blocking(_receiving(services, topic, timeout_seconds), services)

    @classmethod
    async def recv_async(cls, topic: str | None = None, timeout_seconds: float = 60) -> Any:
        """As recv."""
        services = engine().services
        return await run_on_loop(_receiving(services, topic, timeout_seconds), services)

    @classmethod
    def set_event(
        cls, key: str, value: Any, *, serialization_type: WorkflowSerializationFormat | None = DEFAULT
    ) -> None:
        """Publish a value under a key of this workflow, in place of the one that was there.

        Exactly once from a workflow; from a step each time that it runs. Raises DBOSException elsewhere.
        """
        refuse_event_loop("DBOS.set_event")
        services = engine().services
        place = calling_workflow_or_step(services, "set_event")
        run_blocking(set_event(services, place, key, value, check_format(serialization_type)), services)

    @classmethod
    async def set_event_async(
        cls, key: str, value: Any, *, serialization_type: WorkflowSerializationFormat | None = DEFAULT
    ) -> None:
        """As set_event."""
        services = engine().services
        place = calling_workflow_or_step(services, "set_event")
        await run_on_loop(set_event(services, place, key, value, check_format(serialization_type)), services)

    @classmethod
    def get_event(cls, workflow_id: str, key: str, timeout_seconds: float = 60) -> Any:
        """The latest value that a workflow published under a key, as soon as there is one.

        None when `timeout_seconds` are over; the workflow need not exist yet. In a workflow the value is
        recorded, so that a replay gets the same.
        """
        refuse_event_loop("DBOS.get_event")
        services = engine().services
        seconds = check_patience(timeout_seconds, subject="timeout_seconds")
        return run_blocking(get_event(services, workflow_id, key, seconds), services)

    @classmethod
    async def get_event_async(cls, workflow_id: str, key: str, timeout_seconds: float = 60) -> Any:
        """As get_event."""
        services = engine().services
        seconds = check_patience(timeout_seconds, subject="timeout_seconds")
        return await run_on_loop(get_event(services, workflow_id, key, seconds), services)

    @classmethod
    def get_all_events(cls, workflow_id: str) -> dict[str, Any]:
        """The latest value of every key that a workflow published; empty for an unknown workflow."""
        refuse_event_loop("DBOS.get_all_events")
        services = engine().services
        return run_blocking(get_all_events(services, workflow_id), services)

    @classmethod
    async def get_all_events_async(cls, workflow_id: str) -> dict[str, Any]:
        """As get_all_events."""
        services = engine().services
        return await run_on_loop(get_all_events(services, workflow_id), services)

    @classmethod
    def write_stream(
        cls, key: str, value: Any, *, serialization_type: WorkflowSerializationFormat | None = DEFAULT
    ) -> None:
        """Append a value to a stream of this workflow; readers see it at once.

        Exactly once from a workflow; from a step each time that it runs. Raises DBOSException elsewhere.
        """
        refuse_event_loop("DBOS.write_stream")
        services = engine().services
        place = calling_workflow_or_step(services, "write_stream")
        run_blocking(write_stream(services, place, key, value, check_format(serialization_type)), services)

    @classmethod
    async def write_stream_async(
        cls, key: str, value: Any, *, serialization_type: WorkflowSerializationFormat | None = DEFAULT
    ) -> None:
        """As write_stream."""
        services = engine().services
        place = calling_workflow_or_step(services, "write_stream")
        await run_on_loop(write_stream(services, place, key, value, check_format(serialization_type)), services)

    @classmethod
    def close_stream(cls, key: str) -> None:
        """Tell the readers of a stream of this workflow that nothing more comes; as write_stream."""
        refuse_event_loop("DBOS.close_stream")
        services = engine().services
        run_blocking(close_stream(services, calling_workflow_or_step(services, "close_stream"), key), services)

    @classmethod
    async def close_stream_async(cls, key: str) -> None:
        """As close_stream."""
        services = engine().services
        await run_on_loop(close_stream(services, calling_workflow_or_step(services, "close_stream"), key), services)

    @classmethod
    def read_stream(
        cls,
        workflow_id: str,
        key: str,
        *,
        offset: int = 0,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Generator[Any, Any, None]:
        """The values of a workflow's stream from an offset on, one by one as they come.

        Ends when the stream is closed or its workflow has ended. In a workflow each value is recorded, so that
        a replay reads the same. Raises DBOSNonExistentWorkflowError; DBOSStreamTimeoutError when a value takes
        longer than `timeout_seconds`; DBOSStreamNondeterminismError while the workflow reads another stream.
        """
        services = engine().services
        reader = make_reader(services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return values(services, reader, blocks="DBOS.read_stream")

    @classmethod
    def read_stream_async(
        cls,
        workflow_id: str,
        key: str,
        *,
        offset: int = 0,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[Any, None]:
        """As read_stream, for `async for`."""
        services = engine().services
        reader = make_reader(services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return values_async(services, reader)

    @classmethod
    def read_stream_offset(
        cls,
        workflow_id: str,
        key: str,
        offset: int,
        *,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """The value at an offset of a workflow's stream, as soon as it is there.

        Raises as read_stream, and DBOSStreamTimeoutError when the stream ends before the offset.
        """
        refuse_event_loop("DBOS.read_stream_offset")
        services = engine().services
        reader = offset_reader(services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return run_blocking(read_offset(services, reader), services)

    @classmethod
    async def read_stream_offset_async(
        cls,
        workflow_id: str,
        key: str,
        offset: int,
        *,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """As read_stream_offset."""
        services = engine().services
        reader = offset_reader(services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return await run_on_loop(read_offset(services, reader), services)

    @classmethod
    def sleep(cls, seconds: float) -> None:
        """Let this workflow sleep. The time to wake up is recorded: a recovered workflow sleeps what is left.

        Raises DBOSException outside of workflows and in steps.
        """
        refuse_event_loop("DBOS.sleep")
        services = engine().services
        run_blocking(_sleeping(services, seconds), services)

    @classmethod
    async def sleep_async(cls, seconds: float) -> None:
        """As sleep, without a thread: any number of coroutine workflows sleep side by side."""
        services = engine().services
        await run_on_loop(_sleeping(services, seconds), services)


def _receiving(services: Services, topic: str | None, timeout_seconds: float) -> Plan[Any]:
    execution = calling_workflow(services, "recv")
    return receive(services, execution, topic, check_patience(timeout_seconds, subject="timeout_seconds"))


def _sleeping(services: Services, seconds: float) -> Plan[None]:
    execution = calling_workflow(services, "sleep")
    return sleep(services, execution, check_duration(seconds, subject="seconds"))
