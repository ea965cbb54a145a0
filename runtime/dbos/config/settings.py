"""The settings of an application, in frozen groups that check themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbos.config.observability import LogOptions, OtlpOptions
from dbos.config.recovery import RecoveryOptions
from dbos.config.refusal import refuse
from dbos.config.retention import RetentionOptions
from dbos.core.limits import MAX_SECONDS

if TYPE_CHECKING:
    from sqlalchemy import Engine

MIN_INTERVAL_SECONDS = 0.001
_NAME = re.compile(r"[a-z0-9-_]{3,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """Where the system database is, and how it is used."""

    url: str | None
    engine: Engine | None = None
    schema: str = "dbos"
    pool_size: int = 20
    engine_options: dict[str, Any] = field(default_factory=dict)
    use_listen_notify: bool = True
    query_timeout_seconds: float = 30.0
    idle_transaction_seconds: float = 60.0
    """After this time the server ends a transaction that idles; 0: never."""
    polling_concurrency: int | None = None
    """How many of those who wait may look at once; None: half as many as there are connections."""
    create: bool = True
    """Whether what is missing is created; without, it is refused."""

    def __post_init__(self) -> None:
        if self.polling_concurrency is not None and self.polling_concurrency < 1:
            raise refuse("sys_db_polling_concurrency", self.polling_concurrency, expected="at least 1")
        if self.pool_size < 4:
            raise refuse("sys_db_pool_size", self.pool_size, expected="at least 4")
        if not self.schema.strip():
            raise refuse("dbos_system_schema", self.schema, expected="the name of a schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationOptions:
    """How news of messages, events and streams travel between processes."""

    polling_seconds: float = 1.0
    """How often a waiter looks where nothing is announced."""
    coalesce_seconds: float = 0.01
    """At most this often are news sent, together."""

    def __post_init__(self) -> None:
        for key, seconds in (
            ("notification_listener_polling_interval_sec", self.polling_seconds),
            ("notification_coalesce_sec", self.coalesce_seconds),
        ):
            if not MIN_INTERVAL_SECONDS <= seconds <= MAX_SECONDS:
                raise refuse(key, seconds, expected=f"at least {MIN_INTERVAL_SECONDS} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOptions:
    """Where `/metrics`, `/healthz` and `/readyz` are served; no port, no server."""

    ports: range | None = None
    """The first of them that is free is taken: processes on one machine need one each."""
    host: str = "0.0.0.0"  # noqa: S104 -- Prometheus scrapes pods from outside; local runs set 127.0.0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminOptions:
    """Where the admin server listens; no port, no server."""

    port: int | None = None

    def __post_init__(self) -> None:
        if self.port is not None and not 0 <= self.port <= 65535:
            raise refuse("admin_port", self.port, expected="a port from 0 to 65535")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that `DBOS(config=…)` decides."""

    name: str
    database: DatabaseOptions
    application_database_url: str | None = None
    """Where @DBOS.transaction runs; None: in the system database."""
    executor_id: str = "local"
    application_version: str | None = None
    """None: a hash of the registered code."""
    application_id: str = ""
    logs: LogOptions = field(default_factory=LogOptions)
    otlp: OtlpOptions | None = None
    """Where traces and logs are sent; None: nowhere, and nothing is traced."""
    serializer: Any = None
    """The application's own Serializer; None: pickle."""
    max_executor_threads: int | None = None
    scheduler_polling_seconds: float = 30.0
    """How often the rows of schedules are read, unless one is known to have changed."""
    kafka_polling_seconds: float = 1.0
    """How often the queues of Kafka consumers are looked at where nothing is announced."""
    metrics: MetricsOptions = field(default_factory=MetricsOptions)
    retention: RetentionOptions | None = None
    """Which workflows that ended are deleted; None: none is."""
    recovery: RecoveryOptions = field(default_factory=RecoveryOptions)
    """When other processes of the application count as gone."""
    admin: AdminOptions = field(default_factory=AdminOptions)
    notifications: NotificationOptions = field(default_factory=NotificationOptions)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise refuse("name", self.name, expected="3 to 256 characters of a-z, 0-9, - and _")
        if self.max_executor_threads is not None and self.max_executor_threads < 1:
            raise refuse("max_executor_threads", self.max_executor_threads, expected="at least 1, or None")
        for key, seconds in (
            ("scheduler_polling_interval_sec", self.scheduler_polling_seconds),
            ("kafka_queue_polling_interval_sec", self.kafka_polling_seconds),
        ):
            if not MIN_INTERVAL_SECONDS <= seconds <= MAX_SECONDS:
                raise refuse(key, seconds, expected=f"at least {MIN_INTERVAL_SECONDS} seconds")
        if not self.executor_id.strip():
            raise refuse("executor_id", self.executor_id, expected="text that is not blank")

    @property
    def system_database_url(self) -> str:
        """The URL of the system database; without one a file in the working directory."""
        return self.database.url or f"sqlite:///{self.name.replace('-', '_')}.sqlite"
