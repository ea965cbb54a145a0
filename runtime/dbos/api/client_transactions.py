"""Enqueues and messages of a client as part of a transaction of the caller."""

from __future__ import annotations

from typing import Any, TypeVar

from dbos._serialization import WorkflowSerializationFormat
from dbos._sys_db import SendMessage
from dbos.api.enqueueing import new_record, policy_of
from dbos.api.handles import StatusReader, WorkflowHandle
from dbos.api.options import EnqueueOptions
from dbos.core.statuses import WorkflowStatusString
from dbos.engine.commands import inserting
from dbos.engine.messages import sending
from dbos.engine.places import check_format
from dbos.engine.services import Services
from dbos.engine.wakeups import CHANNEL, payloads
from dbos.store.borrowed import CallersTransaction, perform_in
from dbos.store.operation import Operation

T = TypeVar("T")
DEFAULT = WorkflowSerializationFormat.DEFAULT


class ClientTransactions(StatusReader):
    """What a client does when, and only when, its caller commits.

    The transaction is one of the system database: a `Connection` or `Session` of SQLAlchemy on PostgreSQL by
    psycopg 3, or on SQLite. Nothing is committed or rolled back here, and what is refused leaves the transaction
    usable. On an `AsyncSession` or `AsyncConnection` call these by `await session.run_sync(…)`.
    """

    _services: Services

    def enqueue_in_transaction(
        self, conn_or_session: CallersTransaction, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Put a workflow on a queue as part of a transaction of yours; a handle to it.

        It is there, and workers are told of it, when you commit; it never was when you do not. Await its result
        after the commit only. Raises as enqueue does, and TypeError for what is no such transaction.
        """
        services = self._services
        record = new_record(options, args, kwargs, services.serialization, services.claimant.application or None)
        runnable = record.status == WorkflowStatusString.ENQUEUED
        queues = {options["queue_name"]} if runnable else set()
        news = [(CHANNEL, payload) for payload in payloads(services.database.schema, queues, [])]
        workflow_id = self._within(conn_or_session, inserting(record, policy=policy_of(options), news=news))
        return WorkflowHandle(workflow_id, services, self)

    def send_in_transaction(
        self,
        conn_or_session: CallersTransaction,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        idempotency_key: str | None = None,
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """Send a message as part of a transaction of yours: it is sent when you commit, and never when you do not.

        Raises as send, and TypeError for what is no such transaction.
        """
        sent = SendMessage(destination_id, message, topic, idempotency_key)
        act = sending(self._services, [sent], check_format(serialization_type), to_forks=send_to_forks)
        self._within(conn_or_session, act())

    def send_bulk_in_transaction(
        self,
        conn_or_session: CallersTransaction,
        messages: list[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat | None = DEFAULT,
        send_to_forks: bool = False,
    ) -> None:
        """Send many messages as part of a transaction of yours; as send_in_transaction."""
        act = sending(self._services, messages, check_format(serialization_type), to_forks=send_to_forks)
        self._within(conn_or_session, act())

    def _within(self, transaction: CallersTransaction, operation: Operation[T]) -> T:
        database = self._services.database
        database.refuse_when_closed()
        return perform_in(transaction, operation, database.source.catalog, dialect=database.engine.dialect.name)
