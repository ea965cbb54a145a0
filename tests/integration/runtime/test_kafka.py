"""Messages of Kafka as workflows: once, in order, and whatever happens to broker and process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dbos import DBOS, DBOSPortableJSONSerializer, KafkaMessage, Queue
from dbos.error import DBOSInitializationError
from integration.runtime.conftest import Launch
from support.bystander import Bystander
from support.kafka import Doorway, MockKafka, mock_kafka
from support.waiting import eventually

pytestmark = [pytest.mark.both_databases, pytest.mark.timeout(300)]  # of several waits a busy machine stretches each


@pytest.fixture(scope="module")
def kafka() -> Iterator[MockKafka]:
    """The cluster of this module; each test has topics of its own."""
    with mock_kafka() as cluster:
        yield cluster


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A name that no other test has."""
    return f"topic-{abs(hash(request.node.nodeid))}"


def config(kafka: MockKafka, **more: Any) -> dict[str, Any]:
    """The settings of a consumer, in the protocol of groups in which the cluster is quick; `_` stands for `.`."""
    settings = {"bootstrap.servers": kafka.address, "group.protocol": "consumer"}
    return {**settings, **{key.replace("_", "."): value for key, value in more.items()}}


def workflow_id(topic: str, partition: int, group: str, offset: int) -> str:
    return f"kafka-unique-id-{topic}-{partition}-{group}-{offset}"


def result(workflow_id: str) -> Any:
    return DBOS.retrieve_workflow(workflow_id, existing_workflow=False).get_result()


def rows(sql: Bystander, name: str) -> list[dict[str, Any]]:
    return sql.execute("SELECT * FROM dbos.workflow_status WHERE name = %s ORDER BY workflow_uuid", [name]).fetchall()


def ended(sql: Bystander, name: str, count: int) -> list[dict[str, Any]]:
    """The rows of a workflow, when that many have ended."""

    def all_ended(found: Sequence[dict[str, Any]]) -> bool:
        return len(found) == count and all(row["status"] in {"SUCCESS", "ERROR"} for row in found)

    return eventually(lambda: rows(sql, name), all_ended, within=90, what=f"{count} ended workflows")


def kafka_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dbos-kafka")]


def test_each_message_is_a_workflow_that_gets_it(launch: Launch, kafka: MockKafka, topic: str, sql: Bystander) -> None:
    seen: list[KafkaMessage] = []

    @DBOS.kafka_consumer(config(kafka, group_protocol="classic"), [topic])
    @DBOS.workflow(name="on_order")
    def on_order(message: KafkaMessage) -> str:
        seen.append(message)
        assert isinstance(message.value, bytes)
        return message.value.decode()

    kafka.send(topic, "a", "b")
    kafka.send(topic, "c", partition=1)
    launch()
    group = f"dbos-kafka-group-onorder-{topic}"
    assert [result(workflow_id(topic, 0, group, offset)) for offset in (0, 1)] == ["a", "b"]
    assert result(workflow_id(topic, 1, group, 0)) == "c"

    [message] = [message for message in seen if message.value == b"b"]
    assert (message.topic, message.partition, message.offset, message.key) == (topic, 0, 1, b"key of b")
    assert message.timestamp[1] > 0
    for row in ended(sql, "on_order", 3):
        assert row["queue_name"] == "_dbos_kafka_queue"
        assert row["queue_partition_key"] is None
        assert (row["executor_id"], row["application_version"], row["creator_xid"]) == ("one", "v1", None)
    assert sql.execute("SELECT count(*) AS rows FROM dbos.queues").fetchone() == {"rows": 0}


