"""Workflows that talk to each other, served by both runtimes; which, and on what, comes from the environment."""

from __future__ import annotations

import os
from typing import Any

from board import note

from dbos import DBOS

DBOS(
    config={
        "name": os.environ["APP"],
        "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"],
        "application_version": os.environ.get("VERSION", os.environ["APP"]),
        "executor_id": os.environ.get("EXECUTOR", os.environ["KIND"]),
    }
)


@DBOS.workflow(name="hear")
def hear(count: int, topic: str | None = None) -> list[Any]:
    """Receives messages, and says which."""
    DBOS.set_event("ready", os.environ["KIND"])
    heard = []
    for number in range(count):
        heard.append(DBOS.recv(topic, 60))
        DBOS.set_event(f"heard-{number}", heard[-1])
        DBOS.write_stream("heard", heard[-1])
    return heard


@DBOS.workflow(name="hear_async")
async def hear_async(count: int) -> list[Any]:
    """The same in a coroutine."""
    await DBOS.set_event_async("ready", os.environ["KIND"])
    return [await DBOS.recv_async(None, 60) for _ in range(count)]


@DBOS.workflow(name="follow")
def follow(workflow_id: str) -> list[Any]:
    """Awaits another workflow's event, reads its stream, and answers it."""
    DBOS.set_event("ready", os.environ["KIND"])
    first = DBOS.get_event(workflow_id, "heard-0", 60)
    DBOS.send(workflow_id, ["followed", first])
    return [first, list(DBOS.read_stream(workflow_id, "heard"))]


@DBOS.workflow(name="stages")
def stages() -> list[Any]:
    """Stops at several waits, so that another process can go on anywhere."""
    note(DBOS.workflow_id, "begun")
    DBOS.set_event("stage", 1)
    DBOS.write_stream("stages", 1)
    first = DBOS.recv("first", 600)
    note(DBOS.workflow_id, "first")
    DBOS.write_stream("stages", first)
    DBOS.sleep(0.01)
    found = DBOS.get_event(DBOS.workflow_id or "", "stage", 600)
    second = DBOS.recv("second", 600)
    DBOS.write_stream("stages", second)
    DBOS.close_stream("stages")
    return [first, found, second, list(DBOS.read_stream(DBOS.workflow_id or "", "stages"))]
