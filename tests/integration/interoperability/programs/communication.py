"""Messages, events, streams and sleep, in one program for both runtimes; its rows are compared."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from board import execute

from dbos import DBOS, DBOSClient, SendMessage, SetWorkflowID, WorkflowSerializationFormat
from dbos import error as errors

URL = os.environ["DBOS_SYSTEM_DATABASE_URL"]
NATIVE, PORTABLE = WorkflowSerializationFormat.NATIVE, WorkflowSerializationFormat.PORTABLE


def told(act: Callable[[], Any]) -> Any:
    """What a call gives, or the class of what it raises."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
        return type(error).__name__


@DBOS.step()
def says() -> None:
    """Everything that a step may say."""
    DBOS.send("inbox", "by a step", "steps")
    DBOS.send_bulk([SendMessage("inbox", "one", "steps"), SendMessage("inbox", "two", "steps", "step-key")])
    DBOS.set_event("status", "in a step")
    DBOS.set_event("only", {"in": ["a step"]})
    DBOS.write_stream("log", "in a step")
    DBOS.close_stream("other")


@DBOS.step()
def asks() -> list[Any]:
    """Everything that a step may ask: nothing of it is recorded."""
    return [
        DBOS.get_event("speaks", "status", 0),
        DBOS.get_event("speaks", "nothing", 0),
        DBOS.get_all_events("speaks"),
        list(DBOS.read_stream("speaks", "log")),
        DBOS.read_stream_offset("speaks", "log", 0),
    ]


@DBOS.workflow()
def inbox() -> int:
    """Somebody who can be told things."""
    return 1


@DBOS.workflow()
def speaks() -> str:
    """Sends, publishes and streams, in a workflow and in a step."""
    DBOS.send("inbox", {"a": (1, None)})
    DBOS.send("inbox", "topical", "topic", idempotency_key="key")
    DBOS.send("inbox", "again", "topic", idempotency_key="key")
    DBOS.send("inbox", {"b": [1]}, "portable", serialization_type=PORTABLE)
    DBOS.send_bulk([SendMessage("inbox", number, "bulk") for number in range(3)])
    DBOS.send_bulk([])
    seen = told(lambda: DBOS.send("nowhere", 1))
    DBOS.set_event("status", "begun")
    DBOS.set_event("status", "half")
    DBOS.set_event("portable", {"much": [1.5, None]}, serialization_type=PORTABLE)
    DBOS.write_stream("log", 1)
    DBOS.write_stream("log", {"two": 2}, serialization_type=PORTABLE)
    says()
    DBOS.write_stream("log", "last")
    DBOS.close_stream("log")
    DBOS.write_stream("log", "behind the end")
    DBOS.sleep(0.05)
    DBOS.sleep(0)
    DBOS.sleep(-1)
    return f"{seen}"


@DBOS.workflow()
def hears() -> list[Any]:
    """Receives, asks and reads, what is there and what is not."""
    heard = [
        DBOS.recv(),
        DBOS.recv("topic", 5),
        DBOS.recv("topic", 0),
        DBOS.recv("never", -1),
        DBOS.recv("portable", 5),
        DBOS.get_event("speaks", "status", 5),
        DBOS.get_event("speaks", "portable", 5),
        DBOS.get_event("nowhere", "status", 0.05),
        DBOS.get_all_events("speaks"),
        list(DBOS.read_stream("speaks", "log")),
        list(DBOS.read_stream("speaks", "log", offset=2)),
        list(DBOS.read_stream("speaks", "other")),
        list(DBOS.read_stream("speaks", "never")),
        DBOS.read_stream_offset("speaks", "log", 1),
        told(lambda: DBOS.read_stream_offset("speaks", "log", 4)),
        told(lambda: DBOS.read_stream_offset("speaks", "log", 40)),
        told(lambda: list(DBOS.read_stream("waits", "never", timeout_seconds=0.05))),
        told(lambda: DBOS.read_stream_offset("waits", "never", 0, timeout_seconds=0.05)),
        told(lambda: list(DBOS.read_stream("nowhere", "log"))),
        asks(),
    ]
    first = next(iter(DBOS.read_stream("speaks", "log", offset=1)))
    return [*heard, first]


