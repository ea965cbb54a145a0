"""Workflows that wait under the key of a debouncer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from dbos.store.operation import Operation, Statement
from dbos.store.records import insert_statement
from dbos.store.rows import NewWorkflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """A call of a debouncer: which workflow it is about, until when it waits, and its new arguments."""

    name: str
    queue: str
    key: str
    """The deduplication ID."""
    application: str | None
    """Whose workflow it may be; None for any."""
    delay_until_ms: int
    inputs: str
    serialization: str | None


class DebounceResult(TypedDict):
    """What became of a call: the workflow that was put off, or who holds the key; as it is recorded."""

    bounced_workflow_id: str | None
    holder_workflow_id: str | None
    holder_is_debounced: bool
    holder_workflow_name: str | None
    holder_application_name: str | None


def extend_debounced(bounce: Bounce) -> Operation[DebounceResult]:
    """Put off the workflow that waits under the key and give it new arguments, or tell who holds the key.

    For one transaction.
    """
    rows = yield Statement(
        "extend_debounced",
        {
            "name": bounce.name,
            "queue": bounce.queue,
            "key": bounce.key,
            "application": bounce.application,
            "delay_until_ms": bounce.delay_until_ms,
            "serialization": bounce.serialization,
        },
    )
    if rows:
        workflow_id = rows[0]["workflow_uuid"]
        yield Statement("replace_inputs", {"workflow_id": workflow_id, "inputs": bounce.inputs})
        return _result(bounced=workflow_id)
    holders = yield Statement("load_key_holder", {"queue": bounce.queue, "key": bounce.key})
    if not holders:
        return _result()
    holder = holders[0]
    return DebounceResult(
        bounced_workflow_id=None,
        holder_workflow_id=holder["workflow_uuid"],
        holder_is_debounced=bool(holder["is_debounced"]),
        holder_workflow_name=holder["name"],
        holder_application_name=holder["application_name"],
    )


def extend_or_enqueue(bounce: Bounce, record: NewWorkflow) -> Operation[DebounceResult]:
    """As extend_debounced, and when nobody holds the key enqueue the record: it counts as put off.

    For one transaction. A repeated one finds the workflow of the first under the key.
    """
    result = yield from extend_debounced(bounce)
    if result["bounced_workflow_id"] is not None or result["holder_workflow_id"] is not None:
        return result
    insert = insert_statement([record])
    if (yield Statement(insert.name, {**insert.parameters, "creator_xid": None})):
        return _result(bounced=record.workflow_id)
    if (yield Statement("load_status", {"workflow_id": record.workflow_id})):
        return _result(bounced=record.workflow_id)  # the ID is taken: its workflow is the one
    return (yield from extend_debounced(bounce))  # somebody was faster under the same key


def _result(*, bounced: str | None = None) -> DebounceResult:
    return DebounceResult(
        bounced_workflow_id=bounced,
        holder_workflow_id=None,
        holder_is_debounced=False,
        holder_workflow_name=None,
        holder_application_name=None,
    )
