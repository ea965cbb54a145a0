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
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    CANCELLED = "CANCELLED"
    ENQUEUED = "ENQUEUED"
    DELAYED = "DELAYED"

    @property
    def active(self) -> bool:
        """Whether the workflow may still run."""
        return self in {self.PENDING, self.ENQUEUED, self.DELAYED}
