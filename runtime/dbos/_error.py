"""The error classes, under the path that pickled errors of every DBOS for Python name.

Each pickles through its constructor's arguments, so a worker of another release reads it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from dbos._serialization import PortableWorkflowError


class DBOSErrorCode(IntEnum):
    """The number in `DBOS Error <number>: …` and in the attribute `dbos_error_code`."""

    ConflictingIDError = 1
    RecoveryError = 2
    InitializationError = 3
    WorkflowFunctionNotFound = 4
    NonExistentWorkflowError = 5
    MaxRecoveryAttemptsExceeded = 6
    MaxStepRetriesExceeded = 7
    NotAuthorized = 8
    ConflictingWorkflowError = 9
    WorkflowCancelled = 10
    UnexpectedStep = 11
    QueueDeduplicated = 12
    AwaitedWorkflowCancelled = 13
    AwaitedWorkflowMaxRecoveryAttemptsExceeded = 14
    PatchNondeterminism = 15
    StreamTimeout = 16
    StreamNondeterminism = 17
    StepTimeout = 18
    QueryTimeout = 26
    WorkflowIDInUse = 27
    StepNondeterminism = 28


class _Coded:
    """What both bases share: the message with its code, and a pickle made of constructor arguments."""

    message: str
    dbos_error_code: int | None
    _arguments: tuple[Any, ...] | None = None

    def _describe(self, message: str, code: int | None) -> None:
        self.message = message
        self.dbos_error_code = None if code is None else int(code)

    def __str__(self) -> str:
        prefix = "DBOS Error" if self.dbos_error_code is None else f"DBOS Error {self.dbos_error_code}"
        return f"{prefix}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._arguments is None:
            return (type(self), (self.message, self.dbos_error_code))
        return (type(self), self._arguments)


class DBOSException(_Coded, Exception):
    """Base of the errors that an application may handle; `dbos_error_code` tells which."""

    def __init__(self, message: str, dbos_error_code: int | None = None) -> None:
        super().__init__(message)
        self._describe(message, dbos_error_code)


class DBOSBaseException(_Coded, BaseException):
    """Base of the signals that end an execution; `except Exception` in a workflow does not stop them."""

    def __init__(self, message: str, dbos_error_code: int | None = None) -> None:
        super().__init__(message)
        self._describe(message, dbos_error_code)


class DBOSWorkflowConflictIDError(DBOSBaseException):
    """Another execution owns the workflow now: this one stops without recording anything."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Workflow {workflow_id} is owned by another execution", DBOSErrorCode.ConflictingIDError)
        self._arguments = (workflow_id,)


class DBOSWorkflowCancelledError(DBOSBaseException):
    """The workflow was cancelled; raised at its next step."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg, DBOSErrorCode.WorkflowCancelled)
        self._arguments = (msg,)


class DBOSRecoveryError(DBOSException):
    """A workflow could not be recovered."""

    def __init__(self, workflow_id: str, message: str | None = None) -> None:
        super().__init__(f"Workflow {workflow_id} could not be recovered: {message}", DBOSErrorCode.RecoveryError)
        self.workflow_id, self.detail, self._arguments = workflow_id, message, (workflow_id, message)


class DBOSInitializationError(DBOSException):
    """The configuration or the system database cannot be used; nothing was started."""

    def __init__(self, message: str) -> None:
        super().__init__(message, DBOSErrorCode.InitializationError)
        self.detail, self._arguments = message, (message,)


class DBOSWorkflowFunctionNotFoundError(DBOSException):
    """No function is registered under the workflow's name in this process."""

    def __init__(self, workflow_id: str, message: str | None = None) -> None:
        super().__init__(
            f"Workflow {workflow_id} cannot be run here: {message}", DBOSErrorCode.WorkflowFunctionNotFound
        )
        self.workflow_id, self.detail, self._arguments = workflow_id, message, (workflow_id, message)


class DBOSNonExistentWorkflowError(DBOSException):
    """There is no workflow with that ID; `destination` says in which role it was named."""

    def __init__(self, destination: str, destination_id: str) -> None:
        super().__init__(
            f"No workflow has the {destination} ID {destination_id}", DBOSErrorCode.NonExistentWorkflowError
        )
        self.destination, self.destination_id = destination, destination_id
        self._arguments = (destination, destination_id)


class MaxRecoveryAttemptsExceededError(DBOSException):
    """The workflow was started more often than its decorator allows and is now a dead letter."""

    def __init__(self, wf_id: str, max_retries: int | None = None) -> None:
        super().__init__(
            f"Workflow {wf_id} was started more than {max_retries} times and will not be started again",
            DBOSErrorCode.MaxRecoveryAttemptsExceeded,
        )
        self.workflow_id, self.max_retries, self._arguments = wf_id, max_retries, (wf_id, max_retries)


class DBOSMaxStepRetriesExceeded(DBOSException):
    """A step failed on its last attempt; `errors` holds what each attempt raised."""

    def __init__(self, step_name: str, max_retries: int, errors: list[Exception]) -> None:
        super().__init__(
            f"Step {step_name} failed on each of its {max_retries} attempts", DBOSErrorCode.MaxStepRetriesExceeded
        )
        self.step_name, self.max_retries, self.errors = step_name, max_retries, errors
        self._arguments = (step_name, max_retries, errors)


