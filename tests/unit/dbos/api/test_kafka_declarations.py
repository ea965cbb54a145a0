"""What @DBOS.kafka_consumer takes and refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dbos import DBOS, KafkaMessage
from dbos.api.runtime import registry
from dbos.core.kafka import KafkaOrdering
from dbos.error import DBOSException, DBOSInitializationError

CONFIG = {"bootstrap.servers": "kafka:9092"}


@pytest.fixture(autouse=True)
def _empty_registry() -> Iterator[None]:
    yield
    registry.clear()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"config": None}, "config: expected a dictionary"),
        ({"config": {}}, "config: expected 'bootstrap.servers'"),
        ({"config": {**CONFIG, "group.id": " "}}, r"config\['group.id'\]: expected text that is not blank, got ' '"),
        ({"topics": []}, r"topics: expected a list of names or patterns, got \[\]"),
        ({"topics": "orders"}, "topics: expected a list of names or patterns, got 'orders'"),
        ({"topics": [1]}, "topics: expected names that are text, got 1"),
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1, got 0"),
        ({"batch_size": True}, "batch_size"),
        ({"ordering": "key"}, "ordering: expected 'none', 'partition' or 'topic', got 'key'"),
        ({"ordering": "topic", "in_order": True}, "give one of them"),
        ({"in_order": "yes"}, "in_order: expected True or False"),
        ({"ordering": "topic", "queue_name": "q"}, "queue_name: expected none with ordering='topic', got 'q'"),
        ({"queue_name": "_dbos_mine"}, r"kafka_consumer: queue_name: names .* are reserved"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(DBOSInitializationError, match=told):
        DBOS.kafka_consumer(**{"config": CONFIG, "topics": ["orders"], **arguments})


@pytest.mark.parametrize(
    ("arguments", "ordering"),
    [
        ({}, KafkaOrdering.NONE),
        ({"ordering": "partition"}, KafkaOrdering.PARTITION),
        ({"in_order": True}, KafkaOrdering.TOPIC),
        ({"in_order": False}, KafkaOrdering.NONE),
    ],
)
def test_the_order_of_older_releases_is_one_by_topic(arguments: dict[str, Any], ordering: KafkaOrdering) -> None:
    @DBOS.kafka_consumer(CONFIG, ["orders"], **arguments)
    @DBOS.workflow()
    def on_order(message: KafkaMessage) -> None: ...

    [subscription] = registry.kafka
    assert (subscription.ordering, subscription.batch_size) == (ordering, 250)


def test_a_function_that_is_no_workflow_is_refused() -> None:
    def plain(message: KafkaMessage) -> None: ...

    with pytest.raises(DBOSException, match=r"plain is not registered: decorate it with @DBOS.workflow\(\) below"):
        DBOS.kafka_consumer(CONFIG, ["orders"])(plain)


def test_without_the_client_the_extra_is_named_and_nothing_else_needs_it() -> None:
    program = """
import sys
sys.modules["confluent_kafka"] = None
from dbos import DBOS, KafkaMessage
from dbos.engine.engine import Engine
assert KafkaMessage.__module__ == "dbos._kafka_message"
try:
    DBOS.kafka_consumer({"bootstrap.servers": "kafka:9092"}, ["orders"])
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == "DBOS Error: kafka_consumer needs the package confluent-kafka: pip install 'dbos-operator[kafka]'\n"
    )
