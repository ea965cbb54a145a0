"""Streams as generators."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from dbos.api.runtime import refuse_event_loop
from dbos.core.ids import check_text, check_topic
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.places import MIN_POLLING_SECONDS, check_patience
from dbos.engine.services import Services
from dbos.engine.streams import StreamReader, read_next


def make_reader(
    services: Services,
    workflow_id: str,
    key: str,
    offset: int,
    polling_interval_sec: float | None,
    timeout_seconds: float | None,
) -> StreamReader:
    """A reader of a stream. Raises TypeError or ValueError naming what cannot be."""
    if isinstance(offset, bool) or not isinstance(offset, int):
        raise TypeError(f"offset: expected a whole number, got {offset!r}")
    if offset < 0:
        raise ValueError(f"offset: expected 0 or more, got {offset}")
    polling = services.rechecks.polling_seconds
    if polling_interval_sec is not None:
        polling = check_patience(polling_interval_sec, subject="polling_interval_sec")
        if polling < MIN_POLLING_SECONDS:
            raise ValueError(f"polling_interval_sec: expected at least {MIN_POLLING_SECONDS} seconds, got {polling}")
    timeout = None if timeout_seconds is None else check_patience(timeout_seconds, subject="timeout_seconds")
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout_seconds: expected 0 or more, or None, got {timeout_seconds}")
    return StreamReader(
        workflow_id=check_text(workflow_id, subject="workflow_id"),
        key=check_topic(key, subject="key"),
        offset=offset,
        polling_seconds=polling,
        timeout_seconds=timeout,
    )


def offset_reader(
    services: Services,
    workflow_id: str,
    key: str,
    offset: int,
    polling_interval_sec: float | None,
    timeout_seconds: float | None,
) -> StreamReader:
    """A reader of one value; as make_reader."""
    reader = make_reader(services, workflow_id, key, offset, polling_interval_sec, timeout_seconds)
    reader.page = 1
    return reader


def values(services: Services, reader: StreamReader, *, blocks: str | None = None) -> Generator[Any, Any, None]:
    """The values as they come. `blocks` is the call to refuse on a running event loop, if it is refused there."""
    while True:
        if blocks is not None:
            refuse_event_loop(blocks)
        outcome = run_blocking(read_next(services, reader), services)
        if outcome is None:
            return
        yield outcome.value


async def values_async(services: Services, reader: StreamReader) -> AsyncGenerator[Any, None]:
    """The values as they come, without blocking the loop."""
    while (outcome := await run_on_loop(read_next(services, reader), services)) is not None:
        yield outcome.value
