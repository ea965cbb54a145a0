"""Why nobody takes a workflow that waits."""

from __future__ import annotations

from enum import StrEnum

RESERVED_PREFIX = "_dbos_"
"""Queues whose names begin so are the library's own: served, though they have no row."""


class Undispatchable(StrEnum):
    """What keeps a workflow that is ENQUEUED or DELAYED from being taken. Its row stays as it is."""

    UNREGISTERED_QUEUE = "unregistered queue"
    """No process of its application serves its queue: the queue was never registered, or was deleted."""
    NO_PARTITION_KEY = "no partition key"
    """The limits of its queue are for partitions, and it belongs to none."""
    UNKNOWN_FUNCTION = "unknown function"
    """A process was handed it lately and has no such function; one that has it may come."""


def dispatch_obstacle(*, served: bool, partitioned: bool, has_key: bool, refused: bool) -> Undispatchable | None:
    """What keeps a waiting workflow from being taken; None when nothing is known to.

    `served`: its queue is registered. `partitioned`: its queue has limits for partitions. `refused`: a process
    refused its function lately.
    """
    if not served:
        return Undispatchable.UNREGISTERED_QUEUE
    if partitioned and not has_key:
        return Undispatchable.NO_PARTITION_KEY
    return Undispatchable.UNKNOWN_FUNCTION if refused else None
