"""Every reason that a condition or an Event can carry. They are public API: documented, never renamed."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The CamelCase cause of a condition, one line each."""

    # Ready
    RECONCILED = "Reconciled"  # the row says what the resource says
    SUSPENDED = "Suspended"  # the resource is in force, and asks for nothing to happen
    CONNECTED = "Connected"  # the system database answers and its schema is usable
    # Not ready, and it heals by itself
    PENDING = "Pending"  # not looked at yet
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"  # the system database does not answer
    DATABASE_NOT_READY = "DatabaseNotReady"  # the DBOSDatabase that is referenced is not ready
    WRITE_FAILED = "WriteFailed"  # the database refused a write; tried again at the next tick
    CLUSTER_UNAVAILABLE = "ClusterUnavailable"  # the Kubernetes API refused a call or did not answer
    FORBIDDEN = "Forbidden"  # the operator's credentials do not allow a call; a Role is missing
    DELETING = "Deleting"  # waiting for what the deletion policy asks
    # Not ready until somebody acts (Stalled=True)
    INVALID_SPEC = "InvalidSpec"  # a field that only the operator can check is wrong
    INVALID_SCHEDULE = "InvalidSchedule"  # the cron text cannot be read
    INVALID_TIME_ZONE = "InvalidTimeZone"  # the IANA database does not know the zone
    DATABASE_NOT_FOUND = "DatabaseNotFound"  # databaseRef, or the default, names no DBOSDatabase
    DATABASE_NOT_ALLOWED = "DatabaseNotAllowed"  # the DBOSDatabase is in another namespace
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 -- a reason, not a secret
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"  # noqa: S105 -- a reason, not a secret
    INVALID_URL = "InvalidURL"  # the Secret holds no usable PostgreSQL URL
    AUTHENTICATION_FAILED = "AuthenticationFailed"  # the server refused user or password
    SCHEMA_MISSING = "SchemaMissing"  # no DBOS schema there and initialize is Never
    SCHEMA_TOO_OLD = "SchemaTooOld"  # below version 125: the published package migrates it
    SCHEMA_UNUSABLE = "SchemaUnusable"  # a column that the operator needs is missing
    OPERATOR_SCHEMA_MISSING = "OperatorSchemaMissing"  # the role may not create schema dbos_operator
    SAME_DATABASE = "SameDatabase"  # an older DBOSDatabase works this system schema
    NAME_TAKEN = "NameTaken"  # the row belongs to another resource, application or cluster
    # ScalingActive
    SCALED_ON_DEMAND = "ScaledOnDemand"  # replicas follow the queues
    STALE_DATA = "StaleData"  # no fresh numbers: the replicas stay as they are
    TARGET_NOT_FOUND = "TargetNotFound"  # the Deployment or StatefulSet does not exist
    SCALING_CONFLICT = "ScalingConflict"  # queues of another DBOSDatabase scale the same target
    # SchemaSupported
    SUPPORTED = "Supported"
    # Events
    CREATED = "Created"
    ADOPTED = "Adopted"
    DRIFT_CORRECTED = "DriftCorrected"
    UPDATED = "Updated"
    PAUSED = "Paused"
    DELETED = "Deleted"
    RELEASED = "Released"
    FIRED = "Fired"
    SCALED = "Scaled"
    RECOVERED = "Recovered"
