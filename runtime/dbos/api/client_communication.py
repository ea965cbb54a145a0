"""Messages, events and streams, as the methods of a client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from dbos._serialization import WorkflowSerializationFormat
from dbos._sys_db import SendMessage
from dbos.api.runtime import note_event_loop
from dbos.api.streaming import make_reader, offset_reader, values, values_async
from dbos.engine.events import get_event
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.messages import send, send_bulk
from dbos.engine.places import check_format, check_patience
from dbos.engine.services import Services
from dbos.engine.streams import read_offset

DEFAULT = WorkflowSerializationFormat.DEFAULT


class ClientCommunication:
    """What a client tells workflows and hears of them. Each call has a twin in `_async` for coroutines."""

    _services: Services

    def send(
        self,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        idempotency_key: str | None = None,
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """Send a message to a workflow, whatever its state; it is stored when this returns.

        Once for its `idempotency_key`: give one, so that a call that is repeated sends nothing more. With
        `send_to_forks` every fork of the workflow gets a copy. Raises DBOSNonExistentWorkflowError when there
        is no such workflow.
        """
        note_event_loop("DBOSClient.send")
        sent = SendMessage(destination_id, message, topic, idempotency_key)
        plan = send(self._services, sent, check_format(serialization_type), to_forks=send_to_forks)
        run_blocking(plan, self._services)

    async def send_async(
        self,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        idempotency_key: str | None = None,
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """As send."""
        sent = SendMessage(destination_id, message, topic, idempotency_key)
        plan = send(self._services, sent, check_format(serialization_type), to_forks=send_to_forks)
        await run_on_loop(plan, self._services)

    def send_bulk(
        self,
        messages: list[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """Send many messages in one transaction, all or none; as send.

        Raises DBOSException when two of them have one idempotency key.
        """
        note_event_loop("DBOSClient.send_bulk")
        plan = send_bulk(self._services, messages, check_format(serialization_type), to_forks=send_to_forks)
        run_blocking(plan, self._services)

    async def send_bulk_async(
        self,
        messages: list[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """As send_bulk."""
        plan = send_bulk(self._services, messages, check_format(serialization_type), to_forks=send_to_forks)
        await run_on_loop(plan, self._services)

    def get_event(self, workflow_id: str, key: str, timeout_seconds: float = 60) -> Any:
        """The latest value that a workflow published under a key, as soon as there is one.

        None when `timeout_seconds` are over; the workflow need not exist yet.
        """
        note_event_loop("DBOSClient.get_event")
        seconds = check_patience(timeout_seconds, subject="timeout_seconds")
        return run_blocking(get_event(self._services, workflow_id, key, seconds), self._services)

    async def get_event_async(self, workflow_id: str, key: str, timeout_seconds: float = 60) -> Any:
        """As get_event."""
        seconds = check_patience(timeout_seconds, subject="timeout_seconds")
        return await run_on_loop(get_event(self._services, workflow_id, key, seconds), self._services)

    def read_stream(
        self,
        workflow_id: str,
        key: str,
        *,
        offset: int = 0,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Generator[Any, Any, None]:
        """The values of a workflow's stream from an offset on, one by one as they come.

        Ends when the stream is closed or its workflow has ended. Raises DBOSNonExistentWorkflowError, and
        DBOSStreamTimeoutError when a value takes longer than `timeout_seconds`.
        """
        note_event_loop("DBOSClient.read_stream")
        reader = make_reader(self._services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return values(self._services, reader)

    def read_stream_async(
        self,
        workflow_id: str,
        key: str,
        *,
        offset: int = 0,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[Any, None]:
        """As read_stream, for `async for`."""
        reader = make_reader(self._services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return values_async(self._services, reader)

    def read_stream_offset(
        self,
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
        note_event_loop("DBOSClient.read_stream_offset")
        reader = offset_reader(self._services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return run_blocking(read_offset(self._services, reader), self._services)

    async def read_stream_offset_async(
        self,
        workflow_id: str,
        key: str,
        offset: int,
        *,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """As read_stream_offset."""
        reader = offset_reader(self._services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
        return await run_on_loop(read_offset(self._services, reader), self._services)