@pytest.mark.parametrize(("ordering", "lanes"), [("partition", 2), ("topic", 1)])
def test_messages_in_order_run_one_after_another(
    ordering: Any, lanes: int, launch: Launch, kafka: MockKafka, topic: str, sql: Bystander
) -> None:
    lock = threading.Lock()
    running: dict[object, int] = {}
    overlaps: list[object] = []
    order: dict[object, list[int]] = {}

    @DBOS.kafka_consumer(config(kafka), [topic], ordering=ordering)
    @DBOS.workflow(name="in_order")
    def in_order(message: KafkaMessage) -> None:
        lane = message.partition if ordering == "partition" else "all"
        with lock:
            running[lane] = running.get(lane, 0) + 1
            if running[lane] > 1:
                overlaps.append(lane)
            order.setdefault(message.partition, []).append(message.offset or 0)
        DBOS.sleep(0.01)
        with lock:
            running[lane] -= 1

    kafka.send(topic, *(f"a{number}" for number in range(12)))
    kafka.send(topic, *(f"b{number}" for number in range(12)), partition=1)
    launch()
    found = ended(sql, "in_order", 24)
    assert overlaps == []
    assert order == {0: list(range(12)), 1: list(range(12))}
    assert {row["queue_name"] for row in found} == {"_dbos_kafka_ordered_queue"}
    assert len({row["queue_partition_key"] for row in found}) == lanes
    for lane in {row["queue_partition_key"] for row in found}:
        times = [row["created_at"] for row in found if row["queue_partition_key"] == lane]
        assert len(set(times)) == len(times)


def test_coroutines_steps_and_static_methods_consume_topics_named_by_patterns(
    launch: Launch, kafka: MockKafka, topic: str
) -> None:
    @DBOS.kafka_consumer(config(kafka, group_id="coroutine"), [f"^{topic}-.*"])
    @DBOS.workflow()
    async def on_loop(message: KafkaMessage) -> str | None:
        return message.topic

    @DBOS.kafka_consumer(config(kafka, group_id="step"), [f"{topic}-a", f"{topic}-b"])
    @DBOS.step(name="alone")
    def alone(message: KafkaMessage) -> str | None:
        return message.topic

    @DBOS.dbos_class()
    class Shop:
        @staticmethod
        @DBOS.kafka_consumer(config(kafka, group_id="static"), [f"{topic}-a"])
        @DBOS.workflow(name="static")
        def static(message: KafkaMessage) -> str | None:
            return message.topic

    kafka.send(f"{topic}-a", "1")
    kafka.send(f"{topic}-b", "2")
    launch()
    for group, letters in {"coroutine": "ab", "step": "ab", "static": "a"}.items():
        for letter in letters:
            name = f"{topic}-{letter}"
            assert result(workflow_id(name, 0, group, 0)) == name


def test_a_queue_of_ones_own_limits_what_runs(launch: Launch, kafka: MockKafka, topic: str, sql: Bystander) -> None:
    Queue("one-by-one", worker_concurrency=1)
    lock, most = threading.Lock(), [0, 0]

    @DBOS.kafka_consumer(config(kafka), [topic], queue_name="one-by-one", batch_size=3)
    @DBOS.workflow(name="limited")
    def limited(message: KafkaMessage) -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
        DBOS.sleep(0.01)
        with lock:
            most[0] -= 1

    kafka.send(topic, *map(str, range(8)))
    launch()
    assert {row["queue_name"] for row in ended(sql, "limited", 8)} == {"one-by-one"}
    assert most == [0, 1]


def test_offsets_are_committed_and_a_new_process_goes_on_after_them(
    launch: Launch, kafka: MockKafka, topic: str, sql: Bystander
) -> None:
    @DBOS.kafka_consumer(config(kafka, group_id=topic), [topic])
    @DBOS.workflow(name="consume")
    def consume(message: KafkaMessage) -> None: ...

    kafka.send(topic, "a", "b", "c")
    launch()
    ended(sql, "consume", 3)
    eventually(lambda: kafka.committed(topic, topic), lambda offsets: offsets == {0: 3}, what="committed offsets")
    kafka.send(topic, "d")
    ended(sql, "consume", 4)
    DBOS.destroy()  # what was noted is committed with the end
    eventually(kafka_threads, lambda threads: not threads, what="end of the consumers, which is waited for briefly")
    assert kafka.committed(topic, topic) == {0: 4}

    kafka.send(topic, "e")
    launch()
    assert [row["recovery_attempts"] for row in ended(sql, "consume", 5)] == [1] * 5


