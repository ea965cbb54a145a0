"""One consumer and a client that does what a test says."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbos.core.kafka import KafkaOrdering
from dbos.engine.kafka import KafkaConsumer
from dbos.engine.registry import KafkaSubscription, WorkflowFunction
from dbos.engine.services import Services
from dbos.store.operation import Statement


@dataclass(frozen=True)
class Problem:
    """An error of the client."""

    kind: str
    is_fatal: bool = False

    def name(self) -> str:
        return self.kind

    def str(self) -> str:
        return f"{self.kind} happened"

    def fatal(self) -> bool:
        return self.is_fatal


@dataclass(frozen=True)
class Message:
    """What the client delivers."""

    at: int
    problem: Problem | None = None
    payload: bytes = b"x"

    def error(self) -> Problem | None:
        return self.problem

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return self.payload

    def topic(self) -> str:
        return "orders"

    def partition(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_700_000_000_000)

    def headers(self) -> None:
        return None

    key = latency = leader_epoch = headers


@dataclass
class Client:
    """Delivers what it is given, and remembers the offsets that were noted."""

    deliveries: list[Message]
    noted: list[int] = field(default_factory=list)
    closed: bool = False

    def poll(self, _seconds: float) -> Message | None:
        return self.deliveries.pop(0) if self.deliveries else None

    def consume(self, most: int, _seconds: float) -> list[Message]:
        taken, self.deliveries = self.deliveries[:most], self.deliveries[most:]
        return taken

    def store_offsets(self, offsets: list[Any]) -> None:
        self.noted.extend(place.offset for place in offsets)

    def close(self) -> None:
        self.closed = True


class Database:
    """Takes rows, unless it is down."""

    def __init__(self) -> None:
        self.rows: list[list[dict[str, Any]]] = []
        self.down = False

    def transact(self, operation: Any) -> Any:
        if self.down:
            raise ConnectionError("the database is down")
        steps = operation()
        statement: Statement = next(steps)
        records = cast("str", statement.parameters["messages"])
        self.rows.append(json.loads(records))
        try:
            steps.send([])
        except StopIteration as done:
            return done.value
        raise AssertionError("rows that were there already get no inputs")


class Site:
    """A consumer, its client and its database."""

    def __init__(self, *deliveries: Message, ordering: KafkaOrdering = KafkaOrdering.NONE) -> None:
        workflow = WorkflowFunction(name="on_order", function=print, is_async=False)
        subscription = KafkaSubscription(
            workflow=workflow, config={"group.id": "g"}, topics=("orders",), ordering=ordering, batch_size=10
        )
        self.database, self.client = Database(), Client(list(deliveries))
        services = SimpleNamespace(
            database=self.database,
            claimant=SimpleNamespace(executor_id="one", application="shop", version="v1"),
            application_id="",
            serialization="py_pickle",
            wake_queue=lambda _queue: None,
        )
        self.consumer = KafkaConsumer(cast("Services", services), subscription)
        self.consumer._client = self.client

    def offsets(self) -> list[list[int]]:
        return [[int(row["workflow_uuid"].rpartition("-")[2]) for row in batch] for batch in self.database.rows]


def test_a_batch_is_enqueued_before_its_offset_is_noted() -> None:
    site = Site(*map(Message, range(12)))
    site.consumer._turn()
    assert site.offsets() == [list(range(10))]
    assert site.client.noted == [10]


def test_messages_that_could_not_be_stored_are_kept_and_nothing_is_noted_meanwhile() -> None:
    site = Site(Message(0), Message(1))
    site.database.down = True
    for _ in range(2):
        with pytest.raises(ConnectionError):
            site.consumer._turn()
    assert site.client.noted == []
    site.client.deliveries.append(Message(2))
    site.database.down = False
    site.consumer._turn()
    site.consumer._turn()
    assert site.offsets() == [[0, 1], [2]]
    assert site.client.noted == [2, 3]


def test_large_messages_are_stored_in_several_commits() -> None:
    site = Site(*(Message(number, payload=b"x" * 2_000_000) for number in range(3)))
    site.consumer._turn()
    assert site.offsets() == [[0], [1], [2]]
    assert site.client.noted == [3]


def test_messages_of_one_lane_are_a_millisecond_apart_over_batches() -> None:
    site = Site(*map(Message, range(20)), ordering=KafkaOrdering.PARTITION)
    site.consumer._turn()
    site.consumer._turn()
    times = [row["created_at"] for batch in site.database.rows for row in batch]
    assert len(times) == 20
    assert all(later > earlier for earlier, later in pairwise(times))


def test_the_same_trouble_is_told_once_until_messages_come_again(caplog: pytest.LogCaptureFixture) -> None:
    down, other = Problem("_ALL_BROKERS_DOWN"), Problem("_AUTHENTICATION")
    site = Site(Message(-1, down), Message(-1, Problem("_TRANSPORT")), Message(-1, other), Message(-1, other))
    with caplog.at_level(logging.INFO, logger="dbos"):
        site.consumer._turn()
        told = [record.message for record in caplog.records]
        site.client.deliveries.append(Message(0))
        site.consumer._turn()
        site.client.deliveries.append(Message(-1, down))
        site.consumer._turn()
    again = [record.message for record in caplog.records][len(told) :]
    name = "Kafka consumer on_order (group g)"
    assert list(dict.fromkeys(told)) == [
        f"{name}: _ALL_BROKERS_DOWN happened; it is tried again",
        f"{name}: _AUTHENTICATION happened; it is tried again",
    ]
    assert list(dict.fromkeys(again)) == [f"{name} receives messages again", told[0]]


def test_a_client_that_is_of_no_more_use_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(Message(-1, Problem("_FENCED", is_fatal=True)))
    site.consumer._turn()
    renewed = Client([Message(7)])

    def reopen() -> None:
        site.consumer._client, site.consumer._broken = renewed, False

    monkeypatch.setattr(site.consumer, "open", reopen)
    site.consumer._turn()
    assert site.client.closed
    assert site.offsets() == [[7]]
