"""Consumers of Kafka: each message becomes a workflow, once.

poll -> a batch -> its rows in one commit -> its offsets noted for the next commit to the broker
          ^                 | the database does not answer, or the process dies
          +-----------------+ delivered again: rows that are there already stay as they are
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from dbos._error import DBOSInitializationError
from dbos._kafka_message import KafkaMessage
from dbos.core.ids import WorkflowId
from dbos.core.kafka import kafka_queues, lane_of, message_workflow_id
from dbos.core.limits import QueueLimits
from dbos.core.retry import reconnect_delay
from dbos.engine.registry import KafkaSubscription, Registry
from dbos.engine.services import Services, epoch_ms
from dbos.engine.targets import MethodKind
from dbos.serialization.encoding import PY_PICKLE, encode_inputs
from dbos.store.kafka import MessageWorkflow, enqueue_messages
from dbos.store.operation import DatabaseClosedError
from dbos.store.queues import load_queue

logger = logging.getLogger("dbos")

POLL_SECONDS = 0.25
"""How long a consumer waits for a message before it looks whether it is to stop."""
LONGEST_RETRY_SECONDS = 30.0
COMMIT_INTERVAL_MS = 1000
"""How often noted offsets are committed to the broker, unless the configuration says."""
UNREACHABLE = frozenset({"_TRANSPORT", "_RESOLVE", "_ALL_BROKERS_DOWN"})
"""Errors that tell the same: no broker answers."""
MOST_BYTES = 4_000_000
"""About how much one commit to the database holds."""


@dataclass(slots=True)
class _Troubles:
    """Tells each kind of trouble once, until messages come again: clients of Kafka repeat themselves."""

    consumer: str
    _told: set[str] = field(default_factory=set)

    def tell(self, kind: str, what: object) -> None:
        if kind in self._told:
            logger.debug("%s: %s", self.consumer, what)
            return
        self._told.add(kind)
        logger.warning("%s: %s; it is tried again", self.consumer, what)

    def over(self) -> None:
        if self._told:
            logger.info("%s receives messages again", self.consumer)
            self._told.clear()


class _ClientLog:
    """Where the client library writes: what matters arrives as an error too, and is told once."""

    def log(self, _level: int, message: str, *values: object) -> None:
        logger.debug(message, *values)


class KafkaConsumer:
    """One member of one consumer group, on a thread of its own."""

    def __init__(self, services: Services, subscription: KafkaSubscription) -> None:
        self._services = services
        self._subscription = subscription
        self._group = subscription.group_id
        self._name = f"Kafka consumer {subscription.function_name} (group {self._group})"
        self._troubles = _Troubles(self._name)
        self._client: Any = None
        self._broken = False
        """Whether the client reported an error after which it is of no more use."""
        self._waiting: list[Any] = []
        """Messages that were delivered and whose rows are not committed yet."""
        self._last: dict[str, int] = {}
        """When the last message of each lane was enqueued."""
        self._pickles = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"dbos-kafka-{self._group}", daemon=True)

    def open(self) -> None:
        """Make the client. It connects in the background: a broker that is down holds up nothing.

        Raises DBOSInitializationError for a configuration that it does not take.
        """
        kafka = import_module("confluent_kafka")
        given = self._subscription.config.get("error_cb")

        def on_error(error: Any) -> None:
            self._failed(error)
            if given is not None:
                given(error)

        config = {
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": COMMIT_INTERVAL_MS,
            **self._subscription.config,
            "group.id": self._group,
            # What is committed is what was noted, and noted is what the database holds.
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
            "error_cb": on_error,
        }
        try:
            client = kafka.Consumer(config, logger=_ClientLog())
            client.subscribe(list(self._subscription.topics))
        except (kafka.KafkaException, TypeError, ValueError) as error:
            raise DBOSInitializationError(f"{self._name} cannot be made: {_reason(error)}") from error
        self._client, self._broken = client, False

    def start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Take no more messages."""
        self._stopping.set()

    def join(self, within: float) -> None:
        """Return when the consumer has left its group, or when the time is over."""
        if self._thread.is_alive():
            self._thread.join(within)
            if self._thread.is_alive():
                logger.warning("%s does not end in time; its broker notices when its session is over", self._name)
        elif self._client is not None:
            self._close()

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                self._turn()
                attempt = 0
            except DatabaseClosedError:
                break
            except Exception as error:  # noqa: BLE001 -- the thread's boundary: the same messages are tried again
                self._troubles.tell(type(error).__name__, _reason(error))
                attempt += 1
                self._stopping.wait(min(reconnect_delay(attempt, 1.0), LONGEST_RETRY_SECONDS))
        self._close()

    def _turn(self) -> None:
        if self._broken:
            self._close()
            self.open()
        if not self._waiting:
            self._waiting = self._take()
        if self._waiting:
            self._enqueue(self._waiting)
            self._note(self._waiting)
            self._waiting = []
            self._troubles.over()

    def _take(self) -> list[Any]:
        first = self._client.poll(POLL_SECONDS)
        if first is None:
            return []
        rest = self._subscription.batch_size - 1
        delivered = [first, *(self._client.consume(rest, 0) if rest else [])]
        messages = []
        for message in delivered:
            if message.error() is None:
                messages.append(message)
            else:
                self._failed(message.error())
        return messages

    def _failed(self, error: Any) -> None:
        if error.name() == "_PARTITION_EOF":
            return
        self._broken = self._broken or error.fatal()
        self._troubles.tell("unreachable" if error.name() in UNREACHABLE else error.name(), error.str())

    def _enqueue(self, messages: Sequence[Any]) -> None:
        services = self._services
        for batch in _in_batches([self._row(message) for message in messages]):
            created = services.database.transact(partial(enqueue_messages, batch))
            if created:
                services.wake_queue(self._subscription.queue)

    def _row(self, delivered: Any) -> MessageWorkflow:
        services, subscription = self._services, self._subscription
        message = _message_of(delivered)
        topic, partition, offset = delivered.topic(), delivered.partition(), delivered.offset()
        lane = lane_of(subscription.ordering, self._group, topic, partition)
        inputs, serialization = self._encode(message)
        return MessageWorkflow(
            workflow_uuid=WorkflowId(message_workflow_id(topic, partition, self._group, offset)),
            name=subscription.workflow.name,
            inputs=inputs,
            serialization=serialization,
            queue_name=subscription.queue,
            queue_partition_key=lane,
            executor_id=services.claimant.executor_id,
            application_id=services.application_id,
            application_name=services.claimant.application,
            application_version=services.claimant.version,
            created_at=epoch_ms() if lane is None else self._next_moment(lane),
        )

    def _next_moment(self, lane: str) -> int:
        """A time after that of the last message of a lane."""
        self._last[lane] = max(epoch_ms(), self._last.get(lane, 0) + 1)
        return self._last[lane]

    def _encode(self, message: KafkaMessage) -> tuple[str, str]:
        """A message as inputs, and their format: a pickle where the application's own has no form for messages."""
        serialization = self._subscription.workflow.serialization or self._services.serialization
        if not self._pickles:
            try:
                return encode_inputs((message,), {}, serialization), serialization
            except Exception as error:  # noqa: BLE001 -- the serializer is the application's: it raises anything
                logger.info("%s: messages are stored as pickles: %s", self._name, error)
                self._pickles = True
        return encode_inputs((message,), {}, PY_PICKLE), PY_PICKLE

    def _note(self, messages: Sequence[Any]) -> None:
        kafka = import_module("confluent_kafka")
        newest: dict[tuple[str, int], int] = {}
        for message in messages:
            place = (message.topic(), message.partition())
            newest[place] = max(newest.get(place, 0), message.offset() + 1)
        for (topic, part), offset in newest.items():
            try:
                self._client.store_offsets(offsets=[kafka.TopicPartition(topic, part, offset)])
            except kafka.KafkaException as error:  # another member has the partition now, and finds the rows
                logger.debug("%s: offset %d of %s[%d] is not noted: %s", self._name, offset, topic, part, error)

    def _close(self) -> None:
        """Commit what was noted, and leave the group."""
        try:
            self._client.close()
        except Exception as error:  # noqa: BLE001 -- it ends anyway; what was not committed is delivered again
            logger.debug("%s: closing failed: %s", self._name, error)


