"""Our public names and signatures beside the published package's: every difference has its reason here.

Both are told by programs/surface.py, by introspection in the environment of each. A difference without a
reason fails, and so does a reason without a difference.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest

from integration.interoperability.parties import PROGRAMS
from support.peer import run_peer

SURFACE = PROGRAMS / "surface.py"


class Kind(StrEnum):
    """What differs."""

    OURS = "ours alone"
    THEIRS = "theirs alone"
    OTHER = "told otherwise"


class Difference(NamedTuple):
    """Paths of the surface that differ (`*` stands for any text), how, and why."""

    path: str
    kind: Kind
    reason: str


FORMER = "of releases 1.x and 2.x, which the product's documentation shows and 3.x removed"
BEYOND = "beyond the published package"
SHARDS = "sharded databases are a product of the vendor, and raise on an ordinary database there"
CONDUCTOR = "DBOS Conductor and dbos-enterprise are products of the vendor; the key is named in a warning"
INTERNAL = "called by the package itself"
PROMISED = "promised by the product's documentation, and not there in the published package"
MADE = "made by calls of the package, never by a constructor in user code"
PROMISED_STEP = "a dictionary whose keys are attributes too: `step.name`, `step.started_at`, as documented"

DIFFERENCES = (
    # of former releases
    Difference("DBOS(fastapi)", Kind.OURS, FORMER),
    Difference("DBOS(flask)", Kind.OURS, FORMER),
    Difference("DBOS.kafka_consumer(in_order)", Kind.OURS, FORMER),
    Difference("DBOS.scheduled*", Kind.OURS, FORMER),
    Difference("DBOS.sql_session", Kind.OURS, FORMER),
    Difference("DBOS.transaction*", Kind.OURS, FORMER),
    Difference("DBOSClient(database_url)", Kind.OURS, FORMER),
    Difference("DBOSClient(system_database)", Kind.OURS, FORMER),
    Difference("DBOSClient(application_database_url)", Kind.OURS, FORMER),
    Difference("DBOSConfig[database_url]", Kind.OURS, FORMER),
    Difference("DBOSConfig[application_database_url]", Kind.OURS, FORMER),
    Difference("DBOSConfig[run_admin_server]", Kind.OURS, FORMER),
    Difference("DBOSConfig[admin_port]", Kind.OURS, FORMER),
    Difference("EnqueueOptions[max_recovery_attempts]", Kind.OURS, FORMER),
    Difference("Queue(priority_enabled)", Kind.OURS, FORMER),
    Difference("Queue(partition_queue)", Kind.OURS, FORMER),
    # promised and not kept there
    Difference("StepInfo", Kind.OTHER, PROMISED_STEP),
    Difference("StepInfo(*", Kind.OURS, PROMISED_STEP),
    Difference("StepInfo.*", Kind.OURS, PROMISED_STEP),
    Difference("StepInfo[*", Kind.THEIRS, PROMISED_STEP),
    Difference("VersionInfo[timestamp]", Kind.OURS, PROMISED),
    Difference("WorkflowSerializationFormat.JSON", Kind.OURS, PROMISED),
    # beyond
    Difference("DBOS(config)", Kind.OTHER, "may be left out where dbos-config.yaml says everything"),
    Difference("DBOS.run_until_drained*", Kind.OURS, BEYOND),
    Difference("DBOSClient.enqueue_many*", Kind.OURS, BEYOND),
    Difference("Queue.enqueue_many*", Kind.OURS, BEYOND),
    Difference("*.list_*workflows*(undispatchable)", Kind.OURS, BEYOND),
    Difference("WorkflowStatus.undispatchable", Kind.OURS, BEYOND),
    Difference("DBOSConfig[metrics_*", Kind.OURS, BEYOND),
    Difference("DBOSConfig[recovery]", Kind.OURS, BEYOND),
    Difference("DBOSConfig[retention]", Kind.OURS, BEYOND),
    Difference("DBOSConfig[otel_propagate_context]", Kind.OURS, BEYOND),
    Difference("QueueRateLimit*", Kind.OURS, "the type of the limiters, for annotations of users"),
    Difference("error.DBOSStepNondeterminismError.*_id", Kind.OURS, "what its `inputs` hold, by name"),
    Difference("DBOS.list_queued_workflows*(queues_only)", Kind.OURS, "one record of filters for all listings"),
    Difference("DBOS.list_queued_workflows*(schedule_name)", Kind.OURS, "one record of filters for all listings"),
    Difference("DBOS.list_queued_workflows*(was_forked_from)", Kind.OURS, "one record of filters for all listings"),
    Difference("DBOSClient.list_queued_workflows*(*)", Kind.OURS, "one record of filters for all listings"),
    Difference("*.list_*workflows*(*)", Kind.OTHER, "filters have the same defaults, told by ListOptions"),
    # products of the vendor
    Difference("*shard_key*", Kind.THEIRS, SHARDS),
    Difference("DBOSConfig[sharding]", Kind.THEIRS, SHARDS),
    Difference("DBOSConfig[conductor_*", Kind.THEIRS, CONDUCTOR),
    Difference("DBOSConfig[auto_upgrade*", Kind.THEIRS, CONDUCTOR),
    Difference("DBOSConfig[transact_enterprise_key]", Kind.THEIRS, CONDUCTOR),
    # inside
    Difference("DBOSClient.new_record*", Kind.OURS, INTERNAL),
    Difference("DBOSClient.services", Kind.OURS, INTERNAL),
    Difference("DBOSClient.status_of*", Kind.OURS, INTERNAL),
    Difference("DBOSClient(serializer)", Kind.OTHER, "None stands for the default serializer"),
    Difference("Queue.from_row*", Kind.OURS, INTERNAL),
    Difference("Queue(application_name)", Kind.THEIRS, "a queue of another application is registered by a client"),
    Difference("Queue(client_system_database)", Kind.THEIRS, INTERNAL),
    Difference("Queue(database_backed_queue)", Kind.THEIRS, INTERNAL),
    Difference("Queue(token)", Kind.THEIRS, INTERNAL),
    Difference("StepReservation(*)", Kind.OURS, MADE),
    Difference("StepReservation(step_ctx)", Kind.THEIRS, MADE),
    Difference("WorkflowHandle(*)", Kind.OURS, MADE),
    Difference("WorkflowHandleAsync(*)", Kind.OURS, MADE),
    Difference("*SQLAlchemyDatasource(*)", Kind.OURS, "made by create()"),
    Difference("*SQLAlchemyDatasource(*)", Kind.THEIRS, "made by create()"),
    Difference("*SQLAlchemyDatasource(serializer)", Kind.OTHER, "made by create()"),
    Difference("*SQLAlchemyDatasource.*_migrations", Kind.THEIRS, "what create() does; migrate() is there"),
)


@pytest.fixture(scope="module")
def theirs(peer: Path) -> dict[str, str]:
    """The surface of the published package."""
    assert peer.exists()
    told: dict[str, str] = json.loads(run_peer(SURFACE).stdout)
    return told


@pytest.fixture(scope="module")
def ours() -> dict[str, str]:
    """Our surface, told by a process of its own as theirs is."""
    done = subprocess.run([sys.executable, str(SURFACE)], check=True, capture_output=True, text=True)
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def found(ours: dict[str, str], theirs: dict[str, str]) -> dict[str, Kind]:
    """What differs, by its path."""
    differing = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    return {
        path: Kind.THEIRS if path not in ours else Kind.OURS if path not in theirs else Kind.OTHER
        for path in sorted(differing)
    }


def _matches(difference: Difference, path: str, kind: Kind) -> bool:
    return kind is difference.kind and re.fullmatch(re.escape(difference.path).replace(r"\*", ".*"), path) is not None


def test_every_difference_has_its_reason(found: dict[str, Kind], ours: dict[str, str], theirs: dict[str, str]) -> None:
    unexplained = {
        path: f"{kind}: {theirs.get(path)!r} there, {ours.get(path)!r} here"
        for path, kind in found.items()
        if not any(_matches(difference, path, kind) for difference in DIFFERENCES)
    }
    assert unexplained == {}


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: f"{difference.path} {difference.kind}")
def test_every_reason_has_its_difference(difference: Difference, found: dict[str, Kind]) -> None:
    assert any(_matches(difference, path, kind) for path, kind in found.items()), difference.reason


def test_the_surface_is_told_in_full(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """A program that saw little would find few differences."""
    for told in (ours, theirs):
        assert len(told) > 1500
        assert told["DBOS.send(topic)"] == "parameter 3 = None"
        assert told["DBOS.send_async"] == "coroutine function"
        assert told["DBOSClient.read_stream_async"] == "asynchronous generator"
        assert told["EnqueueOptions[queue_name]"] == "required"
        assert told["error.DBOSQueueDeduplicatedError: code"] == "12"
        assert told["error.DBOSWorkflowCancelledError: base"] == "DBOSBaseException"
