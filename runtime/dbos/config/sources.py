"""Where settings come from: the configuration in code first, then the environment, then `dbos-config.yaml`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from dbos._error import DBOSInitializationError
from dbos.config.databases import check_engine, choose_databases
from dbos.config.file import ConfigFile
from dbos.config.keys import DBOSConfig
from dbos.config.observability import parse_logs, parse_otlp
from dbos.config.ports import parse_ports
from dbos.config.recovery import parse_recovery
from dbos.config.refusal import refuse
from dbos.config.retention import parse_retention
from dbos.config.settings import AdminOptions, DatabaseOptions, MetricsOptions, NotificationOptions, Settings
from dbos.config.vendor import VENDOR_KEYS, note_vendor_keys

logger = logging.getLogger("dbos")
T = TypeVar("T")

ADMIN_PORT = 3001
PATCHED_VERSION = "PATCHING_ENABLED"
"""The version of an application whose releases tell themselves apart by patches, as every SDK has it."""


def load_settings(
    config: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    database_url: str | None = None,
    admin_server: bool = True,
    file: ConfigFile | None = None,
) -> Settings:
    """The settings of a configuration; what it leaves out comes from the environment, the file, then from defaults.

    `database_url` is for a configuration that names no database, `admin_server` whether the admin server
    runs for one that does not say.

    Unknown keys are named in a warning. Raises DBOSInitializationError naming the key, what was
    expected and what was given.
    """
    if not isinstance(config, Mapping):
        raise DBOSInitializationError(f"config: expected a DBOSConfig dictionary, got {type(config).__name__}")
    config, unknown = _with_file(config, file or ConfigFile(), environment, database_url)
    note_vendor_keys(config)
    if unknown:
        logger.warning("Configuration keys that this release does not know are ignored: %s", ", ".join(unknown))
    if _take(config, "name", str) is None:
        raise DBOSInitializationError(
            "name: expected the application's name in the configuration or dbos-config.yaml, got nothing"
        )
    engine = check_engine(config.get("system_database_engine"))
    urls = choose_databases(
        system=_take(config, "system_database_url", str) or database_url,
        application=_take(config, "application_database_url", str),
        database=_take(config, "database_url", str),
        has_engine=engine is not None,
    )
    return Settings(
        name=config["name"],
        application_database_url=urls.application,
        database=DatabaseOptions(
            url=urls.system,
            engine=engine,
            schema=_or(_take(config, "dbos_system_schema", str), "dbos"),
            pool_size=_or(_take(config, "sys_db_pool_size", int), 20),
            engine_options=dict(_take(config, "db_engine_kwargs", dict) or {}),
            use_listen_notify=_or(_take(config, "use_listen_notify", bool), default=True),
            query_timeout_seconds=_or(_seconds(config, "observability_query_timeout_sec"), 30.0),
            idle_transaction_seconds=_or(_seconds(config, "sys_db_idle_transaction_timeout_sec"), 60.0),
            polling_concurrency=_take(config, "sys_db_polling_concurrency", int),
            create=_or(_take(config, "run_migrations", bool), default=True),
        ),
        executor_id=_take(config, "executor_id", str) or environment.get("DBOS__VMID") or "local",
        application_version=_take(config, "application_version", str)
        or environment.get("DBOS__APPVERSION")
        or (PATCHED_VERSION if _take(config, "enable_patching", bool) else None),
        application_id=environment.get("DBOS__APPID", ""),
        logs=parse_logs(config),
        otlp=parse_otlp(config),
        serializer=config.get("serializer"),
        max_executor_threads=_take(config, "max_executor_threads", int),
        scheduler_polling_seconds=_or(_seconds(config, "scheduler_polling_interval_sec"), 30.0),
        kafka_polling_seconds=_or(_seconds(config, "kafka_queue_polling_interval_sec"), 1.0),
        metrics=MetricsOptions(
            ports=parse_ports("metrics_port", config.get("metrics_port"))
            or parse_ports("DBOS_METRICS_PORT", environment.get("DBOS_METRICS_PORT") or None),
            host=_take(config, "metrics_host", str) or environment.get("DBOS_METRICS_HOST") or MetricsOptions().host,
        ),
        retention=parse_retention(config.get("retention")),
        recovery=parse_recovery(config.get("recovery")),
        admin=_admin(config, default=admin_server),
        notifications=NotificationOptions(
            polling_seconds=_or(_seconds(config, "notification_listener_polling_interval_sec"), 1.0),
            coalesce_seconds=_or(_seconds(config, "notification_coalesce_sec"), 0.01),
        ),
    )


_VARIABLES = {
    "executor_id": "DBOS__VMID",
    "application_version": "DBOS__APPVERSION",
    "metrics_port": "DBOS_METRICS_PORT",
    "metrics_host": "DBOS_METRICS_HOST",
}


def _with_file(
    config: Mapping[str, Any], file: ConfigFile, environment: Mapping[str, str], database_url: str | None
) -> tuple[Mapping[str, Any], list[str]]:
    """The configuration with what only the file says, and the keys that nobody knows."""
    known = {*DBOSConfig.__annotations__, *VENDOR_KEYS}
    unknown = {*set(config) - known, *set(file.settings) - known, *file.unknown}
    said = {key for key, value in config.items() if value is not None}
    said |= {key for key, variable in _VARIABLES.items() if environment.get(variable)}
    if database_url or "system_database_engine" in said:
        said.add("system_database_url")
    added = {key: value for key, value in file.settings.items() if key in known and key not in said}
    return {**config, **added}, sorted(unknown)


def _admin(config: Mapping[str, Any], *, default: bool) -> AdminOptions:
    port = _take(config, "admin_port", int)
    wanted = _or(_take(config, "run_admin_server", bool), default or port is not None)
    return AdminOptions(port=_or(port, ADMIN_PORT) if wanted else None)


def _take(config: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise refuse(key, value, expected=f"a value of type {kind.__name__}")
    return value


def _seconds(config: Mapping[str, Any], key: str) -> float | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refuse(key, value, expected="a number of seconds")
    return float(value)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
