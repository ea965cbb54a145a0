"""Rows of workflows that messages from Kafka start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageWorkflow:
    """The workflow of one message, by the names of its columns."""

    workflow_uuid: WorkflowId
    name: str
    inputs: str
    serialization: str
    queue_name: str
    queue_partition_key: str | None
    executor_id: str
    application_id: str
    application_name: str
    application_version: str
    created_at: int
    """Epoch milliseconds."""


def enqueue_messages(messages: Sequence[MessageWorkflow]) -> Operation[list[WorkflowId]]:
    """Enqueue workflows of messages, each once for its ID; the IDs of those that were not there.

    To be performed in one transaction: a row without its input would be a workflow without its message.
    """
    records = json.dumps([asdict(message) for message in messages])
    rows = yield Statement("insert_consumed", {"messages": records})
    ids = [row["workflow_uuid"] for row in rows]
    if ids:
        yield Statement("insert_message_inputs", {"messages": records, "ids": ids})
    return [WorkflowId(workflow_id) for workflow_id in ids]
