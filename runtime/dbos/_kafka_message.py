"""KafkaMessage, under the path that pickled messages of every DBOS for Python name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class KafkaMessage:
    """What a workflow behind @DBOS.kafka_consumer gets: one message, as it lies in its partition."""

    headers: list[tuple[str, str | bytes]] | None
    """Names and values, in the order of the producer; None without any."""
    key: str | bytes | None
    """What the producer gave as key; None: nothing."""
    latency: float | None
    """For producers only."""
    leader_epoch: int | None
    """The term of the partition's leader; None: the broker told none."""
    offset: int | None
    """Its place in the partition."""
    partition: int | None
    """The partition, counted from 0."""
    timestamp: tuple[int, int]
    """What kind of time it is (0: none, 1: set by the producer, 2: set by the broker), and epoch milliseconds."""
    topic: str | None
    """The topic."""
    value: str | bytes | None
    """The payload, as bytes unless a deserializer was configured; None for a tombstone."""
