"""The errors of the operator. Each carries the reason that a condition shows for it."""

from __future__ import annotations

from dbos_operator.reasons import Reason


class OperatorError(Exception):
    """Something the operator could not do; the message is the sentence a person needs."""

    reason: Reason = Reason.INVALID_SPEC


class InvalidResourceError(OperatorError):
    """A field of a resource that cannot be used.

    `field` is its path (`spec.schedule`), `expected` what would be accepted.
    """

    def __init__(self, field: str, value: object, *, expected: str, reason: Reason = Reason.INVALID_SPEC) -> None:
        super().__init__(f"{field}: expected {expected}, got {'nothing' if value is None else repr(value)}")
        self.field = field
        self.reason = reason


class DatabaseUnavailableError(OperatorError):
    """The system database could not be reached; what is there stays as it is until it answers."""

    reason = Reason.DATABASE_UNAVAILABLE


class AuthenticationFailedError(DatabaseUnavailableError):
    """The server refused user or password; the Secret is read again before the next try."""

    reason = Reason.AUTHENTICATION_FAILED


class UnusableDatabaseError(OperatorError):
    """The system database answers and cannot be worked with; `reason` says what a person must do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConflictError(OperatorError):
    """An object changed since it was read; the next tick looks again."""


class NotFoundError(OperatorError):
    """An object of the cluster is not there (any more)."""


class ClusterError(OperatorError):
    """The Kubernetes API refused a call or did not answer; the next tick tries again."""

    reason = Reason.CLUSTER_UNAVAILABLE


class ClusterForbiddenError(ClusterError):
    """The operator's credentials do not allow the call: a Role or a token is missing."""

    reason = Reason.FORBIDDEN


class ClusterConfigurationError(ClusterError):
    """Neither a kubeconfig nor a service account says how to reach a cluster."""