def test_a_format_without_a_form_for_messages_gives_way_to_pickle(
    launch: Launch, kafka: MockKafka, topic: str, sql: Bystander
) -> None:
    @DBOS.kafka_consumer(config(kafka), [topic])
    @DBOS.workflow(name="any_format")
    def any_format(message: KafkaMessage) -> str:
        return repr(message.value)

    kafka.send(topic, "a")
    launch(serializer=DBOSPortableJSONSerializer())
    [row] = ended(sql, "any_format", 1)
    assert row["serialization"] == "py_pickle"
    assert result(row["workflow_uuid"]) == "b'a'"


def test_a_broker_that_is_down_at_launch_is_told_once_and_found_when_it_is_up(
    launch: Launch, kafka: MockKafka, topic: str, sql: Bystander, caplog: pytest.LogCaptureFixture
) -> None:
    door = Doorway(kafka.address)

    @DBOS.kafka_consumer(
        {"bootstrap.servers": door.address, "group.protocol": "consumer", "reconnect.backoff.max.ms": 200}, [topic]
    )
    @DBOS.workflow(name="late")
    def late(message: KafkaMessage) -> None: ...

    def warnings() -> list[str]:
        found = {id(record): record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING}
        return list(found.values())

    def attempts() -> int:
        return sum("refused" in record.getMessage() for record in caplog.records)

    kafka.send(topic, "a")
    try:
        with caplog.at_level(logging.DEBUG, logger="dbos"):
            launch(log_level="DEBUG")
            eventually(attempts, lambda count: count >= 3, what="further attempts")
            eventually(warnings, bool, what="a warning")
            assert [text for text in warnings() if "late" in text] == warnings()
            assert len(warnings()) == 1
            door.open()
            ended(sql, "late", 1)
            # The message's workflow may end before the thread that enqueued it says so.
            eventually(lambda: caplog.text, lambda text: "receives messages again" in text, what="word of it")
    finally:
        door.close()


def test_a_broker_that_stops_answering_in_the_middle_is_waited_for(launch: Launch, topic: str, sql: Bystander) -> None:
    @DBOS.workflow(name="patient")
    def patient(message: KafkaMessage) -> None: ...

    with mock_kafka() as own:
        DBOS.kafka_consumer(config(own, socket_timeout_ms=1000), [topic])(patient)
        own.send(topic, "a")
        launch()
        ended(sql, "patient", 1)
        with own.stopped():
            assert DBOS.start_workflow(patient, None).get_result() is None  # everything else goes on
        own.send(topic, "b")
        ended(sql, "patient", 3)
        DBOS.destroy()
        eventually(kafka_threads, lambda threads: not threads, what="end of the consumers, which is waited for briefly")


def test_a_configuration_that_the_client_refuses_stops_the_launch(launch: Launch, topic: str) -> None:
    @DBOS.kafka_consumer({"bootstrap.servers": "127.0.0.1:1", "no.such.key": 1}, [topic])
    @DBOS.workflow(name="misconfigured")
    def misconfigured(message: KafkaMessage) -> None: ...

    before = set(threading.enumerate())  # threads of the test before may still be on their way out
    with pytest.raises(DBOSInitializationError, match=r"Kafka consumer misconfigured .*no\.such\.key"):
        launch()
    started = set(threading.enumerate()) - before
    assert [thread.name for thread in started if thread.name.startswith("dbos-")] == []


def test_a_partitioned_queue_and_methods_of_objects_are_refused_at_launch(launch: Launch, kafka: MockKafka) -> None:
    Queue("lanes", partition_concurrency=1)

    @DBOS.workflow(name="nobody")
    def nobody(message: KafkaMessage) -> None: ...

    DBOS.kafka_consumer(config(kafka), ["t"], queue_name="lanes")(nobody)
    with pytest.raises(DBOSInitializationError, match="'lanes' is partitioned"):
        launch()
    DBOS.destroy(destroy_registry=True)

    @DBOS.dbos_class()
    class Shop:
        @DBOS.kafka_consumer(config(kafka), ["t"])
        @DBOS.workflow(name="method")
        def method(self, message: KafkaMessage) -> None: ...

    with pytest.raises(DBOSInitializationError, match="names no object"):
        launch()
