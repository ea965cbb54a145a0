"""Messages of Kafka become the same rows here and there, and one row whoever of the two consumes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from integration.interoperability.parties import PROGRAMS, Database
from integration.interoperability.records import comparable_payload, comparable_workflow
from support.kafka import MockKafka, mock_kafka
from support.peer import peer_python_with_kafka
from support.postgres import PostgresServer
from support.waiting import eventually

TOPICS = ("side-by-side", "by-partition", "by-topic", "own-topic")
EACH = 6
COUNT = len(TOPICS) * EACH
Rows = dict[str, dict[str, Any]]


@contextmanager
def the_log() -> Iterator[MockKafka]:
    """A cluster with the messages of these tests: the same ones each time, and none of them committed."""
    with mock_kafka() as kafka:
        for topic in TOPICS:
            for number in range(EACH):
                kafka.send(topic, f"{topic} {number}", partition=number % 2, timestamp=1_700_000_000_000 + number)
        yield kafka


@contextmanager
def consuming(url: str, kafka: MockKafka, python: Path) -> Iterator[None]:
    """A process that consumes during the block, and until all messages are processed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DBOS", "PYTHON"))}
    environment = {**inherited, "URL": url, "KAFKA": kafka.address, "COUNT": str(COUNT)}
    if python == Path(sys.executable):
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("runtime"))
    command = [str(python), str(PROGRAMS / "kafka_party.py")]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process:
        try:
            yield
            process.communicate(timeout=180)
        finally:
            process.kill()
    assert process.returncode == 0


def rows(database: Database) -> tuple[Rows, Rows]:
    """Workflows and their inputs, by ID."""
    found = database.rows("SELECT * FROM dbos.workflow_status")
    workflows = {row["workflow_uuid"]: comparable_workflow(row) for row in found}
    found = database.rows("SELECT * FROM dbos.workflow_input")
    return workflows, {row["workflow_uuid"]: comparable_payload(row) for row in found}


@pytest.fixture(scope="module")
def theirs(postgres_server: PostgresServer) -> Iterator[Database]:
    """What the published package made of the messages."""
    with postgres_server.database() as url, the_log() as kafka:
        with consuming(url, kafka, peer_python_with_kafka()):
            pass
        database = Database(url)
        try:
            yield database
        finally:
            database.close()


@pytest.mark.timeout(500)
def test_messages_become_the_same_rows(theirs: Database, postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url, the_log() as kafka:
        with consuming(url, kafka, Path(sys.executable)):
            pass
        ours = Database(url)
        try:
            (our_workflows, our_inputs), (their_workflows, their_inputs) = rows(ours), rows(theirs)
        finally:
            ours.close()
    assert len(their_workflows) == COUNT
    assert our_workflows == their_workflows
    assert our_inputs == their_inputs


@pytest.mark.timeout(500)
def test_what_the_one_has_consumed_is_not_run_again_by_the_other(theirs: Database) -> None:
    before = theirs.rows("SELECT * FROM dbos.workflow_status ORDER BY workflow_uuid")
    half = {0: EACH // 2, 1: EACH // 2}
    # Nothing is committed in this log: all of it is delivered to us.
    with the_log() as kafka, consuming(theirs.url, kafka, Path(sys.executable)):
        for group, topic in (
            ("dbos-kafka-group-sidebyside-side-by-side", "side-by-side"),
            ("dbos-kafka-group-bypartition-by-partition", "by-partition"),
            ("dbos-kafka-group-bytopic-by-topic", "by-topic"),
            ("dbos-kafka-group-onownqueue-own-", "own-topic"),
        ):
            committed = partial(kafka.committed, group, topic)
            eventually(committed, lambda offsets: offsets == half, within=90, what=f"commit of {topic}")
    assert theirs.rows("SELECT * FROM dbos.workflow_status ORDER BY workflow_uuid") == before
