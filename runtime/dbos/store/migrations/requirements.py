"""What a system database must hold to be usable, whichever SDK created it."""

from __future__ import annotations

from typing import Any, Final

from dbos._error import DBOSInitializationError

SCHEMA_VERSION: Final = 125
"""The version of the schema that this package creates and is written for."""

_COLUMNS: Final = {
    "dbos_migrations": "version",
    "workflow_status": (
        "workflow_uuid status name authenticated_user assumed_role authenticated_roles output error executor_id "
        "created_at updated_at application_version application_id class_name config_name recovery_attempts "
        "queue_name workflow_timeout_ms workflow_deadline_epoch_ms inputs started_at_epoch_ms deduplication_id "
        "priority queue_partition_key forked_from owner_xid parent_workflow_id serialization delay_until_epoch_ms "
        "was_forked_from rate_limited completed_at attributes schedule_name debounce_deadline_epoch_ms is_debounced "
        "application_name creator_xid"
    ),
    "workflow_input": "workflow_uuid inputs retention_timestamp",
    "workflow_output": "workflow_uuid output error retention_timestamp",
    "operation_outputs": (
        "workflow_uuid function_id function_name output error child_workflow_id started_at_epoch_ms "
        "completed_at_epoch_ms serialization application_name retention_timestamp"
    ),
    "notifications": (
        "message_uuid destination_uuid topic message created_at_epoch_ms serialization consumed consumed_by_function_id"
    ),
    "workflow_events": "workflow_uuid key value serialization",
    "workflow_events_history": "workflow_uuid function_id key value serialization",
    "streams": "workflow_uuid key value offset function_id serialization",
    "workflow_schedules": (
        "schedule_id schedule_name workflow_name workflow_class_name schedule status context last_fired_at "
        "automatic_backfill cron_timezone queue_name application_name"
    ),
    "application_versions": "version_id version_name version_timestamp created_at application_name",
    "queues": (
        "queue_id name concurrency worker_concurrency rate_limit_max rate_limit_period_sec priority_enabled "
        "partition_queue polling_interval_sec created_at updated_at application_name partition_concurrency "
        "partition_worker_concurrency partition_rate_limit_max partition_rate_limit_period_sec"
    ),
}

REQUIRED_COLUMNS: Final = {table: tuple(names.split()) for table, names in _COLUMNS.items()}
"""The columns that statements of this package name, by table."""

REQUIRED_UNIQUE_KEYS: Final = (
    "workflow_status(workflow_uuid)",
    "workflow_status(deduplication_id, queue_name)",
    "workflow_input(workflow_uuid)",
    "workflow_output(workflow_uuid)",
    "operation_outputs(function_id, workflow_uuid)",
    "notifications(message_uuid)",
    "workflow_events(key, workflow_uuid)",
    "workflow_events_history(function_id, key, workflow_uuid)",
    "streams(key, offset, workflow_uuid)",
    "workflow_schedules(schedule_name)",
    "queues(name)",
)
"""What must be unique, columns in alphabetical order: without these, duplicates pass unnoticed."""

SHARDING_COLUMN: Final = "workflow_status.shard_key"
"""Marks a sharded database, whose rows only the vendor's own client may touch."""


class NothingThereError(DBOSInitializationError):
    """A system database that is not there, or holds no tables, where this process is not to create it."""

    def __init__(self, what: str) -> None:
        """`what` is a sentence of what is missing, without its end."""
        super().__init__(
            f"{what}, and run_migrations=False creates none: run `dbos migrate` with a role that may, then start again"
        )
        self.what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return (DBOSInitializationError, (self.detail,))
