"""The process's one application: configured, launched, destroyed. Public calls find its engine here."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbos._error import DBOSException, DBOSInitializationError
from dbos.api.application_database import ApplicationDatabase
from dbos.api.telling import open_telemetry, refuse_without_extra
from dbos.config.file import read_config_file
from dbos.config.settings import Settings
from dbos.config.sources import load_settings
from dbos.core.ids import ExecutorId
from dbos.engine.context import ExecutionStoppedError, current_execution
from dbos.engine.engine import Engine
from dbos.engine.registry import Registry, code_version
from dbos.engine.services import Rechecks, Services
from dbos.engine.waiting import Signals
from dbos.engine.wakeups import CHANNEL, payloads, schedule_news
from dbos.engine.watch import OwnershipWatch
from dbos.observability.logs import configure_logging
from dbos.serialization.custom import add_serializer
from dbos.serialization.decoding import read_unnamed_as
from dbos.store.backend import DatabaseSettings
from dbos.store.database import SystemDatabase
from dbos.store.dequeue import Claimant
from dbos.store.dialects.postgres import PoolSettings
from dbos.store.writer import GroupCommitWriter
from dbos.telemetry import Telemetry

if TYPE_CHECKING:  # what serves HTTP is imported by who serves
    from dbos.observability.admin_server import AdminServer
    from dbos.observability.endpoint import MetricsEndpoint
    from dbos.observability.opentelemetry import OpenTelemetry

logger = logging.getLogger("dbos")

SAFETY_SECONDS = 60.0
"""How often who waits for an announced message or event looks all the same."""

registry = Registry()
"""What decorators and Queue(…) registered; they run before there is an application."""


class Application:
    """An application between its configuration and its destruction."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.settings = load_settings(
            config,
            os.environ,
            database_url=process.fallback_database_url,
            admin_server=process.admin_server,
            file=read_config_file(Path.cwd(), os.environ),
        )
        self.user_database = ApplicationDatabase(self.settings)
        self.engine: Engine | None = None
        self._endpoint: MetricsEndpoint | None = None
        self._admin: AdminServer | None = None
        self._opened: OpenTelemetry | None = None
        self._lock = threading.Lock()
        refuse_without_extra(self.settings)
        configure_logging(self.settings.logs, sends=self.settings.otlp is not None)
        try:
            self._serialization = add_serializer(self.settings.serializer)
        except TypeError as error:
            raise DBOSInitializationError(f"serializer: {error}") from error
        read_unnamed_as(self._serialization)

    def launch(self) -> None:
        """Open the system database, recover, serve. A second launch is a warning.

        Raises DBOSInitializationError; then nothing was started.
        """
        with self._lock:
            if self.engine is not None:
                logger.warning("DBOS is launched already; this launch changes nothing")
                return
            services = self._make_services()
            try:
                services.database.prepare()
                services.database.prepare_runtime_tables()
                self.user_database.launch()
                engine = Engine(services, registry, self.settings)
                self._endpoint = self._make_endpoint(engine)
                self.engine = engine  # workflows begin before start() returns, and their steps look for it
                engine.start()
                self._admin = self._make_admin_server(engine)
            except BaseException:
                self.engine = None
                services.writer.stop()
                self._close_endpoint()
                self.user_database.close()
                services.database.close()
                raise
        logger.info(
            "DBOS launched: application %s, version %s, executor %s",
            self.settings.name,
            services.claimant.version,
            services.claimant.executor_id,
        )

    def stop(self, *, completion_seconds: float) -> bool:
        """Stop serving, wait for running workflows at most that long, and close; whether all finished."""
        with self._lock:
            engine = self.engine
            if engine is None:
                return True
            finished = engine.drain(completion_seconds)  # what runs still calls its steps through the engine
            self.engine = None
            engine.stop()
            self.user_database.close()
            self._close_endpoint()
            return finished

    @property
    def metrics_address(self) -> str | None:
        """Where metrics are served, as `host:port`."""
        return None if self._endpoint is None else self._endpoint.address

    @property
    def admin_address(self) -> str | None:
        """Where the admin server listens, as `host:port`."""
        return None if self._admin is None else self._admin.address

    def _make_services(self) -> Services:
        settings, options = self.settings, self.settings.database
        database = open_database(settings)
        claimant = Claimant(
            executor_id=ExecutorId(settings.executor_id),
            application=settings.name,
            version=settings.application_version
            or code_version(registry.workflows, package_version=package_version(), application=settings.name),
        )
        writer = GroupCommitWriter(
            database.source,
            channel=CHANNEL if options.use_listen_notify else None,
            payloads=lambda queues, ended: payloads(options.schema, queues, ended),
            notify_seconds=settings.notifications.coalesce_seconds,
        )
        self._opened = open_telemetry(settings, claimant, package_version=package_version())
        signals = Signals()
        polling = settings.notifications.polling_seconds

        def wake_queue(queue: str) -> None:
            if self.engine is not None:
                self.engine.queues.wake([queue])
            writer.announce(queue=queue)

        def schedules_changed() -> None:
            if self.engine is not None:
                self.engine.scheduler.refresh()
            writer.announce(topic=(CHANNEL, schedule_news(options.schema)))

        return Services(
            database=database,
            writer=writer,
            claimant=claimant,
            application_id=settings.application_id,
            serialization=self._serialization,
            signals=signals,
            watch=OwnershipWatch(database, signals),
            rechecks=Rechecks(
                SAFETY_SECONDS if options.use_listen_notify else polling, polling, settings.kafka_polling_seconds
            ),
            telemetry=Telemetry(),
            tracing=None if self._opened is None else self._opened.tracing,
            wake_queue=wake_queue,
            schedules_changed=schedules_changed,
        )

    def _make_endpoint(self, engine: Engine) -> MetricsEndpoint | None:
        options = self.settings.metrics
        if options.ports is None:
            return None
        from dbos.observability.endpoint import open_endpoint  # noqa: PLC0415 -- see above
        from dbos.observability.metrics import RuntimeMetrics  # noqa: PLC0415 -- see above

        metrics = RuntimeMetrics(engine)
        engine.services.telemetry.subscribe(metrics.observe)
        return open_endpoint(metrics.registry, host=options.host, ports=options.ports, ready=lambda: engine.ready)

    def _make_admin_server(self, engine: Engine) -> AdminServer | None:
        port = self.settings.admin.port
        if port is None:
            return None
        from dbos.api.admin_calls import AdminCalls  # noqa: PLC0415 -- see above
        from dbos.observability.admin_server import AdminServer  # noqa: PLC0415 -- see above

        try:
            return AdminServer(AdminCalls(engine), port=port)
        except OSError as error:
            logger.warning(
                "The admin server cannot listen on port %d (%s), everything else works; "
                "choose another admin_port, or run_admin_server=False",
                port,
                error.strerror or error,
            )
            return None

    def _close_endpoint(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None


class _Process:
    """Holds the application of this process."""

    application: Application | None = None
    fallback_database_url: str | None = None
    """The database of an application whose configuration names none; `dbos worker` sets it."""
    admin_server: bool = True
    """Whether the admin server runs where the configuration does not say; not under `dbos worker`."""


process = _Process()


def configure(config: Mapping[str, Any]) -> Application:
    """The application of this process, made from a configuration unless there is one already."""
    if process.application is None:
        process.application = Application(config)
    return process.application


def engine() -> Engine:
    """The running engine.

    Raises DBOSException before launch and after destroy; there a workflow that still runs gets the signal
    to stop instead.
    """
    application = process.application
    if (application is None or application.engine is None) and current_execution.get() is not None:
        raise ExecutionStoppedError
    if application is None:
        raise DBOSException("DBOS is not configured: call DBOS(config=…), then DBOS.launch()")
    if application.engine is None:
        raise DBOSException("DBOS is not launched: call DBOS.launch() first")
    return application.engine


def refuse_event_loop(call: str) -> None:
    """Raise RuntimeError naming the async twin when a blocking call is made on a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{call} would block the running event loop; await {call}_async instead")


def note_event_loop(call: str) -> None:
    """Warn, once for each call, when one that blocks is made on a running event loop, and name the async twin.

    For calls that must work there all the same: clients of former releases are used so.
    """
    if call in _noted:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    _noted.add(call)
    logger.warning("%s blocks the running event loop; await %s_async instead", call, call)


_noted: set[str] = set()


def package_version() -> str:
    """The release of this distribution."""
    try:
        return version("dbos-operator")
    except PackageNotFoundError:
        return "0"


def open_database(settings: Settings, *, schema: str | None = None) -> SystemDatabase:
    """The system database of an application, in another `schema` if one is given. Raises DBOSInitializationError."""
    options = settings.database
    url = options.url or f"sqlite:///{settings.name.replace('-', '_')}.sqlite"
    try:
        return SystemDatabase(
            DatabaseSettings(
                url=url,
                engine=options.engine,
                schema=schema or options.schema,
                use_listen_notify=options.use_listen_notify,
                create=options.create,
                query_timeout_seconds=options.query_timeout_seconds,
                polling_concurrency=options.polling_concurrency,
                pool=PoolSettings(
                    size=options.pool_size,
                    idle_transaction_timeout_seconds=options.idle_transaction_seconds,
                    engine_options=options.engine_options,
                    prepared=options.use_listen_notify,
                ),
            )
        )
    except ValueError as error:
        key = "system_database_url" if options.engine is None else "system_database_engine"
        raise DBOSInitializationError(f"{key}: {error}") from error
