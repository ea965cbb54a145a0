"""@DBOS.kafka_consumer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from dbos._error import DBOSException, DBOSInitializationError, DBOSWorkflowFunctionNotFoundError
from dbos.api.runtime import process, registry
from dbos.core.ids import check_name
from dbos.core.kafka import KafkaOrdering
from dbos.core.refusals import said_by
from dbos.engine.registry import KafkaSubscription, WorkflowFunction
from dbos.engine.targets import WORKFLOW_ATTRIBUTE

F = TypeVar("F", bound=Callable[..., Any])

BATCH_SIZE = 250
_BROKERS = ("bootstrap.servers", "metadata.broker.list", "test.mock.num.brokers")


class Kafka:
    """Workflows started by messages."""

    @staticmethod
    def kafka_consumer(
        config: dict[str, Any],
        topics: list[str],
        in_order: bool | None = None,
        *,
        ordering: Literal["none", "partition", "topic"] | None = None,
        batch_size: int = BATCH_SIZE,
        queue_name: str | None = None,
    ) -> Callable[[F], F]:
        """Run a workflow for each message of these topics, exactly once; it gets a KafkaMessage.

        `config` is the configuration of confluent-kafka's consumer; `topics` are names, or patterns that begin
        with `^`. Without `group.id` the group is made of the names of function and topics, and without
        `auto.offset.reset` a new group begins with the oldest message. Offsets are committed after the
        workflows are.

        Messages run side by side, or with `ordering` one after another: `"partition"` in each partition of a
        topic, `"topic"` in each topic. `queue_name` is a queue of yours, unpartitioned and without an order.
        At most `batch_size` messages are enqueued in one commit. `in_order=True`, of older releases, is
        `ordering="topic"`.

        Raises DBOSException without the package confluent-kafka and after launch, DBOSInitializationError naming
        an argument that cannot be used. What the client itself refuses is told by `DBOS.launch()`; a broker that
        is down holds up nothing.
        """
        if find_spec("confluent_kafka") is None:
            raise DBOSException("kafka_consumer needs the package confluent-kafka: pip install 'dbos-operator[kafka]'")
        _check_config(config)
        names = _check_topics(topics)
        order = _ordering(ordering, in_order)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise _refusal("batch_size", "a whole number of at least 1", batch_size)
        if queue_name is not None:
            _check_queue(queue_name, order)

        def decorate(function: F) -> F:
            workflow = getattr(function, WORKFLOW_ATTRIBUTE, None)
            if not isinstance(workflow, WorkflowFunction):
                name = getattr(function, "__qualname__", repr(function))
                raise DBOSWorkflowFunctionNotFoundError(
                    "<NONE>", f"{name} is not registered: decorate it with @DBOS.workflow() below @DBOS.kafka_consumer"
                )
            if process.application is not None and process.application.engine is not None:
                raise DBOSException("kafka_consumer is declared before DBOS.launch(), which starts the consumers")
            registry.kafka.append(
                KafkaSubscription(
                    workflow=workflow,
                    config=dict(config),
                    topics=names,
                    ordering=order,
                    batch_size=batch_size,
                    queue_name=queue_name,
                )
            )
            return function

        return decorate


def _check_config(config: object) -> None:
    if not isinstance(config, Mapping):
        raise _refusal("config", "a dictionary for confluent_kafka.Consumer", config)
    if not any(config.get(key) for key in _BROKERS):
        raise _refusal("config", "'bootstrap.servers': the addresses of brokers", sorted(map(str, config)))
    group = config.get("group.id")
    if group is not None and (not isinstance(group, str) or not group.strip()):
        raise _refusal("config['group.id']", "text that is not blank", group)


def _check_topics(topics: object) -> tuple[str, ...]:
    if not isinstance(topics, Sequence) or isinstance(topics, str | bytes) or not topics:
        raise _refusal("topics", "a list of names or patterns", topics)
    for topic in topics:
        if not isinstance(topic, str) or not topic.strip():
            raise _refusal("topics", "names that are text", topic)
    return tuple(topics)


def _ordering(ordering: object, in_order: object) -> KafkaOrdering:
    if in_order is not None and not isinstance(in_order, bool):
        raise _refusal("in_order", "True or False", in_order)
    if in_order is not None and ordering is not None:
        raise DBOSInitializationError("kafka_consumer: ordering says what in_order says too; give one of them")
    if ordering is None:
        return KafkaOrdering.TOPIC if in_order else KafkaOrdering.NONE
    if ordering not in list(KafkaOrdering):
        raise _refusal("ordering", "'none', 'partition' or 'topic'", ordering)
    return KafkaOrdering(str(ordering))


def _check_queue(queue_name: object, order: KafkaOrdering) -> None:
    try:
        check_name(queue_name, subject="queue_name")
    except (TypeError, ValueError) as error:
        raise DBOSInitializationError(f"kafka_consumer: {said_by(error)}") from error
    if order is not KafkaOrdering.NONE:
        raise DBOSInitializationError(
            f"kafka_consumer: queue_name: expected none with ordering={str(order)!r}, got {queue_name!r}: "
            "messages in order wait on a partitioned queue that all consumers share"
        )


def _refusal(argument: str, expected: str, given: object) -> DBOSInitializationError:
    return DBOSInitializationError(f"kafka_consumer: {argument}: expected {expected}, got {given!r}")
