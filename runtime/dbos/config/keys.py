"""The keys of an application's configuration: their types, meanings and defaults, which the documentation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from sqlalchemy import Engine
else:  # who reads the types while the program runs needs a name, and SQLAlchemy is not imported for it
    Engine = Any


class DBOSConfig(TypedDict, total=False):
    """The configuration of an application; only `name` is required.

    A key that is None or absent has its default. Keys that can be written in YAML may stand in
    `dbos-config.yaml` instead; the code wins over the environment, and that over the file. An unknown key is
    named in a warning; a value that cannot be used raises DBOSInitializationError, which names the key, what
    was expected and what was given.
    """

    name: str
    """The name of the application: 3 to 256 of a-z, 0-9, `-` and `_`. Its queues, schedules, versions and workflows
    in the database carry it. Default: none; it is required."""
    system_database_url: str | None
    """Where workflows are stored: `postgresql://…` or `sqlite:///…`. The database and its tables are created when they
    are absent. Default: `sqlite:///<name>.sqlite`, each `-` of the name as `_`; under `dbos worker` the variable
    `DBOS_SYSTEM_DATABASE_URL`."""
    application_database_url: str | None
    """Where `@DBOS.transaction` runs: `postgresql://…` or `sqlite:///…`. Default: the system database."""
    database_url: str | None
    """The former name of `application_database_url`. Default: none."""
    system_database_engine: Engine | None
    """An SQLAlchemy engine of your own instead of the URL. Default: none."""
    dbos_system_schema: str | None
    """The PostgreSQL schema of the system tables. Default: `dbos`."""
    sys_db_pool_size: int | None
    """Most connections to the system database, at least 4. Default: `20`."""
    sys_db_polling_concurrency: int | None
    """How many of those who wait for a result, a message, an event or a stream may look into the database at once.
    Default: half of `sys_db_pool_size`."""
    sys_db_idle_transaction_timeout_sec: float | None
    """After how many seconds the server ends a transaction that idles; 0: never. Default: `60.0`."""
    run_migrations: bool | None
    """Whether the system database and its tables are created when they are absent; False: such a database is refused,
    for a process whose role may not create any. Default: `True`."""
    db_engine_kwargs: dict[str, Any] | None
    """Passed to `sqlalchemy.create_engine` for the system database. Default: `{}`."""
    use_listen_notify: bool | None
    """Whether processes tell each other news by LISTEN and NOTIFY; False behind a proxy that pools transactions.
    Default: `True`."""
    notification_listener_polling_interval_sec: float | None
    """How often, in seconds, who waits for a message, an event or a stream looks where nothing is announced.
    Default: `1.0`."""
    notification_coalesce_sec: float | None
    """News of events and streams are sent together, at most this often, in seconds. Default: `0.01`."""
    observability_query_timeout_sec: float | None
    """How many seconds a listing may take before it raises DBOSQueryTimeoutError; 0: no bound. Default: `30.0`."""
    enable_patching: bool | None
    """Whether all releases share one application version, and patches tell them apart. Default: `False`."""
    application_version: str | None
    """The version of the code: who has the same one goes on with each other's workflows. Default: the variable
    `DBOS__APPVERSION`, else a hash of the registered workflows."""
    executor_id: str | None
    """Who this process is; two that live at once must differ, unless both are `local`. Default: the variable
    `DBOS__VMID`, else `local`."""
    serializer: Any
    """How values are stored: a Serializer of your own, or DBOSPortableJSONSerializer(). Default: pickle."""
    log_level: str | None
    """From which level on lines of the logger `dbos` are told: DEBUG, INFO, WARNING, ERROR or CRITICAL.
    Default: `INFO`."""
    console_log_level: str | None
    """The same for the console alone. Default: `log_level`."""
    otlp_log_level: str | None
    """The same for what is sent to `otlp_logs_endpoints`. Default: `log_level`."""
    enable_otlp: bool | None
    """Whether workflows and steps are traced, and traces and logs sent by OpenTelemetry: it needs the extra `otel`.
    Default: `False`."""
    otlp_traces_endpoints: list[str] | None
    """Addresses to send traces to, by OTLP over HTTP: `http://collector:4318/v1/traces`. Default: none."""
    otlp_logs_endpoints: list[str] | None
    """Addresses to send the lines of the logger `dbos` to: `http://collector:4318/v1/logs`. Default: none."""
    otlp_attributes: dict[str, str] | None
    """Attributes of every span and every line that is sent. Default: `{}`."""
    otel_attribute_format: str | None
    """How the attributes are called: `legacy` (`operationUUID`) or `semconv` (`dbos.operation.workflow_id`).
    Default: `legacy`."""
    otel_propagate_context: bool | None
    """Whether the rows of what is started or enqueued in a trace tell that trace; False: only inside of
    PropagateOtelContext. Default: `True`."""
    scheduler_polling_interval_sec: float | None
    """How often, in seconds, the rows of schedules are read at least; changes are seen at once, those of
    other SDKs within about a second.
    Default: `30.0`."""
    kafka_queue_polling_interval_sec: float | None
    """How often queues of Kafka consumers are looked at where nothing is announced, in seconds. Default: `1.0`."""
    max_executor_threads: int | None
    """Most threads that run workflows which are no coroutines. Default: no bound."""
    retention: dict[str, Any] | None
    """Which workflows that ended are deleted: `max_age_sec`, `max_workflows` or both; `interval_sec` and `batch_size`
    say how. Default: none is."""
    recovery: dict[str, Any] | None
    """When other processes of the application count as gone, so that their workflows are taken over: `enabled`,
    `heartbeat_sec`, `grace_sec` and `lease_sec`. Default: `{"enabled": True, "heartbeat_sec": 3, "grace_sec": 7,
    "lease_sec": 30}`."""
    metrics_port: int | str | None
    """Where `/metrics`, `/healthz` and `/readyz` are served; 0: a free port; `"9464-9467"`: the first free one of
    these, for several processes in one pod. Default: the variable
    `DBOS_METRICS_PORT`, else nothing is served."""
    metrics_host: str | None
    """The address of that port. Default: the variable `DBOS_METRICS_HOST`, else `0.0.0.0`."""
    run_admin_server: bool | None
    """Whether this machine can manage the workflows over HTTP. Default: `True`; under `dbos worker` only with
    `admin_port`."""
    admin_port: int | None
    """The port of the admin server; 0: a free one. One that is in use is a warning. Default: `3001`."""
