"""Kafka for tests: the cluster that the client library brings, in a process of its own.

It speaks the protocol over TCP, keeps topics and groups in memory and makes a topic of four partitions when one is
written to. In the classic protocol of groups members get their partitions after three seconds, and a group that
everybody left is of no more use; `group.protocol=consumer` has neither.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from confluent_kafka import Consumer, Producer, TopicPartition

_CLUSTER = """
import sys
from confluent_kafka import Producer

class Quiet:
    def log(self, *_):
        pass

owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1}, logger=Quiet())
[broker] = owner.list_topics(timeout=30).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""
PARTITIONS = 4


class _Quiet:
    """Keeps what clients say about connections out of the tests' output."""

    def log(self, *_: object) -> None: ...


class MockKafka:
    """A cluster of one broker."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self.address = address
        self._producer = Producer({"bootstrap.servers": address}, logger=_Quiet())

    def send(self, topic: str, *values: str, partition: int = 0, timestamp: int = 0) -> None:
        """Write messages to a partition, in their order; returns when the broker has them.

        `timestamp` is their time in epoch milliseconds, 0 the present.
        """
        for value in values:
            key = f"key of {value}".encode()
            self._producer.produce(topic, value.encode(), key=key, partition=partition, timestamp=timestamp)
        unsent = self._producer.flush(30)
        assert unsent == 0, f"{unsent} messages for {topic} were not taken"

    def committed(self, group: str, topic: str, *, partitions: Sequence[int] = range(PARTITIONS)) -> dict[int, int]:
        """The offsets that a group has committed, by partition; partitions without one are left out."""
        settings = {"bootstrap.servers": self.address, "group.id": group, "enable.auto.commit": False}
        reader = Consumer(settings, logger=_Quiet())
        try:
            places = reader.committed([TopicPartition(topic, number) for number in partitions], timeout=30)
        finally:
            reader.close()
        return {place.partition: place.offset for place in places if place.offset >= 0}

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The broker answers nobody in the block, and goes on afterwards with what it had."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@contextmanager
def mock_kafka() -> Iterator[MockKafka]:
    """A cluster for the block."""
    command = [sys.executable, "-c", _CLUSTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "the cluster did not start"
            yield MockKafka(process, address)
        finally:
            process.kill()


class Doorway:
    """An address that refuses connections until it is opened; then it leads to another one."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def open(self) -> None:
        """Let connections through from now on."""
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):  # it was never opened
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return  # closed
            outer = socket.create_connection(self._target)
            for source, sink in ((inner, outer), (outer, inner)):
                threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass  # one side has gone: the other one is told below
    finally:
        sink.close()