@DBOS.workflow()
def waits() -> Any:
    """Runs until it is told to end."""
    return DBOS.recv("end", 60)


@DBOS.workflow(name="portably")
def portably() -> list[Any]:
    """The same under portable arguments: what is told is portable, what is recorded of it as well."""
    own = DBOS.workflow_id or ""
    DBOS.send(own, {"a": [1]})
    DBOS.send(own, {"a": [2]}, serialization_type=NATIVE)
    DBOS.set_event("default", {"x": None})
    DBOS.set_event("native", {"x": None}, serialization_type=NATIVE)
    DBOS.write_stream("log", ["ü"])
    DBOS.write_stream("log", ["ü"], serialization_type=NATIVE)
    DBOS.close_stream("log")
    heard = [DBOS.recv(), DBOS.recv(), DBOS.recv("nothing", 0)]
    heard += [DBOS.get_event(own, "default", 5), DBOS.get_event(own, "native", 5), DBOS.get_all_events(own)]
    refused = told(lambda: DBOS.send("nowhere", 1))
    DBOS.sleep(0.01)
    return [*heard, list(DBOS.read_stream(own, "log")), refused]


@DBOS.workflow(name="at_once")
async def at_once() -> list[Any]:
    """Calls side by side: their numbers are those of their order."""
    results = await asyncio.gather(
        DBOS.sleep_async(0.05),
        DBOS.get_event_async("speaks", "status", 5),
        DBOS.recv_async("nothing", 0.05),
        DBOS.set_event_async("key", "value"),
        DBOS.write_stream_async("log", 1),
        DBOS.send_async("inbox", "side by side", "async"),
        DBOS.close_stream_async("log"),
        DBOS.get_all_events_async("speaks"),
        DBOS.read_stream_offset_async("speaks", "log", 0),
        DBOS.send_bulk_async([SendMessage("inbox", "bulk", "async")]),
    )
    values = [value async for value in DBOS.read_stream_async("speaks", "log")]
    refused = await asyncio.gather(
        DBOS.read_stream_offset_async("waits", "never", 0, timeout_seconds=0.1),
        DBOS.read_stream_offset_async("speaks", "log", 0),
        return_exceptions=True,
    )
    return [*results, values, [type(error).__name__ for error in refused]]


def plainly() -> None:
    """What is said outside of workflows."""
    DBOS.send("hears", "first")
    DBOS.send("hears", "topical", "topic")
    DBOS.send("hears", {"p": 1}, "portable", serialization_type=PORTABLE)
    DBOS.send("inbox", "kept once", "plain", idempotency_key="plain")
    DBOS.send("inbox", "not kept", "plain", idempotency_key="plain")
    DBOS.send("inbox", "empty topic", "")
    with suppress(errors.DBOSNonExistentWorkflowError):
        DBOS.send("nowhere", 1)
    client = DBOSClient(system_database_url=URL)
    client.send("inbox", "by a client", "client", "client-key")
    client.send("inbox", [1, "ü"], "client", serialization_type=PORTABLE)
    client.send_bulk([SendMessage("inbox", 1, "client bulk"), SendMessage("inbox", 2, "client bulk", "bulk-key")])
    client.destroy()
    execute("SELECT dbos.send_message('inbox', '{\"by\": \"SQL\"}'::json, 'sql', 'sql-id')")


def run(workflow_id: str, workflow: Callable[[], Any]) -> None:
    """Run a workflow under an ID."""
    with SetWorkflowID(workflow_id):
        workflow()


if __name__ == "__main__":
    DBOS(config={"name": "communication", "system_database_url": URL})
    DBOS.launch()
    run("inbox", inbox)
    with SetWorkflowID("waits"):
        waiting = DBOS.start_workflow(waits)
    run("speaks", speaks)
    with SetWorkflowID("hears"):
        hearing = DBOS.start_workflow(hears)
    plainly()
    hearing.get_result()
    execute("SELECT dbos.enqueue_workflow('portably', '_dbos_internal_queue', workflow_id => 'portably')")
    DBOS.retrieve_workflow("portably").get_result()
    with SetWorkflowID("at-once"):
        asyncio.run(at_once())
    DBOS.send("waits", "now", "end")
    waiting.get_result()
    DBOS.destroy()
