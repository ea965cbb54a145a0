"""The DBOS runtime: durable workflows, queues and clients on Postgres.

The public names are loaded when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbos import error
    from dbos._kafka_message import KafkaMessage
    from dbos._serialization import PortableWorkflowError, WorkflowSerializationFormat
    from dbos._sys_db import SendMessage, StepInfo, WorkflowStatus
    from dbos.api.administration import run_dbos_database_migrations
    from dbos.api.app import DBOS
    from dbos.api.classes import DBOSConfiguredInstance, DBOSContextEnsure, DBOSContextSetAuth
    from dbos.api.client import DBOSClient
    from dbos.api.client_schedules import ClientScheduleInput
    from dbos.api.datasources import AsyncSQLAlchemyDatasource, SQLAlchemyDatasource
    from dbos.api.debouncer import Debouncer, DebouncerClient
    from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
    from dbos.api.options import (
        DuplicationPolicy,
        EnqueueOptions,
        SetEnqueueOptions,
        SetShardKey,
        SetWorkflowAttributes,
        SetWorkflowID,
        SetWorkflowTimeout,
        WorkflowIDReusePolicy,
    )
    from dbos.api.queues import Queue
    from dbos.api.schedules import ScheduleInput
    from dbos.api.stepping import StepOptions, StepReservation
    from dbos.api.tracing import PropagateOtelContext
    from dbos.config.keys import DBOSConfig
    from dbos.core.limits import QueueRateLimit
    from dbos.core.statuses import WorkflowStatusString
    from dbos.engine.schedules import WorkflowSchedule
    from dbos.engine.versions import VersionInfo
    from dbos.serialization.custom import DBOSPortableJSONSerializer, Serializer
    from dbos.serialization.validation import make_pydantic_args_validator, pydantic_args_validator

_HOMES = {
    "run_dbos_database_migrations": "dbos.api.administration",
    "DuplicationPolicy": "dbos.api.options",
    "WorkflowIDReusePolicy": "dbos.api.options",
    "StepReservation": "dbos.api.stepping",
    "StepOptions": "dbos.api.stepping",
    "StepInfo": "dbos._sys_db",
    "SetWorkflowTimeout": "dbos.api.options",
    "SetWorkflowAttributes": "dbos.api.options",
    "AsyncSQLAlchemyDatasource": "dbos.api.datasources",
    "SQLAlchemyDatasource": "dbos.api.datasources",
    "ClientScheduleInput": "dbos.api.client_schedules",
    "DBOS": "dbos.api.app",
    "DBOSClient": "dbos.api.client",
    "DBOSConfig": "dbos.config.keys",
    "DBOSConfiguredInstance": "dbos.api.classes",
    "DBOSContextEnsure": "dbos.api.classes",
    "DBOSContextSetAuth": "dbos.api.classes",
    "Debouncer": "dbos.api.debouncer",
    "DebouncerClient": "dbos.api.debouncer",
    "EnqueueOptions": "dbos.api.options",
    "PortableWorkflowError": "dbos._serialization",
    "PropagateOtelContext": "dbos.api.tracing",
    "Queue": "dbos.api.queues",
    "QueueRateLimit": "dbos.core.limits",
    "SendMessage": "dbos._sys_db",
    "ScheduleInput": "dbos.api.schedules",
    "SetEnqueueOptions": "dbos.api.options",
    "SetShardKey": "dbos.api.options",
    "SetWorkflowID": "dbos.api.options",
    "VersionInfo": "dbos.engine.versions",
    "KafkaMessage": "dbos._kafka_message",
    "WorkflowHandle": "dbos.api.handles",
    "WorkflowHandleAsync": "dbos.api.handles",
    "WorkflowSerializationFormat": "dbos._serialization",
    "WorkflowSchedule": "dbos.engine.schedules",
    "WorkflowStatus": "dbos._sys_db",
    "WorkflowStatusString": "dbos.core.statuses",
    "DBOSPortableJSONSerializer": "dbos.serialization.custom",
    "Serializer": "dbos.serialization.custom",
    "make_pydantic_args_validator": "dbos.serialization.validation",
    "pydantic_args_validator": "dbos.serialization.validation",
}

__all__ = [
    "DBOS",
    "AsyncSQLAlchemyDatasource",
    "ClientScheduleInput",
    "DBOSClient",
    "DBOSConfig",
    "DBOSConfiguredInstance",
    "DBOSContextEnsure",
    "DBOSContextSetAuth",
    "DBOSPortableJSONSerializer",
    "Debouncer",
    "DebouncerClient",
    "DuplicationPolicy",
    "EnqueueOptions",
    "KafkaMessage",
    "PortableWorkflowError",
    "PropagateOtelContext",
    "Queue",
    "QueueRateLimit",
    "SQLAlchemyDatasource",
    "ScheduleInput",
    "SendMessage",
    "Serializer",
    "SetEnqueueOptions",
    "SetShardKey",
    "SetWorkflowAttributes",
    "SetWorkflowID",
    "SetWorkflowTimeout",
    "StepInfo",
    "StepOptions",
    "StepReservation",
    "VersionInfo",
    "WorkflowHandle",
    "WorkflowHandleAsync",
    "WorkflowIDReusePolicy",
    "WorkflowSchedule",
    "WorkflowSerializationFormat",
    "WorkflowStatus",
    "WorkflowStatusString",
    "error",
    "make_pydantic_args_validator",
    "pydantic_args_validator",
    "run_dbos_database_migrations",
]


def __getattr__(name: str) -> Any:
    if name == "error":
        return import_module("dbos.error")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dbos' has no attribute {name!r}")
    return getattr(import_module(home), name)
