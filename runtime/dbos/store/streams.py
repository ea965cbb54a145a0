"""Streams: ordered values under a key of a workflow, appended and never changed."""

from __future__ import annotations

from dataclasses import dataclass

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement
from dbos.store.values import Stored

PAGE = 100
"""Most values read at once."""


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Values that follow each other without a gap, and the status that the workflow had then."""

    status: str
    values: list[Stored]


def append_to_stream(workflow_id: WorkflowId, function_id: int, key: str, value: Stored) -> Operation[int]:
    """Append a value as the step that writes it; its offset."""
    row = {
        "workflow_id": workflow_id,
        "function_id": function_id,
        "key": key,
        "value": value.text,
        "serialization": value.serialization,
    }
    while True:
        written = yield Statement("append_to_stream", row)
        if written:
            offset: int = written[0]["offset"]
            return offset


def load_stream(workflow_id: str, key: str, offset: int, *, limit: int) -> Operation[StreamPage | None]:
    """The values of a stream from an offset on; None when there is no such workflow."""
    rows = yield Statement("load_stream", {"workflow_id": workflow_id, "key": key, "offset": offset, "limit": limit})
    if not rows:
        return None
    values = []
    for expected, row in enumerate(rows, start=offset):
        if row["offset"] != expected:
            break
        values.append(Stored(row["value"], row["serialization"]))
    return StreamPage(rows[0]["status"], values)