class DBOSNotAuthorizedError(DBOSException):
    """The caller lacks a role that the workflow requires."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg, DBOSErrorCode.NotAuthorized)
        self.msg, self._arguments = msg, (msg,)


class DBOSConflictingWorkflowError(DBOSException):
    """The workflow ID is in use by a workflow of another name or class."""

    def __init__(self, workflow_id: str, message: str | None = None) -> None:
        super().__init__(
            f"Workflow ID {workflow_id} is in use by another workflow: {message}",
            DBOSErrorCode.ConflictingWorkflowError,
        )
        self.workflow_id, self.detail, self._arguments = workflow_id, message, (workflow_id, message)


class DBOSUnexpectedStepError(DBOSException):
    """A replay met another step than the one recorded: the workflow is not deterministic."""

    def __init__(self, workflow_id: str, step_id: int, expected_name: str, recorded_name: str) -> None:
        super().__init__(
            f"Workflow {workflow_id} called {expected_name} as step {step_id}, where {recorded_name} is recorded: "
            "a workflow must call the same steps in the same order each time",
            DBOSErrorCode.UnexpectedStep,
        )
        self.inputs = self._arguments = (workflow_id, step_id, expected_name, recorded_name)


class DBOSQueueDeduplicatedError(DBOSException):
    """Another workflow of the queue holds the deduplication ID; nothing was enqueued."""

    def __init__(self, workflow_id: str, queue_name: str, deduplication_id: str) -> None:
        super().__init__(
            f"Workflow {workflow_id} was not enqueued: queue {queue_name} already has a workflow with "
            f"deduplication ID {deduplication_id}",
            DBOSErrorCode.QueueDeduplicated,
        )
        self.workflow_id, self.queue_name, self.deduplication_id = workflow_id, queue_name, deduplication_id
        self._arguments = (workflow_id, queue_name, deduplication_id)


class DBOSAwaitedWorkflowCancelledError(DBOSException):
    """The workflow whose result was awaited was cancelled."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Awaited workflow {workflow_id} was cancelled", DBOSErrorCode.AwaitedWorkflowCancelled)
        self.workflow_id, self._arguments = workflow_id, (workflow_id,)


class DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded(DBOSException):
    """The workflow whose result was awaited has become a dead letter."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            f"Awaited workflow {workflow_id} exceeded its recovery attempts",
            DBOSErrorCode.AwaitedWorkflowMaxRecoveryAttemptsExceeded,
        )
        self.workflow_id, self._arguments = workflow_id, (workflow_id,)


class DBOSStreamTimeoutError(DBOSException):
    """No value arrived on a stream in time, or, with `timeout_seconds` None, none ever will."""

    def __init__(self, workflow_id: str, key: str, timeout_seconds: float | None = None) -> None:
        within = "" if timeout_seconds is None else f" within {timeout_seconds} seconds"
        super().__init__(
            f"No value arrived on stream {key} of workflow {workflow_id}{within}", DBOSErrorCode.StreamTimeout
        )
        self.workflow_id, self.key, self.timeout_seconds = workflow_id, key, timeout_seconds
        self._arguments = (workflow_id, key, timeout_seconds)


class DBOSStreamNondeterminismError(DBOSException):
    """A workflow reads two streams at once, so that a replay could not tell which read got which value."""

    def __init__(self, workflow_id: str, key: str) -> None:
        super().__init__(
            f"Workflow {workflow_id} reads stream {key} while another of its reads has not ended: the order in which "
            "they are recorded would be left to chance. Read one after the other, or read in a step",
            DBOSErrorCode.StreamNondeterminism,
        )
        self.workflow_id, self.key = workflow_id, key
        self._arguments = (workflow_id, key)


class DBOSWorkflowIDInUseError(DBOSException):
    """The workflow ID is taken and the caller asked not to attach to it."""

    def __init__(self, workflow_id: str, workflow_status: str, workflow_name: str) -> None:
        super().__init__(
            f"Workflow ID {workflow_id} is in use by {workflow_name} ({workflow_status})",
            DBOSErrorCode.WorkflowIDInUse,
        )
        self.workflow_id, self.workflow_status, self.workflow_name = workflow_id, workflow_status, workflow_name
        self._arguments = (workflow_id, workflow_status, workflow_name)


class DBOSStepNondeterminismError(DBOSException):
    """Another outcome is already recorded for the step."""

    def __init__(self, workflow_id: str, step_id: int) -> None:
        super().__init__(
            f"Workflow {workflow_id} ran step {step_id} where another outcome is recorded",
            DBOSErrorCode.StepNondeterminism,
        )
        self.workflow_id, self.step_id = workflow_id, step_id
        self.inputs = self._arguments = (workflow_id, step_id)


class DBOSQueryTimeoutError(DBOSException):
    """A listing took longer than the observability query timeout."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(f"The query took longer than {timeout_seconds} s", DBOSErrorCode.QueryTimeout)
        self.timeout_seconds, self._arguments = timeout_seconds, (timeout_seconds,)


class DBOSStepTimeoutError(DBOSException):
    """An attempt of a step took longer than its `timeout_seconds` and was cancelled."""

    def __init__(self, step_name: str, timeout_seconds: float) -> None:
        super().__init__(
            f"Step {step_name} took longer than its timeout of {timeout_seconds} s and was cancelled",
            DBOSErrorCode.StepTimeout,
        )
        self.step_name, self.timeout_seconds = step_name, timeout_seconds
        self._arguments = (step_name, timeout_seconds)


class DBOSPatchNondeterminismError(DBOSException):
    """A patch was met where a replay cannot tell whether it applies."""

    def __init__(self, workflow_id: str, patch_name: str, details: str) -> None:
        super().__init__(f"Workflow {workflow_id} met patch {patch_name}: {details}", DBOSErrorCode.PatchNondeterminism)
        self.inputs = self._arguments = (workflow_id, patch_name, details)


def is_workflow_id_in_use_error(e: BaseException) -> bool:
    """Whether a start was refused because its workflow ID is in use, also when a portable workflow replays it."""
    if isinstance(e, DBOSWorkflowIDInUseError):
        return True
    return isinstance(e, PortableWorkflowError) and e.name == DBOSWorkflowIDInUseError.__name__
