"""Events: the latest value of each key of a workflow, and what it was at each step."""

from __future__ import annotations

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement
from dbos.store.values import Stored


def put_event(workflow_id: WorkflowId, function_id: int, key: str, value: Stored) -> Operation[None]:
    """Set an event, as the step that does it; for a transaction."""
    event = {"workflow_id": workflow_id, "key": key, "value": value.text, "serialization": value.serialization}
    yield Statement("put_event", event)
    yield Statement("put_event_history", {**event, "function_id": function_id})


def load_event(workflow_id: str, key: str) -> Operation[Stored | None]:
    """The latest value of an event; None while it was not set."""
    rows = yield Statement("load_event", {"workflow_id": workflow_id, "key": key})
    return Stored(rows[0]["value"], rows[0]["serialization"]) if rows else None


def load_events(workflow_id: str) -> Operation[dict[str, Stored]]:
    """The latest value of each event of a workflow."""
    rows = yield Statement("load_events", {"workflow_id": workflow_id})
    return {row["key"]: Stored(row["value"], row["serialization"]) for row in rows}