class KafkaConsumers:
    """The consumers of one process."""

    def __init__(self, services: Services, registry: Registry) -> None:
        self._services = services
        self._registry = registry
        self._consumers: list[KafkaConsumer] = []
        declared = registry.kafka
        own = {subscription.queue for subscription in declared if subscription.queue_name is None}
        self.queues: dict[str, QueueLimits] = {
            name: limits for name, limits in kafka_queues(services.rechecks.kafka_seconds).items() if name in own
        }
        """The queues that this process serves besides those that have rows."""

    def open(self) -> None:
        """Make a consumer for each declaration. Raises DBOSInitializationError for one that cannot be."""
        for subscription in self._registry.kafka:
            self._check(subscription)
        for subscription in self._registry.kafka:
            consumer = KafkaConsumer(self._services, subscription)
            consumer.open()
            self._consumers.append(consumer)

    def start(self) -> None:
        """Begin to consume."""
        for consumer in self._consumers:
            consumer.start()

    def stop(self, *, within: float) -> None:
        """Take no more messages, and leave the groups; returns when that is done, or when the time is over."""
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            consumer.ask_to_stop()
        until = time.monotonic() + within
        for consumer in consumers:
            consumer.join(max(0.0, until - time.monotonic()))

    def _check(self, subscription: KafkaSubscription) -> None:
        name, queue = subscription.function_name, subscription.queue_name
        if self._registry.targets.kind_of(subscription.workflow.name) in {MethodKind.INSTANCE, MethodKind.CLASS}:
            raise DBOSInitializationError(
                f"kafka_consumer of {name}: expected a function or static method; a message names no object"
            )
        if queue is None:
            return
        limits = self._registry.queues.get(queue)
        if limits is None:
            row = self._services.database.run(lambda: load_queue(queue))
            limits = None if row is None else row.limits
        if limits is not None and limits.partitioned:
            raise DBOSInitializationError(
                f"kafka_consumer of {name}: queue {queue!r} is partitioned, and messages have no partition key there; "
                'use another queue, or ordering="partition"'
            )


def _message_of(delivered: Any) -> KafkaMessage:
    return KafkaMessage(
        headers=delivered.headers(),
        key=delivered.key(),
        latency=delivered.latency(),
        leader_epoch=delivered.leader_epoch(),
        offset=delivered.offset(),
        partition=delivered.partition(),
        timestamp=delivered.timestamp(),
        topic=delivered.topic(),
        value=delivered.value(),
    )


def _in_batches(rows: Sequence[MessageWorkflow]) -> Iterator[list[MessageWorkflow]]:
    """Rows in order, as many together as a commit should hold."""
    batch: list[MessageWorkflow] = []
    size = 0
    for row in rows:
        if batch and size + len(row.inputs) > MOST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row.inputs)
    if batch:
        yield batch


def _reason(error: BaseException) -> str:
    """What an error of the client says, without its wrapping."""
    inner = error.args[0] if error.args else error
    text: Callable[[], str] | None = getattr(inner, "str", None)
    return text() if callable(text) else str(error)
