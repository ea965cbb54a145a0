"""Names that follow from a Kafka message and its consumer: the same in every DBOS for Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from dbos.core.limits import QueueLimits

KAFKA_QUEUE = "_dbos_kafka_queue"
"""Where messages wait that are processed side by side; it has no row and no limit."""
KAFKA_ORDERED_QUEUE = "_dbos_kafka_ordered_queue"
"""Where messages wait that are processed in order: one at a time of each partition key. It has no row."""

_NOT_IN_GROUP_IDS = re.compile(r"[^a-zA-Z0-9-]")


class KafkaOrdering(StrEnum):
    """Which messages of a consumer wait for each other."""

    NONE = "none"
    PARTITION = "partition"
    TOPIC = "topic"


def kafka_queues(polling_interval_seconds: float) -> dict[str, QueueLimits]:
    """The queues of consumers that name none, and their limits."""
    return {
        KAFKA_QUEUE: QueueLimits(polling_interval_seconds=polling_interval_seconds),
        KAFKA_ORDERED_QUEUE: QueueLimits(partition_concurrency=1, polling_interval_seconds=polling_interval_seconds),
    }


def default_group_id(function_name: str, topics: Sequence[str]) -> str:
    """The consumer group of a function whose configuration names none."""
    return "-".join(["dbos-kafka-group", *(_NOT_IN_GROUP_IDS.sub("", text) for text in (function_name, *topics))])


def message_workflow_id(topic: str, partition: int, group: str, offset: int) -> str:
    """The ID of the workflow of a message: a message that is delivered again finds its workflow."""
    return f"kafka-unique-id-{topic}-{partition}-{group}-{offset}"


def lane_of(ordering: KafkaOrdering, group: str, topic: str, partition: int) -> str | None:
    """The partition key under which a message waits for those before it; None when it waits for nothing."""
    match ordering:
        case KafkaOrdering.NONE:
            return None
        case KafkaOrdering.PARTITION:
            return f"{group}:{topic}:{partition}"
        case KafkaOrdering.TOPIC:
            return f"{group}:{topic}"
