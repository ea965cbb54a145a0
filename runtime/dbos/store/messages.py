"""Messages to workflows: stored once for their ID, taken once, oldest first."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbos._error import DBOSNonExistentWorkflowError
from dbos.core.ids import WorkflowId
from dbos.store.operation import Operation, Statement
from dbos.store.steps import NothingDoneError
from dbos.store.values import Stored

NO_TOPIC = "__null__topic__"
"""What the column holds for a message without a topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to store. `token`, a UUID, is drawn once a send, so that a repeated one knows its own row."""

    destination: str
    topic: str
    value: Stored
    token: str
    idempotency_key: str | None = None
    """At most one message of this key is stored for a destination."""

    @property
    def message_id(self) -> str:
        """The ID of the row."""
        return self.token if self.idempotency_key is None else f"{self.idempotency_key}::{self.destination}"

    def copied_to(self, fork: str) -> NewMessage:
        """The same message to a fork of its destination."""
        return replace(self, destination=fork, token=str(uuid.uuid5(uuid.UUID(self.token), fork)))


def send_messages(messages: Sequence[NewMessage], *, to_forks: bool = False) -> Operation[list[NewMessage]]:
    """Store messages, all or none, each once for its ID; with `to_forks` also for every fork that is there now.

    Gives what is stored now, copies for forks included. Raises DBOSNonExistentWorkflowError naming
    destinations that are no workflows. For a transaction.
    """
    destinations = sorted({message.destination for message in messages})
    found = yield Statement("load_destinations", {"ids": destinations})
    known = {row["workflow_uuid"] for row in found}
    missing = [destination for destination in destinations if destination not in known]
    if missing:
        raise DBOSNonExistentWorkflowError("`send` destination", ", ".join(missing))
    outgoing: dict[str, NewMessage] = {}
    for message in messages:
        outgoing.setdefault(message.message_id, message)
        if to_forks:
            for fork in (yield Statement("load_forks", {"workflow_id": message.destination})):
                copy = message.copied_to(fork["workflow_uuid"])
                outgoing.setdefault(copy.message_id, copy)
    rows = [_row(message) for message in outgoing.values()]
    if len(rows) == 1:
        yield Statement("insert_message", rows[0])
    elif rows:
        yield Statement("insert_messages", {"messages": json.dumps(rows)})
    return list(outgoing.values())


def has_message(workflow_id: WorkflowId, topic: str) -> Operation[bool]:
    """Whether a message waits for a workflow."""
    rows = yield Statement("load_unread", {"workflow_id": workflow_id, "topic": topic})
    return bool(rows)


def take_message(workflow_id: WorkflowId, topic: str, function_id: int, *, last_try: bool) -> Operation[Stored | None]:
    """Take the oldest message of a topic, as the step that receives it; for a transaction that locks the workflow.

    Without one: None on the last try, else raises NothingDoneError.
    """
    rows = yield Statement("take_message", {"workflow_id": workflow_id, "topic": topic, "function_id": function_id})
    if rows:
        return Stored(rows[0]["message"], rows[0]["serialization"])
    if not last_try:
        raise NothingDoneError
    return None


def _row(message: NewMessage) -> dict[str, str | None]:
    return {
        "message_uuid": message.message_id,
        "destination_uuid": message.destination,
        "topic": message.topic,
        "message": message.value.text,
        "serialization": message.value.serialization,
    }
