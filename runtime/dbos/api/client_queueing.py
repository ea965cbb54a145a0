"""Queues as rows, from outside of the application: register, read, list and delete them."""

from __future__ import annotations

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
from dbos.api.runtime import note_event_loop
from dbos.core.limits import QueueRateLimit
from dbos.engine.services import Services


class ClientQueueing:
    """The methods of DBOSClient about queues."""

    _services: Services

    def register_queue(
        self,
        name: str,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        on_conflict: OnConflict = "always_update",
        application_name: str | None = None,
        concurrency: int | None = None,
    ) -> Queue:
        """Create a queue, or give the one of that name these limits; the queue as it now is.

        Limits of an existing row change unless `on_conflict` says otherwise. The limits that begin with
        `partition_` hold for each partition key. A row that a DBOSQueue resource manages keeps its limits.
        Raises ValueError naming a limit or name that cannot be, and DBOSException when another application
        owns the name.
        """
        note_event_loop("DBOSClient.register_queue")
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
        application, database = application_name or self._services.claimant.application, self._services.database
        update = may_update(on_conflict, database, application, "")
        return register(database, name, limits, application or None, update=update)

    async def register_queue_async(
        self,
        name: str,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        on_conflict: OnConflict = "always_update",
        application_name: str | None = None,
        concurrency: int | None = None,
    ) -> Queue:
        """As register_queue."""
        return await self._services.database.in_background(
            lambda: self.register_queue(
                name,
                worker_concurrency=worker_concurrency,
                global_concurrency=global_concurrency,
                partition_concurrency=partition_concurrency,
                partition_worker_concurrency=partition_worker_concurrency,
                partition_limiter=partition_limiter,
                limiter=limiter,
                polling_interval_sec=polling_interval_sec,
                on_conflict=on_conflict,
                application_name=application_name,
                concurrency=concurrency,
            )
        )

    def retrieve_queue(self, name: str) -> Queue | None:
        """A queue by its name; None when there is none."""
        note_event_loop("DBOSClient.retrieve_queue")
        return find_queue(self._services.database, name)

    async def retrieve_queue_async(self, name: str) -> Queue | None:
        """As retrieve_queue."""
        database = self._services.database
        return await database.in_background(lambda: find_queue(database, name))

    def list_queues(self, *, application_name: str | list[str] | None = None) -> list[Queue]:
        """The queues of this application, or of those named (an empty list: all), and unclaimed ones, by name."""
        note_event_loop("DBOSClient.list_queues")
        services = self._services
        return find_queues(services.database, services.claimant.application or None, application_name)

    async def list_queues_async(self, *, application_name: str | list[str] | None = None) -> list[Queue]:
        """As list_queues."""
        services = self._services
        application = services.claimant.application or None
        return await services.database.in_background(
            lambda: find_queues(services.database, application, application_name)
        )

    def delete_queue(self, name: str) -> None:
        """Delete a queue, if it is there; what waits on it stays ENQUEUED until there is one of that name again.

        Raises DBOSException when a DBOSQueue resource manages it.
        """
        note_event_loop("DBOSClient.delete_queue")
        remove_queue(self._services.database, name)

    async def delete_queue_async(self, name: str) -> None:
        """As delete_queue."""
        database = self._services.database
        await database.in_background(lambda: remove_queue(database, name))
