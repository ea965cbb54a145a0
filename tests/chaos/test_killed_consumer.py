"""A process that dies between the commit of its rows and that of its offsets: each message is processed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.kafka import MockKafka, mock_kafka

pytestmark = [pytest.mark.both_databases, pytest.mark.timeout(300)]

COUNT = 30
CONSUMER = """
import os, signal, sys, threading
from dbos import DBOS, Queue
from dbos.engine.kafka import KafkaConsumer

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

DBOS(config={"name": "orders", "application_version": "v1", "run_admin_server": False,
             "system_database_url": os.environ["URL"]})
Queue("work")
effects = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
ended = threading.Semaphore(0)

@DBOS.step()
def act(offset):
    os.write(effects, f"{offset}\\n".encode())

@DBOS.kafka_consumer(
    {"bootstrap.servers": os.environ["KAFKA"], "group.id": "billing", "group.protocol": "consumer"},
    ["orders"], queue_name="work", batch_size=7)
@DBOS.workflow()
def on_order(message):
    act(message.offset)
    ended.release()

if sys.argv[1] == "dies":
    KafkaConsumer._note = die
    DBOS.listen_queues(["none"])  # it only enqueues
DBOS.launch()
for _ in range(int(sys.argv[2])):
    ended.acquire()
DBOS.destroy()
"""


def test_what_was_enqueued_before_a_kill_is_delivered_again_and_processed_once(
    database_url: str, tmp_path: Path
) -> None:
    program = tmp_path / "consumer.py"
    program.write_text(CONSUMER, encoding="utf-8")

    def run(kafka: MockKafka, what: str) -> int:
        environment = {**os.environ, "URL": database_url, "KAFKA": kafka.address}
        command = [sys.executable, str(program), what, str(COUNT)]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False, timeout=90).returncode

    # A broker gives up a dead member after the better part of a minute, so each run has one of its own with the same
    # messages: to the consumer that is the same log, from which nothing was committed.
    for what, status, committed in (
        ("dies", -signal.SIGKILL, {}),
        ("dies", -signal.SIGKILL, {}),
        ("lives", 0, {0: COUNT}),
    ):
        with mock_kafka() as kafka:
            kafka.send("orders", *map(str, range(COUNT)))
            assert run(kafka, what) == status
            assert kafka.committed("billing", "orders") == committed
        effects = (tmp_path / "effects").read_text(encoding="utf-8").split()
        assert sorted(map(int, effects)) == (list(range(COUNT)) if what == "lives" else [])
