"""Queues as rows: register, read, list and delete them; and what this process serves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dbos._error import DBOSException
from dbos.api.enqueueing import enqueue_options_call, enqueue_options_call_async
from dbos.api.handles import WorkflowHandle, WorkflowHandleAsync
from dbos.api.options import EnqueueOptions
from dbos.api.queues import (
    OnConflict,
    Queue,
    find_queue,
    find_queues,
    make_limits,
    may_update,
    register,
    remove_queue,
)
from dbos.api.runtime import engine, process, refuse_event_loop, registry
from dbos.core.ids import check_name
from dbos.core.limits import QueueRateLimit


class Queueing:
    """The class methods of DBOS about queues."""

    @classmethod
    def register_queue(
        cls,
        name: str,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        on_conflict: OnConflict = "update_if_latest_version",
        concurrency: int | None = None,
    ) -> Queue:
        """Create a queue, or give the one of that name these limits; the queue as it now is.

        By default only a process of the latest version changes an existing row. The limits that begin with
        `partition_` hold for each partition key, each other one suspends the queue when it is 0. A row that a
        DBOSQueue resource manages keeps its limits.
        Raises ValueError naming a limit or name that cannot be, and DBOSException when another application
        owns the name.
        """
        refuse_event_loop("DBOS.register_queue")
        running = engine()
        limits = make_limits(
            concurrency=concurrency,
            global_concurrency=global_concurrency,
            worker_concurrency=worker_concurrency,
            limiter=limiter,
            partition_concurrency=partition_concurrency,
            partition_worker_concurrency=partition_worker_concurrency,
            partition_limiter=partition_limiter,
            polling_interval_sec=polling_interval_sec,
        )
        services, claimant = running.services, running.services.claimant
        update = may_update(on_conflict, services.database, claimant.application, claimant.version)
        queue = register(services.database, name, limits, claimant.application, update=update)
        running.queues.refresh()
        return queue

    @classmethod
    async def register_queue_async(
        cls,
        name: str,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        on_conflict: OnConflict = "update_if_latest_version",
        concurrency: int | None = None,
    ) -> Queue:
        """As register_queue."""
        return await engine().services.database.in_background(
            lambda: cls.register_queue(
                name,
                worker_concurrency=worker_concurrency,
                global_concurrency=global_concurrency,
                partition_concurrency=partition_concurrency,
                partition_worker_concurrency=partition_worker_concurrency,
                partition_limiter=partition_limiter,
                limiter=limiter,
                polling_interval_sec=polling_interval_sec,
                on_conflict=on_conflict,
                concurrency=concurrency,
            )
        )

    @classmethod
    def retrieve_queue(cls, name: str) -> Queue | None:
        """A queue by its name; None when there is none."""
        refuse_event_loop("DBOS.retrieve_queue")
        return find_queue(engine().services.database, name)

    @classmethod
    async def retrieve_queue_async(cls, name: str) -> Queue | None:
        """As retrieve_queue."""
        database = engine().services.database
        return await database.in_background(lambda: find_queue(database, name))

    @classmethod
    def list_queues(cls, *, application_name: str | list[str] | None = None) -> list[Queue]:
        """The queues of this application, or of those named (an empty list: all), and unclaimed ones, by name."""
        refuse_event_loop("DBOS.list_queues")
        services = engine().services
        return find_queues(services.database, services.claimant.application or None, application_name)

    @classmethod
    async def list_queues_async(cls, *, application_name: str | list[str] | None = None) -> list[Queue]:
        """As list_queues."""
        services = engine().services
        application = services.claimant.application or None
        return await services.database.in_background(
            lambda: find_queues(services.database, application, application_name)
        )

    @classmethod
    def delete_queue(cls, name: str) -> None:
        """Delete a queue, if it is there; what waits on it stays ENQUEUED until there is one of that name again.

        Raises DBOSException when a DBOSQueue resource manages it.
        """
        refuse_event_loop("DBOS.delete_queue")
        remove_queue(engine().services.database, name)

    @classmethod
    async def delete_queue_async(cls, name: str) -> None:
        """As delete_queue."""
        database = engine().services.database
        await database.in_background(lambda: remove_queue(database, name))

    @classmethod
    def listen_queues(cls, queues: Sequence[str | Queue]) -> None:
        """Have this process serve these queues only, and no other one; before DBOS.launch(), until DBOS.destroy().

        It still serves what has no queue, such as recovered and forked workflows. Raises DBOSException after
        launch, TypeError or ValueError for what is no name of a queue.
        """
        if process.application is not None and process.application.engine is not None:
            raise DBOSException("DBOS.listen_queues comes before DBOS.launch()")
        if isinstance(queues, str) or not isinstance(queues, Iterable):
            raise TypeError(f"queues: expected a list of names, got {queues!r}")
        names = [each.name if isinstance(each, Queue) else each for each in queues]
        registry.listened = frozenset(check_name(name, subject="queue name") for name in names)

    @classmethod
    def enqueue_workflow_with_options(cls, options: EnqueueOptions, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Put a workflow on a queue by its name, as DBOSClient.enqueue: its function need not be here; a handle to it.

        In a workflow it is a child. What the options leave open, the blocks around the call say.
        """
        return enqueue_options_call(options, args, kwargs)

    @classmethod
    async def enqueue_workflow_with_options_async(
        cls, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As enqueue_workflow_with_options."""
        return await enqueue_options_call_async(options, args, kwargs)
