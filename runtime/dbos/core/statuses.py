"""The states of a workflow.

    start ------> PENDING -----------> SUCCESS | ERROR
                   ^   |  \
    enqueue -> ENQUEUED <-+ recovery    CANCELLED  (from any state but SUCCESS and ERROR)
                 ^         \
    delay --> DELAYED       +-------->  MAX_RECOVERY_ATTEMPTS_EXCEEDED
"""

from __future__ import annotations

from enum import StrEnum


class WorkflowStatusString(StrEnum):
    """The text in the column `status`."""

    PENDING = "PENDING"
    """It runs, or its process died and it will be recovered."""
    SUCCESS = "SUCCESS"
    """It returned."""
    ERROR = "ERROR"
    """It raised."""
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    """It is a dead letter: it was begun more often than its decorator allows."""
    CANCELLED = "CANCELLED"
    """It was cancelled, or its time was over; it can be resumed."""
    ENQUEUED = "ENQUEUED"
    """It waits on a queue."""
    DELAYED = "DELAYED"
    """It waits for its time, then on a queue."""

    @property
    def active(self) -> bool:
        """Whether the workflow may still run."""
        return self in {self.PENDING, self.ENQUEUED, self.DELAYED}
