"""DBOSClient: enqueue, retrieve and list from outside of the application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from dbos._error import DBOSInitializationError
from dbos._sys_db import WorkflowStatus
from dbos.api.calling import one_class
from dbos.api.calls import check_arguments
from dbos.api.client_awaiting import ClientAwaiting
from dbos.api.client_communication import ClientCommunication
from dbos.api.client_database import ClientOptions, choose_url, open_client_database
from dbos.api.client_managing import ClientManaging
from dbos.api.client_queueing import ClientQueueing
from dbos.api.client_schedules import ClientSchedules
from dbos.api.client_transactions import ClientTransactions
from dbos.api.enqueueing import check_enqueue, new_record, new_records, policy_of
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.options import EnqueueOptions
from dbos.api.runtime import SAFETY_SECONDS, note_event_loop
from dbos.api.statuses import ListOptions, list_queued_statuses, list_statuses, load_status
from dbos.api.versions import ClientVersions
from dbos.core.ids import ExecutorId, WorkflowId
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.commands import insert, insert_many
from dbos.engine.file_watch import FileWatch
from dbos.engine.interpreters import run_blocking, run_on_loop
from dbos.engine.plan import Plan
from dbos.engine.services import Rechecks, Services
from dbos.engine.waiting import Signals
from dbos.engine.wakeups import CHANNEL, Listener, make_listener, payloads, schedule_news
from dbos.engine.watch import OwnershipWatch
from dbos.serialization.custom import Serializer, add_serializer
from dbos.store.dequeue import Claimant
from dbos.store.rows import NewWorkflow
from dbos.store.writer import GroupCommitWriter

if TYPE_CHECKING:
    from sqlalchemy import Engine as SQLAlchemyEngine
else:  # for who reads the types while the program runs
    SQLAlchemyEngine = Any

R = TypeVar("R")


@one_class
class DBOSClient(
    ClientCommunication,
    ClientManaging,
    ClientAwaiting,
    ClientQueueing,
    ClientSchedules,
    ClientTransactions,
    ClientVersions,
):
    """Enqueues workflows for an application and looks at them, without its code.

    Thread-safe. Close it with destroy(), or use it in a `with` block.
    """

    _creates = True
    """Whether a missing database or schema is created."""

    def __init__(
        self,
        database_url: str | None = None,
        *,
        system_database_url: str | None = None,
        system_database_engine: SQLAlchemyEngine | None = None,
        system_database: str | None = None,
        application_database_url: str | None = None,
        dbos_system_schema: str = "dbos",
        serializer: Serializer | None = None,
        system_database_pool_size: int | None = None,
        system_database_polling_concurrency: int | None = None,
        use_listen_notify: bool = False,
        application_name: str | None = None,
        lazy: bool = False,
        retry_connection_errors: bool = True,
        observability_query_timeout_sec: float | None = None,
        sys_db_idle_transaction_timeout_sec: float | None = None,
        sharding: bool = False,
    ) -> None:
        """Connect to a system database; a missing schema is created.

        `system_database_url` names it, or `system_database_engine`, an engine of your own, which stays open.
        With `lazy` nothing is connected before the first call, which does what is said here.
        With `use_listen_notify` results are awaited without polling. `application_name` is written into
        what is enqueued and narrows listings; without one any application of the database may take it.
        `serializer` is the one of the application, as in its configuration (default: pickle).
        With `retry_connection_errors=False` a lost connection is not tried again: it raises OperationalError of
        SQLAlchemy, whose `orig` is the driver's error.
        Listings end after `observability_query_timeout_sec` (default 30; 0: never) in DBOSQueryTimeoutError.
        `system_database_pool_size` (default 5) bounds the connections, and
        `system_database_polling_concurrency` (default: half of them) how many of those who wait look at once. The
        server ends a transaction that idles for `sys_db_idle_transaction_timeout_sec` (default 60; 0: never).
        Deprecated: the URL of the application's database as first argument or as `application_database_url`;
        then the system database is beside it, named `system_database` or as it with the suffix `_dbos_sys`.
        Raises DBOSInitializationError naming an argument that cannot be, and for a database that cannot be used.
        """
        if sharding:
            raise DBOSInitializationError("sharding: sharded system databases are not supported")
        url = choose_url(
            database_url,
            system_url=system_database_url,
            system_name=system_database,
            application_url=application_database_url,
            has_engine=system_database_engine is not None,
        )
        options = ClientOptions(
            engine=system_database_engine,
            schema=dbos_system_schema,
            pool_size=system_database_pool_size,
            polling_concurrency=system_database_polling_concurrency,
            retry=retry_connection_errors,
            query_timeout_seconds=observability_query_timeout_sec,
            idle_transaction_seconds=sys_db_idle_transaction_timeout_sec,
            create=self._creates,
        )
        try:
            serialization = add_serializer(serializer)
        except TypeError as error:
            raise DBOSInitializationError(f"serializer: {error}") from error
        self._application = application_name
        self._database = open_client_database(url, options)
        source = self._database.source
        if lazy:
            self._database.prepare_at_first_use(self._open)
        self._services = self._make_services(dbos_system_schema, serialization, listens=use_listen_notify)
        self._listener: Listener | FileWatch | None = None
        if use_listen_notify:
            self._listener = make_listener(source, dbos_system_schema, self._services.signals)
        try:
            if not lazy:
                self._open()
        except BaseException:
            self._database.close()
            raise
        self._services.writer.start()

    def __enter__(self) -> DBOSClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Close every connection; what was enqueued is stored. Idempotent."""
        self._services.writer.stop()
        if self._listener is not None:
            self._listener.stop()
        self._database.close()
        self._services.signals.ring_all()  # who waits finds the database closed, and ends

    def check_connection(self) -> None:
        """Return when the system database can be used, now. Raises DBOSInitializationError at once when not."""
        note_event_loop("DBOSClient.check_connection")
        self._database.check()

    async def check_connection_async(self) -> None:
        """As check_connection."""
        await self._database.in_background(self._database.check)

    def enqueue(self, options: EnqueueOptions, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Put a workflow on a queue; a handle to it. It is stored when this returns.

        Once for its workflow ID: with an ID that is taken nothing is added, and the handle is that
        workflow's. Raises DBOSQueueDeduplicatedError when the deduplication ID is held (unless
        `duplication_policy` is `return-existing`), and TypeError or ValueError naming an option.
        """
        workflow_id = run_blocking(self._enqueue(options, args, kwargs), self._services)
        return WorkflowHandle(workflow_id, self._services, self)

    async def enqueue_async(self, options: EnqueueOptions, *args: Any, **kwargs: Any) -> WorkflowHandleAsync[Any]:
        """As enqueue."""
        workflow_id = await run_on_loop(self._enqueue(options, args, kwargs), self._services)
        return WorkflowHandleAsync(workflow_id, self._services, self)

    def enqueue_many(
        self, options: EnqueueOptions, calls: Iterable[Sequence[Any]], *, workflow_ids: Sequence[str] | None = None
    ) -> list[WorkflowHandle[Any]]:
        """Put one workflow on a queue for each of `calls`, its positional arguments; handles in their order.

        Thousands go into a few commits. All are stored when this returns. `workflow_ids` names one ID for
        each call, so that repeating it adds nothing. Raises as enqueue does; when some are refused, the others
        are stored and the first refusal is raised.
        """
        ids = run_blocking(self._enqueue_many(options, calls, workflow_ids), self._services)
        return [WorkflowHandle(workflow_id, self._services, self) for workflow_id in ids]

    async def enqueue_many_async(
        self, options: EnqueueOptions, calls: Iterable[Sequence[Any]], *, workflow_ids: Sequence[str] | None = None
    ) -> list[WorkflowHandleAsync[Any]]:
        """As enqueue_many."""
        ids = await run_on_loop(self._enqueue_many(options, calls, workflow_ids), self._services)
        return [WorkflowHandleAsync(workflow_id, self._services, self) for workflow_id in ids]

    def retrieve_workflow(self, workflow_id: str) -> WorkflowHandle[Any]:
        """A handle to a workflow by its ID. Raises DBOSNonExistentWorkflowError when there is none."""
        note_event_loop("DBOSClient.retrieve_workflow")
        self.status_of(workflow_id)
        return WorkflowHandle(workflow_id, self._services, self)

    async def retrieve_workflow_async(self, workflow_id: str) -> WorkflowHandleAsync[Any]:
        """As retrieve_workflow."""
        await self.status_of_async(workflow_id)
        return WorkflowHandleAsync(workflow_id, self._services, self)

    def list_workflows(self, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """The workflows that match, oldest first; ListOptions tells the filters."""
        note_event_loop("DBOSClient.list_workflows")
        return list_statuses(self._database, self._application, options)

    async def list_workflows_async(self, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """As list_workflows."""
        return await self._database.in_background(lambda: list_statuses(self._database, self._application, options))

    def list_queued_workflows(self, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """The workflows on queues that wait or run, oldest first; ListOptions tells the filters."""
        note_event_loop("DBOSClient.list_queued_workflows")
        return list_queued_statuses(self._database, self._application, options)

    async def list_queued_workflows_async(self, **options: Unpack[ListOptions]) -> list[WorkflowStatus]:
        """As list_queued_workflows."""
        return await self._database.in_background(
            lambda: list_queued_statuses(self._database, self._application, options)
        )

    def status_of(self, workflow_id: str) -> WorkflowStatus:
        """The status of a workflow. Raises DBOSNonExistentWorkflowError when there is none."""
        return load_status(self._database, workflow_id)

    async def status_of_async(self, workflow_id: str) -> WorkflowStatus:
        """As status_of."""
        return await self._database.in_background(lambda: load_status(self._database, workflow_id))

    def _open(self) -> None:
        """Prepare the database, and hear from it from now on."""
        self._database.prepare()
        if self._listener is not None:
            self._listener.start()

    def _enqueue_many(
        self, options: EnqueueOptions, calls: Iterable[Sequence[Any]], workflow_ids: Sequence[str] | None
    ) -> Plan[list[WorkflowId]]:
        check_enqueue(options)
        made = [check_arguments(args) for args in calls]
        if workflow_ids is not None and len(workflow_ids) != len(made):
            raise ValueError(f"workflow_ids: expected one for each of {len(made)} calls, got {len(workflow_ids)}")
        if workflow_ids is None and options.get("workflow_id") is not None and len(made) > 1:
            raise ValueError("workflow_id: expected workflow_ids, one for each call")
        records = new_records(options, made, workflow_ids, self._services.serialization, self._application)
        return self._insert_many(options, records)

    def _insert_many(self, options: EnqueueOptions, records: list[NewWorkflow]) -> Plan[list[WorkflowId]]:
        told = yield from insert_many(records, policy=policy_of(options))
        if any(new for _, new in told) and records[0].status == WorkflowStatusString.ENQUEUED:  # as all of them
            self._services.wake_queue(options["queue_name"])
        return [workflow_id for workflow_id, _ in told]

    def _enqueue(self, options: EnqueueOptions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan[WorkflowId]:
        return (yield from self._insert(options, self.new_record(options, args, kwargs)))

    def _insert(self, options: EnqueueOptions, record: NewWorkflow) -> Plan[WorkflowId]:
        workflow_id, insertion = yield from insert(record, policy=policy_of(options))
        if insertion.created and record.status == WorkflowStatusString.ENQUEUED:
            self._services.wake_queue(options["queue_name"])
        return workflow_id

    @property
    def services(self) -> Services:
        """Where this client reads and writes; for what is built on it."""
        return self._services

    def new_record(self, options: EnqueueOptions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NewWorkflow:
        """What enqueue stores. Raises TypeError or ValueError naming an option."""
        return new_record(options, args, kwargs, self._services.serialization, self._application)

    def _make_services(self, schema: str, serialization: str, *, listens: bool) -> Services:
        writer = GroupCommitWriter(
            self._database.source,
            channel=CHANNEL,
            payloads=lambda queues, ended: payloads(schema, queues, ended),
            retry=self._database.retries,
        )
        signals = Signals()
        return Services(
            database=self._database,
            signals=signals,
            watch=OwnershipWatch(self._database, signals),
            rechecks=Rechecks(SAFETY_SECONDS) if listens else Rechecks(),
            writer=writer,
            claimant=Claimant(executor_id=ExecutorId(""), application=self._application or "", version=""),
            application_id="",
            records_steps=False,
            serialization=serialization,
            wake_queue=lambda queue: writer.announce(queue=queue),
            schedules_changed=lambda: writer.announce(topic=(CHANNEL, schedule_news(schema))),
        )
